"""The port to the log, and its Kafka side: append and know where it landed, read a range, know which log this is.

Invariant: `append` returns only after the broker acknowledged (acks=all, idempotent), with the offset of the first record;
records of one call stand side by side, or it raises.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError, KafkaUnavailableError
from aiokafka.partitioner import murmur2

from schemas.topics import MAX_RECORD_BYTES, Topic
from stream_processors.kafka_identity import describe
from stream_processors.settings import Settings


class Record(NamedTuple):
    """A record as it stands in the log; `timestamp_ms` is LogAppendTime."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


Entry = tuple[bytes | None, bytes]
Place = tuple[int, int]
"""Partition and offset."""


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


def partition_of(key: bytes, partitions: int) -> int:
    """Kafka's own partitioner (murmur2), so that every client puts a key into the same partition."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)


def by_key(topic: Topic, entries: Sequence[tuple[bytes, bytes]]) -> dict[int, list[Entry]]:
    """Each entry under the partition of its key, in order."""
    found: dict[int, list[Entry]] = {}
    for key, value in entries:
        found.setdefault(partition_of(key, topic.partitions), []).append((key, value))
    return found


def in_order(topic: Topic, entries: Sequence[tuple[bytes, bytes]], landed: Mapping[int, Sequence[int]]) -> list[Place]:
    """The offsets of each partition's entries, back in the order of the entries."""
    left = {partition: iter(offsets) for partition, offsets in landed.items()}
    return [(p, next(left[p])) for p in (partition_of(key, topic.partitions) for key, _ in entries)]


class Log(Protocol):
    async def append(self, topic: Topic, entries: Mapping[int, Sequence[Entry]]) -> dict[int, int]:
        """Appends by partition; the offset at which each partition's first entry landed."""

    async def append_keyed(self, topic: Topic, entries: Sequence[tuple[bytes, bytes]]) -> list[Place]:
        """Appends each entry to the partition of its key, in order a partition; where each landed. Others may write there too."""

    @property
    def stamped_ms(self) -> int | None:
        """LogAppendTime of the newest append: the broker's clock a moment ago. None before the first."""

    async def starts(self, topic: Topic) -> dict[int, int]:
        """The first offset of each partition. CannotLook, here and in the look-ups below, when the broker does not say."""

    async def ends(self, topic: Topic) -> dict[int, int]: ...

    async def since(self, topic: Topic, at_ms: int) -> dict[int, int]:
        """The first offset of each partition whose LogAppendTime is not before a time; its end where there is none."""

    def read(self, topic: Topic, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        """The records from `start` up to, not including, `end`, in chunks."""

    async def identity(self, topics: Sequence[Topic]) -> str:
        """Cluster, topic ids and partition counts: two logs with one identity are the same log."""


class KafkaLog:
    """The log in Kafka. One producer; a consumer without a group for reading ranges."""

    def __init__(self, settings: Settings, client_id: str) -> None:
        self._settings = settings
        common = {"bootstrap_servers": settings.kafka_bootstrap, "client_id": client_id, **settings.kafka_auth()}
        self._common: dict[str, Any] = common
        self._producer: AIOKafkaProducer | None = None
        self._reader: AIOKafkaConsumer | None = None
        self._reading = asyncio.Lock()
        self._stamped_ms: int | None = None

    @property
    def stamped_ms(self) -> int | None:
        return self._stamped_ms

    @property
    def client_options(self) -> dict[str, Any]:
        """What any client needs to reach this log."""
        return dict(self._common)

    async def open(self) -> None:
        self._producer = AIOKafkaProducer(
            **self._common,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=MAX_RECORD_BYTES - 65536,
            max_request_size=8 * MAX_RECORD_BYTES,
            request_timeout_ms=15_000,
        )
        self._reader = AIOKafkaConsumer(
            **self._common,
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=50,
            max_partition_fetch_bytes=4 << 20,
        )
        await self._producer.start()
        await self._reader.start()

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.stop()
        if self._reader is not None:
            await self._reader.stop()

    async def append(self, topic: Topic, entries: Mapping[int, Sequence[Entry]]) -> dict[int, int]:
        sent = [(p, await self._send(topic.name, p, found)) for p, found in entries.items() if found]
        bases: dict[int, int] = {}
        for partition, futures in sent:
            expected: int | None = None
            for future, n in futures:
                landed = await self._landed(future)
                if expected is not None and landed != expected:
                    raise LostLog(f"{topic.name}/{partition}: a batch landed at {landed}, not at {expected}")
                bases.setdefault(partition, landed)
                expected = landed + n
        return bases

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

    async def _landed(self, sent: Any) -> int:
        """Where the first record of an acknowledged batch stands."""
        told = await sent
        self._stamped_ms = told.timestamp
        return int(told.offset)

    async def append_keyed(self, topic: Topic, entries: Sequence[tuple[bytes, bytes]]) -> list[Place]:
        landed: dict[int, list[int]] = {}
        sent = [(p, await self._send(topic.name, p, found)) for p, found in by_key(topic, entries).items()]
        for partition, futures in sent:
            landed[partition] = [base + at for future, n in futures for base in (await self._landed(future),) for at in range(n)]
        return in_order(topic, entries, landed)

    def _partitions(self, topic: Topic) -> list[TopicPartition]:
        return [TopicPartition(topic.name, p) for p in range(topic.partitions)]

    async def starts(self, topic: Topic) -> dict[int, int]:
        assert self._reader is not None
        with looking(f"the beginnings of {topic.name}"):
            return {tp.partition: at for tp, at in (await self._reader.beginning_offsets(self._partitions(topic))).items()}

    async def ends(self, topic: Topic) -> dict[int, int]:
        assert self._reader is not None
        with looking(f"the ends of {topic.name}"):
            return {tp.partition: at for tp, at in (await self._reader.end_offsets(self._partitions(topic))).items()}

    async def since(self, topic: Topic, at_ms: int) -> dict[int, int]:
        assert self._reader is not None
        ends = await self.ends(topic)
        with looking(f"the offsets of {topic.name} by time"):
            found = await self._reader.offsets_for_times(dict.fromkeys(self._partitions(topic), at_ms))
        return {tp.partition: ends[tp.partition] if at is None else at.offset for tp, at in found.items()}

    async def read(self, topic: Topic, partition: int, start: int, end: int) -> AsyncIterator[list[Record]]:
        assert self._reader is not None
        async with self._reading:
            tp = TopicPartition(topic.name, partition)
            self._reader.assign([tp])
            self._reader.seek(tp, start)
            while start < end:
                found = await self._reader.getmany(tp, timeout_ms=1000, max_records=2000)
                records = [Record(partition, r.offset, r.timestamp, r.key, r.value) for r in found.get(tp, []) if r.offset < end]
                if records:
                    start = records[-1].offset + 1
                    yield records

    async def identity(self, topics: Sequence[Topic]) -> str:
        with looking("the identity of the log"):
            return await describe(self._common, topics)
