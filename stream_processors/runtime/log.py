"""The port to the log, and its Kafka side: append and know where it landed, read a range, know which log this is.

All places are positions (generations.py); the broker's offsets are known here only.
Invariant: `append` returns only after the broker acknowledged (acks=all, idempotent), with the position of the first record;
records of one call stand side by side, or it raises. None lands where one stood that was acknowledged to this process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError, KafkaUnavailableError
from aiokafka.partitioner import murmur2

from schemas.codec import CodecError, decode
from schemas.topics import GENERATIONS, MAX_RECORD_BYTES, Topic
from stream_processors.runtime.cluster_identity import count_elections, describe
from stream_processors.runtime.generations import Generations
from stream_processors.runtime.settings import Settings


class Record(NamedTuple):
    """A record as it stands in the log; `offset` is its position, `timestamp_ms` is LogAppendTime."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


Entry = tuple[bytes | None, bytes]
Place = tuple[int, int]
"""Partition and position."""


class LostLog(RuntimeError):
    """An append did not land where it had to: another owner of the partition lives, or the log was changed."""


class CannotLook(RuntimeError):
    """The broker did not answer a look-up, or not in time: nothing is known, and nothing was done. It may be asked again."""


def is_transient(error: BaseException) -> bool:
    """Whether Kafka may well answer the same question a moment later: it is not reachable, or about to choose a leader."""
    if isinstance(error, KafkaError):
        return bool(error.retriable) or isinstance(error, (KafkaTimeoutError, KafkaUnavailableError))
    return isinstance(error, (OSError, TimeoutError))


@contextlib.contextmanager
def looking(what: str) -> Iterator[None]:
    """CannotLook for an error that will pass; any other is itself."""
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        if not is_transient(error):
            raise
        raise CannotLook(f"{what}: {describe_error(error)}") from error


def describe_error(error: BaseException) -> str:
    """Its kind and what it says; aiokafka's say their kind themselves."""
    name, text = type(error).__name__, str(error)
    return text if name in text else f"{name}: {text}"


class DamagedLog(LostLog):
    """The broker lost records that it had acknowledged. Nothing is decided before somebody has looked at it."""


CURE = "run `liandong recover`: it shows what is lost, and opens a new generation of the log so that everything goes on"


def check_landing(topic: str, partition: int, offset: int, newest: int) -> None:
    """`newest`: the offset that was acknowledged last when the append began."""
    if offset <= newest:
        raise DamagedLog(
            f"{topic}/{partition}: a record landed at {offset}, although {newest} was acknowledged before: the broker lost "
            f"records that it had acknowledged; {CURE}"
        )


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
    """What reads ranges needs of the log."""

    @property
    def generations(self) -> Generations: ...

    async def starts(self, topic: Topic) -> dict[int, int]: ...

    async def ends(self, topic: Topic) -> dict[int, int]: ...

    def read(self, topic: Topic, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        """The records from `start` up to, not including, `end`, in chunks."""

    def read_ranges(self, topic: Topic, ranges: Mapping[int, tuple[int, int]]) -> AsyncIterator[list[Record]]:
        """The same of several partitions, in chunks of one partition."""


class Log(RecordReader, Protocol):
    async def append(self, topic: Topic, entries: Mapping[int, Sequence[Entry]]) -> dict[int, int]:
        """Appends by partition; the position at which each partition's first entry landed."""

    async def append_keyed(self, topic: Topic, entries: Sequence[tuple[bytes, bytes]]) -> list[Place]:
        """Appends each entry to the partition of its key, in order a partition; where each landed. Others may write there too."""

    @property
    def stamped_ms(self) -> int | None:
        """LogAppendTime of the newest append: the broker's clock a moment ago. None before the first."""

    async def since(self, topic: Topic, at_ms: int) -> dict[int, int]:
        """The first position of each partition whose LogAppendTime is not before a time; its end where there is none."""

    async def read_generations(self) -> bool:
        """Reads what was opened since the last call; whether there was something."""

    async def count_elections(self, topics: Sequence[Topic]) -> int:
        """How often the partitions of these topics got a leader: while it is the same, no broker can have lost anything."""

    async def identity(self, topics: Sequence[Topic]) -> str:
        """Cluster, topic ids and partition counts: two logs with one identity are the same log."""


class KafkaReader:
    """What only reads: a consumer without a group, one range at a time."""

    def __init__(self, common: Mapping[str, Any]) -> None:
        self._common: dict[str, Any] = dict(common)
        self._reader: AIOKafkaConsumer | None = None
        self._reading = asyncio.Lock()
        self._generations = Generations()
        self._generations_read: int | None = None

    @property
    def generations(self) -> Generations:
        return self._generations

    async def open(self) -> None:
        self._reader = AIOKafkaConsumer(
            **self._common,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=4 << 20,
        )
        await self._reader.start()
        await self.read_generations()

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.stop()

    def _partitions(self, topic: Topic) -> list[TopicPartition]:
        return [TopicPartition(topic.name, p) for p in range(topic.partitions)]

    async def starts(self, topic: Topic) -> dict[int, int]:
        assert self._reader is not None
        with looking(f"the beginnings of {topic.name}"):
            return self._positions(await self._reader.beginning_offsets(self._partitions(topic)))

    async def ends(self, topic: Topic) -> dict[int, int]:
        assert self._reader is not None
        with looking(f"the ends of {topic.name}"):
            return self._positions(await self._reader.end_offsets(self._partitions(topic)))

    def _positions(self, offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
        return {tp.partition: self._generations.position(tp.topic, tp.partition, at) for tp, at in offsets.items()}

    async def since(self, topic: Topic, at_ms: int) -> dict[int, int]:
        assert self._reader is not None
        ends = await self.ends(topic)
        with looking(f"the offsets of {topic.name} by time"):
            offsets = await self._reader.offsets_for_times(dict.fromkeys(self._partitions(topic), at_ms))
        later = self._positions({tp: at.offset for tp, at in offsets.items() if at is not None})
        return {p: later.get(p, end) for p, end in ends.items()}

    async def read(self, topic: Topic, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        async for records in self.read_ranges(topic, {partition: (start, end)}):
            yield records

    async def read_ranges(self, topic: Topic, ranges: Mapping[int, tuple[int, int]]) -> AsyncIterator[list[Record]]:
        generations = self._generations
        offsets = {
            TopicPartition(topic.name, p): (generations.offset(topic.name, p, start), generations.offset(topic.name, p, end))
            for p, (start, end) in ranges.items()
        }
        async for tp, records in self._read(offsets):
            yield [
                Record(tp.partition, generations.position(tp.topic, tp.partition, r.offset), r.timestamp, r.key, r.value)
                for r in records
            ]

    async def _read(self, ranges: Mapping[TopicPartition, tuple[int, int]]) -> AsyncIterator[tuple[TopicPartition, list[Any]]]:
        assert self._reader is not None
        remaining = {tp: end for tp, (start, end) in ranges.items() if start < end}
        if not remaining:
            return
        async with self._reading:
            self._reader.assign(list(remaining))
            for tp in remaining:
                self._reader.seek(tp, ranges[tp][0])
            while remaining:
                batches = await self._reader.getmany(*remaining, timeout_ms=1000, max_records=2000)
                for tp, batch in batches.items():
                    records = [record for record in batch if record.offset < remaining[tp]]
                    if batch[-1].offset + 1 >= remaining[tp]:
                        del remaining[tp]
                    if records:
                        yield tp, records

    async def read_generations(self) -> bool:
        """A log without the topic never had a newer one. Whether it is there is looked at until it is."""
        assert self._reader is not None
        tp = TopicPartition(GENERATIONS.name, 0)
        with looking("the generations of the log"):
            if self._generations_read is None:
                if GENERATIONS.name not in await self._reader.topics():
                    return False
                self._generations_read = 0
            end = (await self._reader.end_offsets([tp]))[tp]
        if end < self._generations_read:
            raise DamagedLog(f"{GENERATIONS.name} ends at {end}, it was read up to {self._generations_read}; {CURE}")
        is_new = False
        async for _, records in self._read({tp: (self._generations_read, end)}):
            for record in records:
                self._generations_read = record.offset + 1
                with contextlib.suppress(CodecError):  # whoever wrote that, it opens nothing
                    is_new |= self._generations.add(decode(GENERATIONS, record.value).data, record.timestamp)
        return is_new

    async def count_elections(self, topics: Sequence[Topic]) -> int:
        with looking("the elections of the log"):
            return await count_elections(self._common, topics)

    async def identity(self, topics: Sequence[Topic]) -> str:
        with looking("the identity of the log"):
            return await describe(self._common, topics)


class KafkaLog(KafkaReader):
    """The log in Kafka: the reader, and one producer."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        super().__init__({"bootstrap_servers": settings.kafka_bootstrap, "client_id": client_id, **settings.kafka_auth()})
        self._producer: AIOKafkaProducer | None = None
        self._stamped_ms: int | None = None
        self._newest: dict[tuple[str, int], int] = {}

    @property
    def stamped_ms(self) -> int | None:
        return self._stamped_ms

    @property
    def client_options(self) -> dict[str, Any]:
        """What any client needs to reach this log."""
        return dict(self._common)

    async def open(self) -> None:
        await super().open()
        self._producer = AIOKafkaProducer(
            **self._common,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=MAX_RECORD_BYTES - 65536,
            max_request_size=8 * MAX_RECORD_BYTES,
            request_timeout_ms=15_000,
        )
        await self._producer.start()

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.stop()
        await super().close()

    async def append(self, topic: Topic, entries: Mapping[int, Sequence[Entry]]) -> dict[int, int]:
        newest = {p: self._newest.get((topic.name, p), -1) for p in entries}
        sent = [(p, await self._send(topic.name, p, own)) for p, own in entries.items() if own]
        bases: dict[int, int] = {}
        for partition, futures in sent:
            expected: int | None = None
            for future, n in futures:
                offset = await self._await_offset(future)
                if expected is not None and offset != expected:
                    raise LostLog(f"{topic.name}/{partition}: a batch landed at {offset}, not at {expected}")
                self._check_landing(topic.name, partition, offset, n, newest[partition])
                bases.setdefault(partition, self._generations.position(topic.name, partition, offset))
                expected = offset + n
        return bases

    def _check_landing(self, topic: str, partition: int, offset: int, n: int, newest: int) -> None:
        check_landing(topic, partition, offset, newest)
        self._newest[topic, partition] = max(self._newest.get((topic, partition), -1), offset + n - 1)

    async def _send(self, topic: str, partition: int, entries: Sequence[Entry]) -> list[tuple[Any, int]]:
        assert self._producer is not None
        futures = []
        batch = self._producer.create_batch()
        for key, value in entries:
            if batch.append(key=key, value=value, timestamp=None) is None:
                futures.append((await self._producer.send_batch(batch, topic, partition=partition), batch.record_count()))
                batch = self._producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None) is None:
                    raise ValueError(f"a record of {len(value)} bytes is too large for {topic}")
        futures.append((await self._producer.send_batch(batch, topic, partition=partition), batch.record_count()))
        return futures

    async def _await_offset(self, sent: Any) -> int:
        """Where the first record of an acknowledged batch stands."""
        metadata = await sent
        self._stamped_ms = metadata.timestamp
        return int(metadata.offset)

    async def append_keyed(self, topic: Topic, entries: Sequence[tuple[bytes, bytes]]) -> list[Place]:
        positions: dict[int, list[int]] = {}
        by_partition = by_key(topic, entries)
        newest = {p: self._newest.get((topic.name, p), -1) for p in by_partition}
        sent = [(p, await self._send(topic.name, p, some)) for p, some in by_partition.items()]
        for partition, futures in sent:
            positions[partition] = []
            for future, n in futures:
                offset = await self._await_offset(future)
                self._check_landing(topic.name, partition, offset, n, newest[partition])
                first = self._generations.position(topic.name, partition, offset)
                positions[partition] += range(first, first + n)
        return in_order(topic, entries, positions)
