"""How much of what two reporters say of one host is seen: a made-up feed, through the real protection of signals.

As on public feeds, two reporters of one fraud seldom name the same page (about every fourth pair): one names another page, the
host alone, or the site behind `www.`. Strangers share a hosting domain, and must not meet.
"""

from __future__ import annotations

from itertools import combinations
from random import Random
from typing import NamedTuple

import pytest

from schemas.signals.submission import SubmittedSignal
from tests.support.builders import submitted

SHARED = ("github.io", "weebly.com", "example-hosting.com")
"""Two that the public suffix list names in its private part, and one that it does not know."""


class Named(NamedTuple):
    """What one reporter sent about a fraud: `fraud` says what is true, `signal` what is known."""

    fraud: int
    reporter: str
    signal: SubmittedSignal


def names_of(fraud: int, rng: Random) -> tuple[tuple[str, str], tuple[str, str]]:
    """What two reporters name of one fraud: a kind and a value each."""
    shared = fraud % 5 == 0
    site = f"tenant{fraud}.{rng.choice(SHARED)}" if shared else f"evil{fraud}.com"
    host = site if shared else rng.choice([site, f"www.{site}", f"pay.{site}"])
    page = f"https://{host}/{rng.randrange(100)}"
    other = f"http://{host}/login?{rng.randrange(100)}"
    second = rng.choices([("url", page), ("url", other), ("domain", host)], weights=[25, 45, 30])[0]
    return ("url", page), second


def feed(seed: int, frauds: int = 60) -> list[Named]:
    rng = Random(seed)
    found = []
    for fraud in range(frauds):
        for reporter, (kind, value) in zip(("bank-001", "pay-002"), names_of(fraud, rng), strict=True):
            signal = submitted(reporter, f"r-{fraud}", indicators=[{"kind": kind, "value": value}])
            found.append(Named(fraud, reporter, signal))
    return found


@pytest.mark.parametrize("seed", range(3))
def test_most_of_what_two_reporters_say_of_one_host_is_seen_and_strangers_never_meet(seed: int) -> None:
    pairs = [(one, other) for one, other in combinations(feed(seed), 2) if one.reporter != other.reporter]
    seen: dict[str, list[bool]] = {"named alone": [], "with what follows": []}
    for one, other in pairs:
        named = [{each.token for each in two.signal.subjects if not each.derived} for two in (one, other)]
        matched = [{each.token for each in two.signal.subjects} for two in (one, other)]
        for way, (first, second) in (("named alone", named), ("with what follows", matched)):
            if not first.isdisjoint(second):
                seen[way].append(one.fraud == other.fraud)
    before, after = (sum(found) for found in seen.values())
    true = sum(one.fraud == other.fraud for one, other in pairs)
    print(f"pairs of two reporters about one host: {true}; seen by what is named {before}, with what follows {after}")
    assert all(seen["with what follows"]), "strangers on one hosting domain met"
    assert after == true and after >= 3 * before
