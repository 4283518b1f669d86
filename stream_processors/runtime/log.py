"""The port to the log: append and return the position, read a range, identify the log. Its Kafka side is kafka.py.

All places are positions (generations.py). Invariant: `append` returns only after the broker acknowledged (acks=all, idempotent),
with the position of the first record; records of one call are adjacent, or it raises. None takes the position of a record that
was acknowledged to this process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from aiokafka.partitioner import murmur2

from schemas.topics import Topic
from stream_processors.runtime.generations import Generations


class Record(NamedTuple):
    """A record in the log; `offset` is its position, `timestamp_ms` its LogAppendTime."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


Entry = tuple[bytes | None, bytes]
"""Key and value."""


class KeyedEntry(NamedTuple):
    """A record to be appended to the partition of its key."""

    key: bytes
    value: bytes


Place = tuple[int, int]
"""Partition and position."""


class LostLog(RuntimeError):
    """An append landed at another position: another owner of the partition is alive, or the log was changed."""


class CannotLook(RuntimeError):
    """The broker did not answer a look-up in time: nothing is known, and nothing was done. Retry is possible."""


class DamagedLog(LostLog):
    """The broker lost acknowledged records. Nothing is decided before somebody has checked it."""


CURE = "run `liandong recover` to list the lost records and to open a new generation of the log"


def partition_of(key: bytes, partitions: int) -> int:
    """Kafka's own partitioner (murmur2), so that every client puts a key into the same partition."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def by_key(topic: Topic, entries: Sequence[tuple[bytes, bytes]]) -> dict[int, list[Entry]]:
    """Each entry under the partition of its key, in order."""
    by_partition: dict[int, list[Entry]] = {}
    for key, value in entries:
        by_partition.setdefault(partition_of(key, topic.partitions), []).append((key, value))
    return by_partition


def in_order(topic: Topic, entries: Sequence[tuple[bytes, bytes]], positions: Mapping[int, Sequence[int]]) -> list[Place]:
    """The offsets of each partition's entries, back in the order of the entries."""
    remaining = {partition: iter(offsets) for partition, offsets in positions.items()}
    return [(p, next(remaining[p])) for p in (partition_of(key, topic.partitions) for key, _ in entries)]


class RecordReader(Protocol):
    """The part of the log that reads ranges."""

    @property
    def generations(self) -> Generations: ...

    async def starts(self, topic: Topic) -> dict[int, int]: ...

    async def ends(self, topic: Topic) -> dict[int, int]: ...

    def read(self, topic: Topic, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        """The records from `start` up to, not including, `end`, in chunks."""

    def read_ranges(self, topic: Topic, ranges: Mapping[int, tuple[int, int]]) -> AsyncIterator[list[Record]]:
        """The same for several partitions, in chunks of one partition."""


class Log(RecordReader, Protocol):
    async def append(self, topic: Topic, entries: Mapping[int, Sequence[Entry]]) -> dict[int, int]:
        """Appends by partition; returns the position of each partition's first entry."""

    async def append_keyed(self, topic: Topic, entries: Sequence[tuple[bytes, bytes]]) -> list[Place]:
        """Appends each entry to its key's partition, in order, and returns the positions. Others may write there, too."""

    @property
    def stamped_ms(self) -> int | None:
        """LogAppendTime of the newest append: the broker's recent time. None before the first."""

    async def since(self, topic: Topic, at_ms: int) -> dict[int, int]:
        """The first position of each partition with a LogAppendTime at or after a time; its end if there is none."""

    async def read_generations(self) -> bool:
        """Reads new generations since the last call; returns whether there were any."""

    async def count_elections(self, topics: Sequence[Topic]) -> int:
        """The number of leader elections of these topics' partitions: while it is unchanged, no broker can have lost anything."""

    async def identity(self, topics: Sequence[Topic]) -> str:
        """Cluster, topic ids and partition counts: two logs with one identity are the same log."""
