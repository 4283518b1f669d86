"""Measures each sender's share, so that one institution's flood does not close the gateway to the others.

For this process only: each gateway judges by its own requests. Half of the count is forgotten in each HALF_LIFE_S. Invariant:
memory is bounded by the institutions with a token; forgotten counts only let somebody send sooner.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

HALF_LIFE_S = 30.0
ABOVE = 1.5
"""A sender may use this multiple of an even share; an even share is never more than a half."""
_FORGOTTEN = 0.5


class _Count(NamedTuple):
    signals: float
    at: float


class Shares:
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: dict[str, _Count] = {}

    def add(self, institution: str, signals: int) -> None:
        """Adds signals of this institution that were just accepted."""
        now = self._clock()
        self._counts[institution] = _Count(self._decay_of(self._counts.get(institution), now) + signals, now)

    def above(self, institution: str) -> bool:
        """Whether it sent more than its share of the recent total."""
        now = self._clock()
        remaining = {name: share for name, count in self._counts.items() if (share := self._decay_of(count, now)) >= _FORGOTTEN}
        self._counts = {name: self._counts[name] for name in remaining}
        even = sum(remaining.values()) / max(2, len(remaining))
        return remaining.get(institution, 0.0) > ABOVE * even

    @staticmethod
    def _decay_of(count: _Count | None, now: float) -> float:
        return 0.0 if count is None else float(count.signals * 0.5 ** ((now - count.at) / HALF_LIFE_S))
