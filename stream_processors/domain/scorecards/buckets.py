"""Durations in buckets of fixed bounds, so that two histograms add up bucket by bucket. Pure.

Whole seconds, each bucket at most a tenth wider than the one before: exact up to 20 s, then within ERROR_PERCENT. Invariant: the
bounds never change, because old sums were made with them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from functools import cache

LONGEST_S = 400 * 86_400
"""Retention of the facts. A longer duration counts as this."""
ERROR_PERCENT = 5


def _make_bounds() -> tuple[int, ...]:
    bounds = [0]
    while bounds[-1] < LONGEST_S:
        bounds.append(min(LONGEST_S, max(bounds[-1] + 1, bounds[-1] * 11 // 10)))
    return tuple(bounds)


BOUNDS = _make_bounds()
"""Upper bounds. A bucket counts values above the previous bound and up to its own."""


def bucket(seconds: int) -> int:
    """Below 0 counts as 0: a duty may be done before it began, a payment is noticed while it is pending."""
    return bisect_left(BOUNDS, min(max(seconds, 0), LONGEST_S))


def middle(index: int) -> int:
    """The value of a bucket: equally far, in proportion, from its lowest and its highest."""
    highest = BOUNDS[index]
    lowest = BOUNDS[index - 1] + 1 if index else 0
    return highest if lowest >= highest else round(2 * lowest * highest / (lowest + highest))


@cache
def names(time: str) -> tuple[str, ...]:
    """The figures of a time's buckets in order."""
    return tuple(f"{time}:{index:03}" for index in range(len(BOUNDS)))


def counts(figures: Mapping[str, int], time: str) -> list[int]:
    """A histogram from its cells. None is below 0, even if the sum is still incomplete."""
    return [max(0, figures.get(name, 0)) for name in names(time)]


def percentile(histogram: list[int], percent: int) -> int | None:
    """Seconds, by nearest rank; None without values."""
    remaining = (percent * sum(histogram) + 99) // 100
    for index, n in enumerate(histogram):
        remaining -= n
        if n and remaining <= 0:
            return middle(index)
    return None
