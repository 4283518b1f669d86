"""Limits the rate of a client's updates: at most one in `every_s`, with the newest state of each case.

Pure; time is an argument. Invariants: two updates are never closer than `every_s`. After the last one the client knows the newest
revision of every offered case, or was told to read its lists again. Memory is bounded by `most`.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.http.sse import NEVER
from gateway.live.rows import LiveRow


class Update(NamedTuple):
    """One write: a reset or rows, and counts with either. `complete`: nothing is left, so a client may resume here."""

    reset: str
    rows: tuple[LiveRow, ...]
    counts: tuple[bytes, ...]
    complete: bool


class Coalescer:
    """The pending updates of one client."""

    def __init__(self, *, every_s: float, counts_every_s: float, most: int, rows_an_update: int) -> None:
        self._every_s, self._counts_every_s = every_s, counts_every_s
        self._most, self._rows_an_update = most, rows_an_update
        self._rows: dict[str, LiveRow] = {}
        self._counts: dict[str, bytes] = {}
        self._reset = ""
        self._next = self._counts_next = -NEVER

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def idle(self) -> bool:
        return not (self._rows or self._counts or self._reset)

    @property
    def next(self) -> float:
        """No update before this time."""
        return self._next

    def reset(self, reason: str) -> None:
        """The client must read its lists again, which replaces its pending rows."""
        self._reset = reason
        self._rows.clear()

    def offer(self, row: LiveRow) -> None:
        """A newer revision replaces an older one. Before a pending reset, rows are dropped, because the lists contain them."""
        if self._reset:
            return
        previous = self._rows.get(row.case.case_id)
        if previous is not None and previous.case.revision >= row.case.revision:
            return
        self._rows[row.case.case_id] = row
        if len(self._rows) > self._most:
            self.reset("overflow")

    def count(self, queue: str, counts: bytes) -> None:
        self._counts[queue] = counts

    def due(self) -> float:
        """The time of the next update; infinity if there is none."""
        if self._reset or self._rows:
            return self._next
        return max(self._next, self._counts_next) if self._counts else NEVER

    def take(self, now: float) -> Update | None:
        """Returns the next update, if one is due."""
        if now < self.due():
            return None
        self._next = now + self._every_s
        counts: tuple[bytes, ...] = ()
        if self._counts and now >= self._counts_next:
            self._counts_next = now + self._counts_every_s
            counts = tuple(self._counts.values())
            self._counts.clear()
        reset, self._reset = self._reset, ""
        names = list(self._rows)[: self._rows_an_update]
        rows = tuple(self._rows.pop(name) for name in names)
        return Update(reset, rows, counts, not self._rows)
