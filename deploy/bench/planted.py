"""Transfers of a town with planted laundering: mules that pass on what they get, sums that are split, accounts that collect.

Ordinary life is there to mislead: rents to one landlord, shops with many payers, wages to many payees, two purchases a day in one
shop, large single sums. Invariant: the same seed gives the same transfers; an account launders or does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import NamedTuple

DAY_S = 86_400
DAYS = 30
ACCOUNTS = 4000
SCHEMES = 40


class Transfer(NamedTuple):
    """`at_s`: seconds since the beginning; `amount_minor`: fen."""

    at_s: int
    payer: int
    payee: int
    amount_minor: int


class Town(NamedTuple):
    """Transfers in order of time; which of the `accounts` (0 to accounts - 1) launder."""

    accounts: int
    launderers: frozenset[int]
    transfers: list[Transfer]


def town(seed: int) -> Town:
    rng = Random(seed)
    people = list(range(ACCOUNTS))
    rng.shuffle(people)
    shops, employers, rest = people[:300], people[300:305], people[305:]
    found = [*_life(rng, shops, employers, rest)]
    launderers: set[int] = set()
    for number in range(SCHEMES):
        crew = [rest[rng.randrange(len(rest))] for _ in range(rng.randrange(4, 9))]
        crew = list(dict.fromkeys(crew))
        launderers.update(crew)
        found += _SCHEMES[number % len(_SCHEMES)](rng, crew)
    return Town(ACCOUNTS, frozenset(launderers), sorted(one for one in found if one.payer != one.payee))


def _life(rng: Random, shops: list[int], employers: list[int], rest: list[int]) -> Iterator[Transfer]:
    for one in rest:
        for _ in range(rng.randrange(2, 12)):
            at, shop = rng.randrange(DAYS * DAY_S), rng.choice(shops)
            yield Transfer(at, one, shop, rng.randrange(1_000, 80_000))
            if rng.random() < 0.03:
                yield Transfer(at + rng.randrange(60, 20_000), one, shop, rng.randrange(1_000, 80_000))
        for _ in range(rng.randrange(0, 5)):
            yield Transfer(rng.randrange(DAYS * DAY_S), one, rng.choice(rest), int(10 ** rng.uniform(4, 6.5)))
        if rng.random() < 0.3:
            landlord, rent = rng.choice(rest), rng.randrange(80_000, 400_000)
            for month in range(2):
                yield Transfer(rng.randrange(DAY_S) + month * 29 * DAY_S, one, landlord, rent)
    for employer in employers:
        for worker in rng.sample(rest, 40):
            yield Transfer(rng.randrange(9 * DAY_S, 10 * DAY_S), employer, worker, rng.randrange(300_000, 1_500_000))


def _split(rng: Random, crew: list[int]) -> Iterator[Transfer]:
    """A sum in pieces from one to the next, within hours."""
    at = rng.randrange(2, DAYS - 2) * DAY_S
    for payer, payee in pairwise(crew):
        for _ in range(rng.randrange(3, 6)):
            at += rng.randrange(60, 3600)
            yield Transfer(at, payer, payee, rng.randrange(150_000, 199_000))


def _pass_on(rng: Random, crew: list[int]) -> Iterator[Transfer]:
    """The same money along a chain, a little less at each station."""
    at, amount = rng.randrange(2, DAYS - 2) * DAY_S, rng.randrange(500_000, 5_000_000)
    for payer, payee in pairwise(crew):
        at += rng.randrange(120, 5400)
        amount = amount * rng.randrange(965, 999) // 1000
        yield Transfer(at, payer, payee, amount)


def _collect(rng: Random, crew: list[int]) -> Iterator[Transfer]:
    """All pay one, who pays it out again at once."""
    begin, total = rng.randrange(2, DAYS - 2) * DAY_S, 0
    for payer in crew[1:]:
        for _ in range(2):
            amount = rng.randrange(100_000, 900_000)
            total += amount
            yield Transfer(begin + rng.randrange(20_000), payer, crew[0], amount)
    yield Transfer(begin + 24_000, crew[0], crew[-1], total)


_SCHEMES = (_split, _pass_on, _collect)
