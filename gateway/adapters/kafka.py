"""The port to the log, and its Kafka side: appends records and returns their positions.

Invariant: a Position is returned only after the broker acknowledged (acks=all, idempotent), in a topic with as many copies as the
table requires, and no position twice: a log that lost acknowledged records accepts nothing before `liandong recover`. A failure
in one partition does not affect the others (gateway/adapters/producers.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from gateway.adapters.cluster_watch import ClusterWatch, Health
from gateway.adapters.producers import RECONNECT_S, Producer, Producers, Serving
from schemas.topics import APPRAISAL_COMMANDS, CASE_COMMANDS, RETRACTIONS, SUBMITTED, TOPICS, Topic
from stream_processors.runtime.damage import find_damage
from stream_processors.runtime.generations import Generations
from stream_processors.runtime.kafka import KafkaReader, Landings, OversizedRecord, fill_batches, make_producer
from stream_processors.runtime.log import CannotLook, DamagedLog, KeyedEntry, partition_of
from stream_processors.runtime.topic_check import WrongTopics

logger = logging.getLogger("liandong.gateway")

WRITTEN = tuple(topic for topic in TOPICS.values() if "gateway" in topic.producers)
_OPEN_S = 5.0
Answer = TypeVar("Answer")


class Position(NamedTuple):
    """`offset` is the position (stream_processors/runtime/generations.py), `timestamp_ms` the broker's LogAppendTime."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    generation: int = 0


class Span(NamedTuple):
    """By partition: the first retained record, and the position of the next one."""

    starts: dict[int, int]
    ends: dict[int, int]


class LogUnavailable(RuntimeError):
    """The broker is unavailable or did not answer in time: the log may or may not have the record."""


DAMAGED = "the log lost acknowledged records; the gateway accepts nothing until the operator has recovered the log"
_LOOKED_AT = (SUBMITTED, RETRACTIONS, CASE_COMMANDS, APPRAISAL_COMMANDS)


class RequestLog:
    """The log in Kafka. `open` does not wait for the broker: until it is there, every append returns LogUnavailable. Nothing is
    appended before the log was compared with the recorded positions, and `watch` continues the comparison."""

    def __init__(self, common: dict[str, Any], append_timeout_s: float) -> None:
        self._common = common
        self._timeout_s = append_timeout_s
        self._watch = ClusterWatch(common, WRITTEN)
        self._producers = Producers(self._make_new, _check_topics, lambda: self._watch.answers, self._timeout_s, self._look_first)
        self._reader: KafkaReader | None = None
        self._reading = asyncio.Lock()
        self._generations = Generations()
        self._damages: dict[str, str] = {}
        self._landings = Landings()
        self._comparing: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """Whether anything can be appended at all."""
        return self._producers.current is not None and self._watch.is_checked

    @property
    def health(self) -> Health:
        """Whether an append would be acknowledged, by the last observation of the cluster."""
        health = self._watch.health
        if health.is_ready and not self.connected:
            return Health(False, "no connection to the broker, or topics are missing")
        return health

    @property
    def damage(self) -> str | None:
        """Why nothing is appended although the broker answers: the sentence for the operator."""
        return "; ".join(dict.fromkeys(self._damages.values())) or None

    @property
    def generations(self) -> Generations:
        return self._generations

    def report(self, source: str, sentence: str | None) -> None:
        """Stores what `source` knows of lost records; None withdraws it."""
        if sentence is None:
            self._damages.pop(source, None)
        elif self._damages.get(source) != sentence:
            logger.error("the gateway acknowledges nothing: %s", sentence)
            self._damages[source] = sentence

    async def compare(self) -> None:
        """Compares the log with its own facts. LogUnavailable if the broker does not answer."""
        damages = await self._ask_reader(lambda reader: find_damage(reader, _LOOKED_AT))
        self.report("facts", "; ".join(map(str, damages)) or None)

    async def follow_generations(self) -> None:
        """Reads newly opened generations, and checks known losses again. It also replaces the producer, because the broker no
        longer knows its batches. LogUnavailable as above."""
        if await self._ask_reader(KafkaReader.read_generations):
            self._landings.forget()
            self._damages.pop("landing", None)
            await self.compare()
            self._producers.renew(LogUnavailable("a new generation of the log was opened"))

    async def open(self) -> None:
        self._watch.open()
        await self._producers.open(_OPEN_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._watch.has_looked.wait(), _OPEN_S)

    async def close(self) -> None:
        if self._comparing is not None:
            self._comparing.cancel()
        await self._watch.close()
        await self._producers.close()
        await self._close_reader()

    async def _look_first(self) -> None:
        """Compares the log before the first append. While another producer serves, it compares beside it: waiting for a broker
        that does not answer would delay the other partitions."""
        if self._producers.current is not None:
            self._compare_beside()
            return
        try:
            await self.compare()
        except LogUnavailable as error:
            raise KafkaError(f"the log could not be compared with the recorded positions: {error}") from error

    def _compare_beside(self) -> None:
        if self._comparing is None or self._comparing.done():
            self._comparing = asyncio.create_task(self._compare_soon())

    async def _compare_soon(self) -> None:
        while True:
            try:
                return await self.compare()
            except LogUnavailable:
                await asyncio.sleep(RECONNECT_S)

    def _make_new(self) -> AIOKafkaProducer:
        common = {**self._common, "bootstrap_servers": self._watch.bootstrap()}
        return make_producer(common, timeout_ms=int(self._timeout_s * 1000), metadata_max_age_ms=60_000)

    async def append(self, topic: Topic, entries: Sequence[KeyedEntry]) -> list[Position | LogUnavailable]:
        """Appends each entry to the partition of its key; returns for each its position, or that it is unknown. Never raises."""
        if self._damages:
            return [LogUnavailable(DAMAGED)] * len(entries)
        serving = self._producers.current
        if serving is None or not self._watch.is_checked:
            return [LogUnavailable("no connection to the broker, or its topics do not match the topic table")] * len(entries)
        before = self._landings.newest(topic, range(topic.partitions))
        landed: list[Position | LogUnavailable] = [LogUnavailable("the broker did not acknowledge in time")] * len(entries)
        sent: dict[int, list[int]] = {}
        for index, entry in enumerate(entries):
            sent.setdefault(partition_of(entry.key, topic.partitions), []).append(index)
        for partition in list(sent):
            if why := self._why_not(serving, topic, partition):
                for index in sent.pop(partition):
                    landed[index] = LogUnavailable(why)
        if sent:
            with serving.use():
                await self._send_entries(serving, topic, entries, sent, landed)
        return [self._position_of(topic, place, before) for place in landed]

    def _why_not(self, serving: Serving, topic: Topic, partition: int) -> str | None:
        if TopicPartition(topic.name, partition) in serving.barred:
            return f"partition {partition} did not acknowledge the last record in time"
        return self._watch.why_not(topic, partition)

    async def _send_entries(
        self,
        serving: Serving,
        topic: Topic,
        entries: Sequence[KeyedEntry],
        sent: Mapping[int, list[int]],
        landed: list[Position | LogUnavailable],
    ) -> None:
        """Sends to each partition separately: a failure or delay in one does not affect the others."""
        errors: dict[int, Exception] = {}
        try:
            async with asyncio.timeout(self._timeout_s):
                if len(entries) == 1:
                    await _send_one(serving.producer, topic, entries[0], landed, errors)
                else:
                    await _send_many(serving.producer, topic, entries, sent, landed, errors)
        except TimeoutError:
            late = [p for p, indexes in sent.items() if any(not isinstance(landed[index], Position) for index in indexes)]
            errors |= {p: TimeoutError("the broker did not acknowledge in time") for p in late if p not in errors}
        for partition, error in errors.items():
            if not isinstance(error, OversizedRecord):  # then the producer is well
                self._producers.fail(serving, [TopicPartition(topic.name, partition)], error)

    def _position_of(
        self, topic: Topic, place: Position | LogUnavailable, before: Mapping[int, int]
    ) -> Position | LogUnavailable:
        """The position of an offset. `before`: the newest acknowledged ones when the append began."""
        if isinstance(place, LogUnavailable):
            return place
        try:
            self._landings.check(topic, place.partition, place.offset, 1, before)
        except DamagedLog as error:
            self.report("landing", str(error))
            return LogUnavailable(DAMAGED)
        position = self._generations.position(topic.name, place.partition, place.offset)
        return place._replace(offset=position, generation=self._generations.generation(topic.name, place.partition, position))

    async def span(self, topic: Topic) -> Span:
        """The first and the next offset of each partition. LogUnavailable if the broker does not answer."""

        async def ask(reader: KafkaReader) -> Span:
            return Span(await reader.starts(topic), await reader.ends(topic))

        return await self._ask_reader(ask)

    async def _ask_reader(self, ask: Callable[[KafkaReader], Awaitable[Answer]]) -> Answer:
        """Asks the broker, one request at a time: a failure closes the reader."""
        async with self._reading:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await ask(self._reader or await self._open_reader())
            except (KafkaError, OSError, TimeoutError, CannotLook) as error:
                await self._close_reader()
                raise LogUnavailable(f"{type(error).__name__}: {error}") from error
            except DamagedLog as error:
                await self._close_reader()
                self.report("generations", str(error))
                raise LogUnavailable(str(error)) from error

    async def _open_reader(self) -> KafkaReader:
        self._reader = KafkaReader(self._common)
        await self._reader.open()
        self._generations = self._reader.generations
        return self._reader

    async def _close_reader(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(reader.close(), 2)


async def _check_topics(producer: AIOKafkaProducer) -> None:
    for topic in WRITTEN:
        there = await producer.partitions_for(topic.name)
        if len(there) != topic.partitions:
            raise WrongTopics(f"topic {topic.name} has {len(there)} partitions, but the topic table requires {topic.partitions}")


def _read_place(topic: Topic, partition: int, acknowledged: Any) -> Position:
    """The position. A broker that knows a batch but no longer its position acknowledges it without one."""
    if acknowledged.offset < 0:
        raise LogUnavailable("the broker acknowledged the record without a position")
    return Position(topic.name, partition, acknowledged.offset, acknowledged.timestamp)


async def _send_one(
    producer: Producer, topic: Topic, entry: KeyedEntry, landed: list[Position | LogUnavailable], errors: dict[int, Exception]
) -> None:
    partition = partition_of(entry.key, topic.partitions)
    try:
        future = await producer.send(topic.name, entry.value, entry.key, partition)
        landed[0] = _read_place(topic, partition, await future)
    except (KafkaError, OSError, LogUnavailable) as error:
        errors[partition] = error


async def _send_many(
    producer: Producer,
    topic: Topic,
    entries: Sequence[KeyedEntry],
    sent: Mapping[int, list[int]],
    landed: list[Position | LogUnavailable],
    errors: dict[int, Exception],
) -> None:
    """Sends one or a few whole batches for each partition: ten times faster than a future for each record."""

    async def send_partition(partition: int, indexes: list[int]) -> None:
        batches = fill_batches(producer, [entries[index] for index in indexes])
        waiting = [(await producer.send_batch(batch, topic.name, partition=partition), count) for batch, count in batches]
        unplaced = iter(indexes)
        for future, count in waiting:
            first = _read_place(topic, partition, await future)
            for n, index in enumerate(itertools.islice(unplaced, count)):
                landed[index] = first._replace(offset=first.offset + n)

    results = await asyncio.gather(*(send_partition(p, indexes) for p, indexes in sent.items()), return_exceptions=True)
    for partition, result in zip(sent, results, strict=True):
        if isinstance(result, (KafkaError, OSError, LogUnavailable, OversizedRecord)):
            errors[partition] = result
        elif isinstance(result, BaseException):
            raise result
