"""How often a client hears, and what: at most one update in `every_s`, the newest state of each case.

Pure; time comes in as an argument. Invariants: two updates are never closer than `every_s`; after the last one the client knows
the newest revision of every case that was offered, or it was told to read its lists again; memory is bounded by `most`.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.live.rows import Row

NEVER = float("inf")


class Update(NamedTuple):
    """One write: a reset or rows, and counts with either. `complete`: nothing is left behind, so a client may resume here."""

    reset: str
    rows: tuple[Row, ...]
    counts: tuple[bytes, ...]
    complete: bool


class Coalescer:
    """What one client has not heard yet."""

    def __init__(self, *, every_s: float, counts_every_s: float, most: int, rows_an_update: int) -> None:
        self._every_s, self._counts_every_s = every_s, counts_every_s
        self._most, self._rows_an_update = most, rows_an_update
        self._rows: dict[str, Row] = {}
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
        """Nothing is told before this time."""
        return self._next

    def reset(self, reason: str) -> None:
        """The client must read its lists again: what it was to hear of cases is in there."""
        self._reset = reason
        self._rows.clear()

    def offer(self, row: Row) -> None:
        """A newer revision takes the place of an older one. Before a reset is told, rows are in the lists to be read."""
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
        """When there is something to tell; infinity when there is not."""
        if self._reset or self._rows:
            return self._next
        return max(self._next, self._counts_next) if self._counts else NEVER

    def take(self, now: float) -> Update | None:
        """The next update, if one is due."""
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
