"""The log in memory: one list a partition, LogAppendTime from the test's clock, ranges read in small chunks.

It keeps the contract that tests/contract/log holds over it and over Kafka.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

from schemas.codec import decode
from schemas.topics import GENERATIONS, Topic, all_topics
from stream_processors.runtime.cluster_identity import WrongLog
from stream_processors.runtime.generations import Generations
from stream_processors.runtime.log import Entry, Place, Record, by_key, in_order
from tests.support.clock import Clock


class MemoryLog:
    """All topics of the table are there; `create` makes others, `recreate` one anew under the same name."""

    def __init__(
        self, clock: Clock | None = None, *, chunk: int = 7, cluster: str = "memory", institutions: Iterable[str] = ()
    ) -> None:
        self.clock = clock or Clock()
        self.chunk = chunk
        self.cluster = cluster
        self._records: dict[str, list[list[Record]]] = {}
        self._ids: dict[str, str] = {}
        self._starts: dict[tuple[str, int], int] = {}
        self.stamped_ms: int | None = None
        self.generations = Generations()
        self._generations_read = 0
        self.elections = 1
        for topic in all_topics(institutions):
            self.create(topic)

    def create(self, topic: Topic) -> None:
        self._records[topic.name] = [[] for _ in range(topic.partitions)]
        self._ids[topic.name] = secrets.token_hex(8)
        self._starts = {at: start for at, start in self._starts.items() if at[0] != topic.name}

    recreate = create

    def delete(self, topic: Topic) -> None:
        del self._records[topic.name], self._ids[topic.name]

    def delete_before(self, topic: Topic, partition: int, offset: int) -> None:
        """What retention does."""
        self._starts[topic.name, partition] = offset

    def put(self, topic: Topic, partition: int, key: bytes | None, value: bytes | None) -> int:
        """A foreign append: another owner that lives on, or a client of its own. The offset."""
        records = self._records[topic.name][partition]
        records.append(Record(partition, len(records), self.clock.ms, key, value))
        return self.generations.position(topic.name, partition, len(records) - 1)

    def all(self, topic: Topic, partition: int | None = None) -> list[Record]:
        """Everything ever appended and not lost, deleted records included, by partition and position."""
        wanted = range(topic.partitions) if partition is None else (partition,)
        return [self._placed(topic, record) for p in wanted for record in self._records[topic.name][p]]

    def _placed(self, topic: Topic, record: Record) -> Record:
        return record._replace(offset=self.generations.position(topic.name, record.partition, record.offset))

    def lose_tail(self, topic: Topic, partition: int, n: int) -> list[Record]:
        """What a power cut does: the newest records were acknowledged and are not there any more. Gives them."""
        records = self._records[topic.name][partition]
        lost = records[max(0, len(records) - n) :]
        del records[len(records) - len(lost) :]
        self.elections += 1
        return lost

    async def count_elections(self, topics: Sequence[Topic]) -> int:
        return self.elections

    async def read_generations(self) -> bool:
        """All clients of this log read at once what one of them reads."""
        records = self._records[GENERATIONS.name][0][self._generations_read :]
        self._generations_read += len(records)
        new = [self.generations.add(decode(GENERATIONS, record.value).data, record.timestamp_ms) for record in records]
        return any(new)

    async def append(self, topic: Topic, entries: Mapping[int, Sequence[Entry]]) -> dict[int, int]:
        await asyncio.sleep(0)
        bases = {}
        for partition, found in entries.items():
            for key, value in found:
                bases.setdefault(partition, self.put(topic, partition, key, value))
        self.stamped_ms = self.clock.ms
        await asyncio.sleep(0)
        return bases

    async def append_keyed(self, topic: Topic, entries: Sequence[tuple[bytes, bytes]]) -> list[Place]:
        found = by_key(topic, entries)
        bases = await self.append(topic, found)
        return in_order(topic, entries, {p: range(bases[p], bases[p] + len(some)) for p, some in found.items()})

    async def starts(self, topic: Topic) -> dict[int, int]:
        known = self.generations
        return {p: known.position(topic.name, p, self._starts.get((topic.name, p), 0)) for p in range(topic.partitions)}

    async def ends(self, topic: Topic) -> dict[int, int]:
        known = self.generations
        return {p: known.position(topic.name, p, len(self._records[topic.name][p])) for p in range(topic.partitions)}

    async def since(self, topic: Topic, at_ms: int) -> dict[int, int]:
        found = {}
        for p, end in (await self.ends(topic)).items():
            records = self._records[topic.name][p][self._starts.get((topic.name, p), 0) :]
            found[p] = next((self._placed(topic, one).offset for one in records if one.timestamp_ms >= at_ms), end)
        return found

    async def read(self, topic: Topic, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        start, end = (self.generations.offset(topic.name, partition, at) for at in (start, end))
        if start < end and start < self._starts.get((topic.name, partition), 0):
            raise IndexError(f"{topic.name}/{partition}: offset {start} was deleted")
        while start < end:
            await asyncio.sleep(0)
            records = self._records[topic.name][partition][start : min(end, start + self.chunk)]
            if records:
                start = records[-1].offset + 1
                yield [self._placed(topic, record) for record in records]

    async def read_ranges(self, topic: Topic, ranges: Mapping[int, tuple[int, int]]) -> AsyncIterator[list[Record]]:
        for p, (start, end) in ranges.items():
            async for records in self.read(topic, p, start, end):
                yield records

    async def identity(self, topics: Sequence[Topic]) -> str:
        parts = [self.cluster]
        for topic in topics:
            if topic.name not in self._records:
                raise WrongLog(f"topic {topic.name} does not exist")
            count = len(self._records[topic.name])
            if count != topic.partitions:
                raise WrongLog(f"topic {topic.name} has {count} partitions, but the topic table requires {topic.partitions}")
            parts.append(f"{topic.name}={self._ids[topic.name]}:{count}")
        return "|".join(parts)
