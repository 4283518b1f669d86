"""Sums additive effects over a run of facts before they go to Redis: many facts change the same few counters and cells.

Invariant: the resulting effects leave the same state as the original ones.
"""

from __future__ import annotations

from collections.abc import Sequence

from stream_processors.state.effects import Arg, tally
from stream_processors.state.keys import BUCKETS, Key

_Ends = tuple[int, int, int]


class Sums:
    """`take` effects, then `drain` their sums."""

    def __init__(self) -> None:
        self._counts: list[dict[tuple[Arg, Arg], int]] = [{} for _ in range(BUCKETS)]
        self._tallies: list[dict[str, tuple[_Ends, dict[str, int]]]] = [{} for _ in range(BUCKETS)]

    def take(self, bucket: int, args: Sequence[Arg]) -> bool:
        """Whether it is summed here; other effects are applied one by one, in order."""
        if args[0] == "incr":
            counts, at = self._counts[bucket], (args[1], args[2])
            counts[at] = counts.get(at, 0) + int(args[3])
            return True
        if args[0] != "tally":
            return False
        key = str(args[1])
        cell = self._tallies[bucket].get(key)
        if cell is None:
            cell = self._tallies[bucket][key] = ((int(args[2]), int(args[3]), int(args[4])), {})
        figures = cell[1]
        for at_figure in range(6, len(args), 2):
            figure = str(args[at_figure])
            figures[figure] = figures.get(figure, 0) + int(args[at_figure + 1])
        return True

    def drain(self, bucket: int) -> list[Arg]:
        """A cell with an unchanged sum is omitted; its party is still named, as by each effect alone."""
        merged: list[Arg] = []
        for (key, field), n in self._counts[bucket].items():
            merged += "incr", key, field, n
        for key, (ends, figures) in self._tallies[bucket].items():
            merged += tally(Key(key, "", bucket), ends, *((figure, n) for figure, n in figures.items() if n)).args
        self._counts[bucket], self._tallies[bucket] = {}, {}
        return merged
