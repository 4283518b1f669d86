"""Transfers of a town with planted laundering: mules that pass on what they get, sums that are split, accounts that collect.

Transfers between persons, as a bank may report them; shops and wages are left out. Ordinary life is there to mislead: friends who
pay each other twice a day, rents, bills that are shared, large single sums. Invariant: the same seed gives the same transfers.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from random import Random
from typing import NamedTuple

DAY_S = 86_400
DAYS = 30
ACCOUNTS = 2000
SCHEMES = 20


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
    found = [*_life(rng, people)]
    launderers: set[int] = set()
    for number in range(SCHEMES):
        crew = rng.sample(people, rng.randrange(4, 9))
        launderers.update(crew)
        found += _SCHEMES[number % len(_SCHEMES)](rng, crew)
    return Town(ACCOUNTS, frozenset(launderers), sorted(one for one in found if one.payer != one.payee))


def _life(rng: Random, people: list[int]) -> Iterator[Transfer]:
    for one in people:
        friends = rng.sample(people, 6)
        for _ in range(rng.randrange(2, 14)):
            at, friend = rng.randrange(DAYS * DAY_S), rng.choice(friends)
            yield Transfer(at, one, friend, int(10 ** rng.uniform(3.5, 6.3)))
            if rng.random() < 0.02:  # half now, half later
                yield Transfer(at + rng.randrange(60, 20_000), one, friend, int(10 ** rng.uniform(3.5, 5.5)))
        if rng.random() < 0.3:
            landlord, rent = rng.choice(people), rng.randrange(80_000, 400_000)
            for month in range(2):
                yield Transfer(rng.randrange(DAY_S) + month * 29 * DAY_S, one, landlord, rent)
        if rng.random() < 0.02:  # a dinner or a trip that friends pay together
            at, each = rng.randrange(DAYS * DAY_S), rng.randrange(5_000, 90_000)
            for friend in friends:
                yield Transfer(at + rng.randrange(DAY_S // 4), friend, one, each)
        if rng.random() < 0.02:
            yield Transfer(rng.randrange(DAYS * DAY_S), one, rng.choice(people), rng.randrange(5_000_000, 80_000_000))


def _split(rng: Random, crew: list[int]) -> Iterator[Transfer]:
    """A sum in pieces from one to the next, within hours."""
    at = rng.randrange(2, DAYS - 2) * DAY_S
    for payer, payee in pairwise(crew):
        for _ in range(rng.randrange(3, 6)):
            at += rng.randrange(60, 3600)
            yield Transfer(at, payer, payee, rng.randrange(150_000, 199_000))


def passed_on(rng: Random, crew: list[int]) -> Iterator[Transfer]:
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


_SCHEMES = (_split, passed_on, _collect)
