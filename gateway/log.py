"""The port to the log, and its Kafka side: append and know where each record landed.

Invariant: a Position is given only after the broker acknowledged (acks=all, idempotent), in a topic that keeps as many copies as
the table promises. What does not get there in one partition is no matter of the others (gateway/producers.py).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from gateway.cluster import ClusterWatch, Health
from gateway.producers import Producer, Producers, Serving
from schemas.topics import MAX_RECORD_BYTES, TOPICS, Topic
from stream_processors.log import partition_of
from stream_processors.topic_check import WrongTopics

WRITTEN = tuple(topic for topic in TOPICS.values() if "gateway" in topic.producers)
_OPEN_S = 5.0


class Position(NamedTuple):
    """Where a record stands; `timestamp_ms` is the broker's LogAppendTime."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


class Entry(NamedTuple):
    key: bytes
    value: bytes


class Span(NamedTuple):
    """By partition: the first record that retention left, and where the next one will stand."""

    starts: dict[int, int]
    ends: dict[int, int]


class LogUnavailable(RuntimeError):
    """The broker is away or did not answer in time: the record may be in the log, or not."""


class Log(Protocol):
    async def append(self, topic: Topic, entries: Sequence[Entry]) -> list[Position | LogUnavailable]:
        """Appends each entry to the partition of its key; for each its place, or that it is not known. Never raises."""

    async def span(self, topic: Topic) -> Span:
        """The first and the next offset of each partition. LogUnavailable when the broker does not tell."""

    @property
    def connected(self) -> bool:
        """Whether anything can be appended at all."""

    @property
    def health(self) -> Health:
        """Whether an append would be acknowledged, by what was seen of the cluster a moment ago."""


class KafkaLog:
    """The log in Kafka. `open` does not wait for the broker: until it is there, every append answers LogUnavailable."""

    def __init__(self, common: dict[str, Any], append_timeout_s: float) -> None:
        self._common = common
        self._timeout_s = append_timeout_s
        self._watch = ClusterWatch(common, WRITTEN)
        self._producers = Producers(self._make, _check_topics, lambda: self._watch.answers, append_timeout_s)
        self._reader: AIOKafkaConsumer | None = None
        self._reading = asyncio.Lock()

    @property
    def connected(self) -> bool:
        return self._producers.current is not None and self._watch.is_checked

    @property
    def health(self) -> Health:
        health = self._watch.health
        if health.is_ready and not self.connected:
            return Health(False, "no connection, or topics are missing")
        return health

    async def open(self) -> None:
        self._watch.open()
        await self._producers.open(_OPEN_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._watch.seen.wait(), _OPEN_S)

    async def close(self) -> None:
        await self._watch.close()
        await self._producers.close()
        await self._close_reader()

    def _make(self) -> AIOKafkaProducer:
        options = {**self._common, "bootstrap_servers": self._watch.bootstrap()}
        return AIOKafkaProducer(
            **options,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_batch_size=MAX_RECORD_BYTES - 65536,
            max_request_size=8 * MAX_RECORD_BYTES,
            request_timeout_ms=int(self._timeout_s * 1000),
            metadata_max_age_ms=60_000,
        )

    async def append(self, topic: Topic, entries: Sequence[Entry]) -> list[Position | LogUnavailable]:
        serving = self._producers.current
        if serving is None or not self._watch.is_checked:
            return [LogUnavailable("no connection to the broker, or its topics are not as the table wants them")] * len(entries)
        landed: list[Position | LogUnavailable] = [LogUnavailable("not acknowledged in time")] * len(entries)
        sent: dict[int, list[int]] = {}
        for index, entry in enumerate(entries):
            sent.setdefault(partition_of(entry.key, topic.partitions), []).append(index)
        for partition in list(sent):
            if why := self._why_not(serving, topic, partition):
                for index in sent.pop(partition):
                    landed[index] = LogUnavailable(why)
        if sent:
            with serving.use():
                await self._send(serving, topic, entries, sent, landed)
        return landed

    def _why_not(self, serving: Serving, topic: Topic, partition: int) -> str | None:
        if TopicPartition(topic.name, partition) in serving.barred:
            return f"partition {partition} did not acknowledge a moment ago"
        return self._watch.why_not(topic, partition)

    async def _send(
        self,
        serving: Serving,
        topic: Topic,
        entries: Sequence[Entry],
        sent: Mapping[int, list[int]],
        landed: list[Position | LogUnavailable],
    ) -> None:
        """Sends to each partition by itself: what fails or is late in one is no matter of the others."""
        errors: dict[int, Exception] = {}
        try:
            async with asyncio.timeout(self._timeout_s):
                if len(entries) == 1:
                    await _send_one(serving.producer, topic, entries[0], landed, errors)
                else:
                    await _send_many(serving.producer, topic, entries, sent, landed, errors)
        except TimeoutError:
            late = [p for p, indexes in sent.items() if any(not isinstance(landed[index], Position) for index in indexes)]
            errors |= {p: TimeoutError("not acknowledged in time") for p in late if p not in errors}
        for partition, error in errors.items():
            if isinstance(error, _TooLarge):
                continue
            self._producers.fail(serving, [TopicPartition(topic.name, partition)], error)

    async def span(self, topic: Topic) -> Span:
        partitions = [TopicPartition(topic.name, p) for p in range(topic.partitions)]
        async with self._reading:  # one asks at a time: whoever fails closes the reader
            try:
                async with asyncio.timeout(self._timeout_s):
                    reader = self._reader or await self._open_reader()
                    starts = await reader.beginning_offsets(partitions)
                    ends = await reader.end_offsets(partitions)
            except (KafkaError, OSError, TimeoutError) as error:
                await self._close_reader()
                raise LogUnavailable(f"{type(error).__name__}: {error}") from error
        return Span({tp.partition: at for tp, at in starts.items()}, {tp.partition: at for tp, at in ends.items()})

    async def _open_reader(self) -> AIOKafkaConsumer:
        self._reader = AIOKafkaConsumer(**self._common, enable_auto_commit=False)
        await self._reader.start()
        return self._reader

    async def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(reader.stop(), 2)


class _TooLarge(LogUnavailable):
    """The record itself cannot be sent; the producer is well."""


async def _check_topics(producer: AIOKafkaProducer) -> None:
    for topic in WRITTEN:
        there = await producer.partitions_for(topic.name)
        if len(there) != topic.partitions:
            raise WrongTopics(f"topic {topic.name} has {len(there)} partitions, the topic table says {topic.partitions}")


def _place(topic: Topic, partition: int, acknowledged: Any) -> Position:
    """Where it stands. A broker that knows a batch but not its place any more acknowledges it without one."""
    if acknowledged.offset < 0:
        raise LogUnavailable("acknowledged without a place")
    return Position(topic.name, partition, acknowledged.offset, acknowledged.timestamp)


async def _send_one(
    producer: Producer, topic: Topic, entry: Entry, landed: list[Position | LogUnavailable], errors: dict[int, Exception]
) -> None:
    partition = partition_of(entry.key, topic.partitions)
    try:
        future = await producer.send(topic.name, entry.value, entry.key, partition)
        landed[0] = _place(topic, partition, await future)
    except (KafkaError, OSError, LogUnavailable) as error:
        errors[partition] = error


async def _send_many(
    producer: Producer,
    topic: Topic,
    entries: Sequence[Entry],
    sent: Mapping[int, list[int]],
    landed: list[Position | LogUnavailable],
    errors: dict[int, Exception],
) -> None:
    """One or a few whole batches a partition: an order faster than a future a record."""

    async def one(partition: int, indexes: list[int]) -> None:
        waiting = []
        while indexes:
            batch = producer.create_batch()
            n = 0
            while n < len(indexes) and batch.append(key=entries[indexes[n]].key, value=entries[indexes[n]].value, timestamp=None):
                n += 1
            if n == 0:
                raise _TooLarge("a record is larger than a batch")
            batch.close()
            waiting.append((await producer.send_batch(batch, topic.name, partition=partition), indexes[:n]))
            indexes = indexes[n:]
        for future, members in waiting:
            first = _place(topic, partition, await future)
            for n, index in enumerate(members):
                landed[index] = first._replace(offset=first.offset + n)

    results = await asyncio.gather(*(one(p, indexes) for p, indexes in sent.items()), return_exceptions=True)
    for partition, result in zip(sent, results, strict=True):
        if isinstance(result, (KafkaError, OSError, LogUnavailable)):
            errors[partition] = result
        elif isinstance(result, BaseException):
            raise result
