"""How often a client hears, and what: at most one event in `every_s`, the newest state of each case.

Pure; time comes in as an argument. Invariants: two events are never closer than `every_s`; after the last event the client
knows the newest revision of every case that was offered, or it was told to read its lists again; memory is bounded by `most`.
"""

from __future__ import annotations

from typing import NamedTuple

from gateway.live.rows import Row

NEVER = float("inf")


class Event(NamedTuple):
    """`kind` is reset, counts or cases. `whole`: nothing is left behind, so the client may resume from here."""

    kind: str
    whole: bool
    rows: tuple[Row, ...] = ()
    counts: tuple[bytes, ...] = ()
    reason: str = ""


class Coalescer:
    """What one client has not heard yet."""

    def __init__(self, *, every_s: float, counts_every_s: float, most: int, rows_an_event: int) -> None:
        self._every_s, self._counts_every_s = every_s, counts_every_s
        self._most, self._rows_an_event = most, rows_an_event
        self._rows: dict[str, Row] = {}
        self._counts: dict[str, bytes] = {}
        self._reset = ""
        self._next = self._counts_next = -NEVER

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def idle(self) -> bool:
        return not (self._rows or self._counts or self._reset)

    def reset(self, reason: str) -> None:
        """The client must read its lists again: what it was to hear of cases is in there."""
        self._reset = reason
        self._rows.clear()

    def offer(self, row: Row) -> None:
        """A newer revision takes the place of an older one. Before a reset is told, rows are in the lists to be read."""
        if self._reset:
            return
        known = self._rows.get(row.case.case_id)
        if known is not None and known.case.revision >= row.case.revision:
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

    def take(self, now: float) -> Event | None:
        """The next event, if one is due."""
        if now < self.due():
            return None
        self._next = now + self._every_s
        if self._reset:
            reason, self._reset = self._reset, ""
            return Event("reset", True, reason=reason)
        if self._counts and now >= self._counts_next:
            self._counts_next = now + self._counts_every_s
            told = tuple(self._counts.values())
            self._counts.clear()
            return Event("counts", False, counts=told)
        names = list(self._rows)[: self._rows_an_event]
        rows = tuple(self._rows.pop(name) for name in names)
        return Event("cases", not self._rows, rows)
