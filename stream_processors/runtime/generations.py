"""Positions and offsets: a partition that lost its end uses offsets twice, but no position.

Watermarks, origins and receipts are positions. Only the two logs (stream_processors/runtime/log.py, gateway/adapters/kafka.py)
and the consumers of the broker know offsets. Without a loss both are the same. Invariant: a later record has a higher position,
and no position is ever given to two records.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple

from schemas.common import instant_ms
from schemas.generations import LogGeneration

SPACING = 10**9
"""Shifts are multiples of this number. A position therefore shows its offset, and no published position is used again."""


UNSYNCED_MS = 60_000
"""Records that were appended within this time before a broker ended may not have been on its disk."""
CLOCKS_MS = 600_000
"""Tolerated difference between the clocks of two brokers."""


class Generation(NamedTuple):
    """`first_offset`: its first offset. `last_ms`: LogAppendTime of the newest record that certainly precedes it (None: unknown);
    `opened_ms`: when it was opened."""

    number: int
    begins_at: int
    shift: int
    last_ms: int | None = None
    opened_ms: int = 0

    @property
    def first(self) -> int:
        """Its first position."""
        return self.begins_at + self.shift


_FIRST = (Generation(0, 0, 0),)


class Generations:
    """The generations of all partitions. Of two with one number the first counts."""

    def __init__(self, opened: Iterable[tuple[LogGeneration, int]] = ()) -> None:
        self._by: dict[tuple[str, int], tuple[Generation, ...]] = {}
        self._newest: dict[tuple[str, int], int] = {}
        self._opened: list[tuple[int, str]] = []
        for entry, opened_ms in opened:
            self.add(entry, opened_ms)

    def add(self, entry: LogGeneration, opened_ms: int) -> bool:
        """Adds a record of the topic in the log's order; `opened_ms` is its LogAppendTime. False: it does not count."""
        at = entry.topic, entry.partition
        if entry.generation != self._newest.get(at, 0) + 1:
            return False
        before = [old for old in self._by.get(at, _FIRST) if old.begins_at < entry.first_offset or old.number == 0]
        last_ms = None if entry.last_at is None else instant_ms(entry.last_at)
        self._by[at] = (*before, Generation(entry.generation, entry.first_offset, entry.position_shift, last_ms, opened_ms))
        self._newest[at] = entry.generation
        self._opened.append((opened_ms, entry.topic))
        return True

    @property
    def opened_ms(self) -> int:
        """When the newest one was opened; 0: never."""
        return max((at_ms for at_ms, _ in self._opened), default=0)

    def topics_since(self, at_ms: int) -> set[str]:
        """The topics with generations opened after a time."""
        return {topic for opened_ms, topic in self._opened if opened_ms > at_ms}

    def all_of(self, topic: str, partition: int | None = None) -> list[Generation]:
        """All newer generations that still hold records, of a partition or of the whole topic."""
        places = [at for at in self._by if at[0] == topic and partition in (None, at[1])]
        return [entry for at in places for entry in self._by[at] if entry.number]

    def __bool__(self) -> bool:
        return bool(self._by)

    def of(self, topic: str, partition: int) -> tuple[Generation, ...]:
        """Those that still hold records, the oldest first."""
        return self._by.get((topic, partition), _FIRST)

    def newest(self, topic: str, partition: int) -> int:
        """The number of the newest one."""
        return self._newest.get((topic, partition), 0)

    def position(self, topic: str, partition: int, offset: int) -> int:
        """The position of the current or future record at an offset of the broker."""
        own = self._by.get((topic, partition))
        if own is None:
            return offset
        at = bisect_right(own, offset, key=lambda entry: entry.begins_at) - 1
        return offset + own[at].shift

    def offset(self, topic: str, partition: int, position: int) -> int:
        """The broker's offset of a position. For a lost one: the start of the next generation."""
        own = self._by.get((topic, partition))
        if own is None:
            return position
        at = _find_index(own, position)
        offset = position - own[at].shift
        return offset if at + 1 == len(own) else min(offset, own[at + 1].begins_at)

    def generation(self, topic: str, partition: int, position: int) -> int:
        """The number of the generation of a position."""
        own = self._by.get((topic, partition))
        return 0 if own is None else own[_find_index(own, position)].number

    def is_lost(self, topic: str, partition: int, position: int) -> bool:
        """Whether the log lost the record of the position."""
        own = self._by.get((topic, partition))
        if own is None:
            return False
        at = _find_index(own, position)
        return at + 1 < len(own) and position - own[at].shift >= own[at + 1].begins_at

    def next_position(self, topic: str, partition: int, position: int) -> int:
        """The position itself, or the first of the next generation if it is lost: the reader continues there."""
        if (topic, partition) not in self._by:
            return position
        return self.position(topic, partition, self.offset(topic, partition, position))

    def count(self, topic: str, partition: int, start: int, end: int) -> int:
        """The maximum number of records between two positions."""
        if (topic, partition) not in self._by:
            return max(0, end - start)
        return max(0, self.offset(topic, partition, end) - self.offset(topic, partition, start))


class Window(NamedTuple):
    """Records appended to a topic in this time may be lost."""

    since_ms: int
    until_ms: int

    def has(self, at_ms: int) -> bool:
        return self.since_ms <= at_ms <= self.until_ms


def windows(generations: Generations, topics: Iterable[str], partition: int | None = None) -> list[Window]:
    """The times in which records of these topics may be lost: after the newest remaining one, with tolerance for clocks."""
    opened = [entry for topic in topics for entry in generations.all_of(topic, partition)]
    return [Window(0 if entry.last_ms is None else entry.last_ms - CLOCKS_MS, entry.opened_ms) for entry in opened]


def _find_index(own: tuple[Generation, ...], position: int) -> int:
    return max(0, bisect_right(own, position, key=lambda entry: entry.first) - 1)


def shift_above(known_end: int) -> int:
    """The shift of a new generation, whose first position is above all known ones."""
    return -(-max(known_end, 1) // SPACING) * SPACING
