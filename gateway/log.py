"""The port to the log, and its Kafka side: append and know where each record landed.

Invariant: a Position is given only after the broker acknowledged (acks=all, idempotent), and none twice: a log that lost records
which it had acknowledged takes no more before `liandong recover`. A producer that failed once is thrown away with all that it
holds: an idempotent one can get stuck behind an expired batch.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from gateway.metrics import METRICS
from schemas.topics import ACTIONS, DELIVERED, MAX_RECORD_BYTES, OVERSIGHT, RETRACTIONS, SUBMITTED, Topic
from stream_processors.damage import find_damage
from stream_processors.generations import Generations
from stream_processors.log import DamagedLog, KafkaReader, check_landing, partition_of

logger = logging.getLogger("liandong.gateway")

_RECONNECT_S = 1.0
Answer = TypeVar("Answer")


class Position(NamedTuple):
    """Where a record stands: `offset` is its position (stream_processors/generations.py), `timestamp_ms` the broker's
    LogAppendTime."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    generation: int = 0


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
    def connected(self) -> bool: ...

    @property
    def damage(self) -> str | None:
        """Why nothing is appended although the broker is there: the sentence for the operator."""

    @property
    def generations(self) -> Generations: ...


DAMAGED = "the log lost records that it had acknowledged; nothing is taken before its operator has looked at it"
_LOOKED_AT = (SUBMITTED, RETRACTIONS, ACTIONS, OVERSIGHT)


class KafkaLog:
    """The log in Kafka. `open` does not wait for the broker: until it is there, every append answers LogUnavailable. Nothing is
    appended before the log was compared with what is known of it, and `watch` goes on comparing."""

    def __init__(self, common: dict[str, Any], append_timeout_s: float) -> None:
        self._common = common
        self._timeout_s = append_timeout_s
        self._producer: AIOKafkaProducer | None = None
        self._reader: KafkaReader | None = None
        self._reading = asyncio.Lock()
        self._generations = Generations()
        self._damages: dict[str, str] = {}
        self._newest: dict[tuple[str, int], int] = {}
        self._connecting: asyncio.Task[None] | None = None
        self._discards: set[asyncio.Task[None]] = set()

    @property
    def connected(self) -> bool:
        return self._producer is not None

    @property
    def damage(self) -> str | None:
        return "; ".join(dict.fromkeys(self._damages.values())) or None

    @property
    def generations(self) -> Generations:
        return self._generations

    def report(self, source: str, sentence: str | None) -> None:
        """What `source` knows of lost records; None takes it back."""
        if sentence is None:
            self._damages.pop(source, None)
        elif self._damages.get(source) != sentence:
            logger.error("nothing is acknowledged: %s", sentence)
            self._damages[source] = sentence

    async def compare(self) -> None:
        """Compares the log with what its own facts tell of it. LogUnavailable when the broker does not answer."""
        damages = await self._ask(lambda reader: find_damage(reader, _LOOKED_AT))
        self.report("facts", "; ".join(map(str, damages)) or None)

    async def follow_generations(self) -> None:
        """Takes newly opened generations: what was known of lost records is looked at anew. So is the producer, for the broker
        knows nothing any more of its batches. LogUnavailable as above."""
        if await self._ask(KafkaReader.read_generations):
            self._newest.clear()
            self._damages.pop("landing", None)
            await self.compare()
            if self._producer is not None:
                self._discard(self._producer, LogUnavailable("a new generation of the log was opened"))

    async def open(self) -> None:
        self._connecting = asyncio.create_task(self._connect())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._connecting), 5)

    async def close(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
        if self._producer is not None:
            with contextlib.suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(self._producer.stop(), self._timeout_s)
        await self._close_reader()
        if self._discards:
            await asyncio.wait(self._discards, timeout=2)

    async def _connect(self) -> None:
        """Tries until there is a producer that knows our topics."""
        while self._producer is None:
            producer = AIOKafkaProducer(
                **self._common,
                acks="all",
                enable_idempotence=True,
                linger_ms=0,
                max_batch_size=MAX_RECORD_BYTES - 65536,
                max_request_size=8 * MAX_RECORD_BYTES,
                request_timeout_ms=int(self._timeout_s * 1000),
                metadata_max_age_ms=60_000,
            )
            try:
                await producer.start()
                await _check_topics(producer)
                await self.compare()
                self._producer = producer
            except (KafkaError, OSError, WrongTopics, LogUnavailable) as error:
                logger.warning("no producer yet: %s", error)
                await _throw_away(producer, error)
                await asyncio.sleep(_RECONNECT_S)
            except asyncio.CancelledError:
                await _throw_away(producer, LogUnavailable("closing"))
                raise

    def _discard(self, producer: AIOKafkaProducer, error: BaseException) -> None:
        """Replaces a failed producer; who waits on it gets its failure at once."""
        if self._producer is not producer:
            return
        logger.warning("producer discarded: %s: %s", type(error).__name__, error)
        METRICS.producers_discarded.inc()
        self._producer = None
        task = asyncio.create_task(_throw_away(producer, error))
        self._discards.add(task)
        task.add_done_callback(self._discards.discard)
        self._connecting = asyncio.create_task(self._connect())

    async def append(self, topic: Topic, entries: Sequence[Entry]) -> list[Position | LogUnavailable]:
        producer = self._producer
        if producer is None:
            return [LogUnavailable("no connection to the broker")] * len(entries)
        if self._damages:
            return [LogUnavailable(DAMAGED)] * len(entries)
        newest = dict(self._newest)
        landed: list[Position | LogUnavailable] = [LogUnavailable("not acknowledged in time")] * len(entries)
        try:
            async with asyncio.timeout(self._timeout_s):
                if len(entries) == 1:
                    await _send_one(producer, topic, entries[0], landed)
                else:
                    await _send_many(producer, topic, entries, landed)
        except (KafkaError, OSError, LogUnavailable, TimeoutError) as error:
            self._discard(producer, error)
        return [self._placed(place, newest) for place in landed]

    def _placed(self, place: Position | LogUnavailable, newest: Mapping[tuple[str, int], int]) -> Position | LogUnavailable:
        """The position of an offset. `newest`: what was acknowledged when the append began; nothing may land there again."""
        if isinstance(place, LogUnavailable):
            return place
        topic, partition, offset, *_ = place
        before = newest.get((topic, partition), -1)
        try:
            check_landing(topic, partition, offset, min(before, self._newest.get((topic, partition), -1)))
        except DamagedLog as error:
            self.report("landing", str(error))
            return LogUnavailable(DAMAGED)
        self._newest[topic, partition] = max(self._newest.get((topic, partition), -1), offset)
        position = self._generations.position(topic, partition, offset)
        return place._replace(offset=position, generation=self._generations.generation(topic, partition, position))

    async def span(self, topic: Topic) -> Span:
        async def ask(reader: KafkaReader) -> Span:
            return Span(await reader.starts(topic), await reader.ends(topic))

        return await self._ask(ask)

    async def _ask(self, ask: Callable[[KafkaReader], Awaitable[Answer]]) -> Answer:
        """Asks the broker, one at a time: whoever fails closes the reader."""
        async with self._reading:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await ask(self._reader or await self._open_reader())
            except (KafkaError, OSError, TimeoutError) as error:
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


class WrongTopics(RuntimeError):
    """A topic is missing or has another partition count: this is not the log that the stages read."""


async def _check_topics(producer: AIOKafkaProducer) -> None:
    for topic in (SUBMITTED, RETRACTIONS, ACTIONS, DELIVERED):
        found = await producer.partitions_for(topic.name)
        if len(found) != topic.partitions:
            raise WrongTopics(f"topic {topic.name} has {len(found)} partitions, the topic table says {topic.partitions}")


async def _throw_away(producer: AIOKafkaProducer, error: BaseException) -> None:
    """Ends a producer without waiting for what it cannot send. `stop` alone would wait for its batches."""
    cause = error if isinstance(error, Exception) else LogUnavailable(str(error))
    producer._message_accumulator.fail_all(cause)
    with contextlib.suppress(Exception):
        await asyncio.wait_for(producer.stop(), 5)


async def _send_one(producer: AIOKafkaProducer, topic: Topic, entry: Entry, landed: list[Position | LogUnavailable]) -> None:
    partition = partition_of(entry.key, topic.partitions)
    future = await producer.send(topic.name, entry.value, entry.key, partition)
    told = await future
    landed[0] = Position(topic.name, partition, told.offset, told.timestamp)


async def _send_many(
    producer: AIOKafkaProducer, topic: Topic, entries: Sequence[Entry], landed: list[Position | LogUnavailable]
) -> None:
    """One or a few whole batches a partition: an order faster than a future a record."""
    by_partition: dict[int, list[int]] = {}
    for index, entry in enumerate(entries):
        by_partition.setdefault(partition_of(entry.key, topic.partitions), []).append(index)

    async def one(partition: int, indexes: list[int]) -> None:
        waiting = []
        while indexes:
            batch = producer.create_batch()
            n = 0
            while n < len(indexes) and batch.append(key=entries[indexes[n]].key, value=entries[indexes[n]].value, timestamp=None):
                n += 1
            if n == 0:
                raise LogUnavailable("a record is larger than a batch")
            batch.close()
            waiting.append((await producer.send_batch(batch, topic.name, partition=partition), indexes[:n]))
            indexes = indexes[n:]
        for future, taken in waiting:
            told = await future
            for n, index in enumerate(taken):
                landed[index] = Position(topic.name, partition, told.offset + n, told.timestamp)

    results = await asyncio.gather(*(one(p, indexes) for p, indexes in by_partition.items()), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
