"""The Kafka side of both logs, the stages' and the gateway's: clients, reads, sending and searching records.

Only this module and the two logs know the broker's offsets; all others have positions (generations.py). Invariant: a record is
acknowledged by all copies (acks=all, idempotent), and none takes the position of a record that was acknowledged to this process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError, KafkaUnavailableError

from schemas.codec import CodecError, decode
from schemas.topics import GENERATIONS, MAX_RECORD_BYTES, Topic
from stream_processors.runtime.cluster_identity import count_elections, describe
from stream_processors.runtime.generations import Generations
from stream_processors.runtime.log import CURE, CannotLook, DamagedLog, Entry, LostLog, Place, Record, by_key, in_order
from stream_processors.runtime.settings import Settings


def make_producer(common: Mapping[str, Any], *, timeout_ms: int, **options: Any) -> AIOKafkaProducer:
    """`common` are the options that every client needs to reach the cluster; `options` are aiokafka's."""
    return AIOKafkaProducer(
        **common,
        acks="all",
        enable_idempotence=True,
        linger_ms=0,
        max_batch_size=MAX_RECORD_BYTES - 65536,
        max_request_size=8 * MAX_RECORD_BYTES,
        request_timeout_ms=timeout_ms,
        **options,
    )


def make_consumer(common: Mapping[str, Any], *, wait_ms: int, most_bytes: int) -> AIOKafkaConsumer:
    """Without a group: it reads given partitions from given offsets. Limits the wait of a fetch for the first record, and its
    size for each partition."""
    return AIOKafkaConsumer(
        **common,
        enable_auto_commit=False,
        auto_offset_reset="none",
        fetch_max_wait_ms=wait_ms,
        max_partition_fetch_bytes=most_bytes,
    )


def is_transient(error: BaseException) -> bool:
    """Whether Kafka may answer a moment later: it is unreachable, or about to elect a leader."""
    if isinstance(error, KafkaError):
        return bool(error.retriable) or isinstance(error, (KafkaTimeoutError, KafkaUnavailableError))
    return isinstance(error, (OSError, TimeoutError))


@contextlib.contextmanager
def looking(what: str) -> Iterator[None]:
    """CannotLook for a temporary error; any other is unchanged."""
    try:
        yield
    except (KafkaError, OSError, TimeoutError) as error:
        if not is_transient(error):
            raise
        raise CannotLook(f"{what}: {describe_error(error)}") from error


def describe_error(error: BaseException) -> str:
    """Its type and text; aiokafka's texts contain their type."""
    name, text = type(error).__name__, str(error)
    return text if name in text else f"{name}: {text}"


class Landings:
    """The offsets after which the next records must land: those of the newest records acknowledged to this process."""

    def __init__(self) -> None:
        self._newest: dict[tuple[str, int], int] = {}

    def newest(self, topic: Topic, partitions: Iterable[int]) -> dict[int, int]:
        """The current value before an append; -1 if nothing was acknowledged yet."""
        return {p: self._newest.get((topic.name, p), -1) for p in partitions}

    def check(self, topic: Topic, partition: int, offset: int, count: int, before: Mapping[int, int]) -> None:
        """Takes so many records from `offset` on for acknowledged. `before`: `newest` when their append began; what was forgotten
        since does not count. DamagedLog when a record was acknowledged there before."""
        at = topic.name, partition
        if offset <= (newest := min(before[partition], self._newest.get(at, -1))):
            raise DamagedLog(
                f"{topic.name}/{partition}: a record landed at {offset} after {newest} was acknowledged: the broker lost "
                f"acknowledged records; {CURE}"
            )
        self._newest[at] = max(self._newest.get(at, -1), offset + count - 1)

    def forget(self) -> None:
        """Forgets acknowledgements from before a new generation of the log."""
        self._newest.clear()


class OversizedRecord(ValueError):
    """One record does not fit into a batch."""


def fill_batches(producer: Any, entries: Sequence[tuple[bytes | None, bytes]]) -> Iterator[tuple[Any, int]]:
    """The entries in order as batches of the producer, each with its count: far faster than one send for each record."""
    at = 0
    while at < len(entries):
        batch, count = producer.create_batch(), 0
        for key, value in entries[at:]:
            if batch.append(key=key, value=value, timestamp=None) is None:
                break
            count += 1
        if not count:
            raise OversizedRecord(f"a record of {len(entries[at][1])} bytes is larger than a batch")
        batch.close()
        yield batch, count
        at += count


class KafkaReader:
    """The read side: a consumer without a group, one range at a time."""

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
        self._reader = make_consumer(self._common, wait_ms=50, most_bytes=4 << 20)
        await self._reader.start()
        await self.read_generations()

    async def close(self) -> None:
        if self._reader is not None:
            await self._reader.stop()

    def _list_partitions(self, topic: Topic) -> list[TopicPartition]:
        return [TopicPartition(topic.name, p) for p in range(topic.partitions)]

    async def starts(self, topic: Topic) -> dict[int, int]:
        assert self._reader is not None
        with looking(f"the beginnings of {topic.name}"):
            return self._to_positions(await self._reader.beginning_offsets(self._list_partitions(topic)))

    async def ends(self, topic: Topic) -> dict[int, int]:
        assert self._reader is not None
        with looking(f"the ends of {topic.name}"):
            return self._to_positions(await self._reader.end_offsets(self._list_partitions(topic)))

    def _to_positions(self, offsets: Mapping[TopicPartition, int]) -> dict[int, int]:
        return {tp.partition: self._generations.position(tp.topic, tp.partition, at) for tp, at in offsets.items()}

    async def since(self, topic: Topic, at_ms: int) -> dict[int, int]:
        assert self._reader is not None
        ends = await self.ends(topic)
        with looking(f"the offsets of {topic.name} by time"):
            offsets = await self._reader.offsets_for_times(dict.fromkeys(self._list_partitions(topic), at_ms))
        later = self._to_positions({tp: at.offset for tp, at in offsets.items() if at is not None})
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
        async for tp, records in self._read_raw(offsets):
            yield [
                Record(tp.partition, generations.position(tp.topic, tp.partition, r.offset), r.timestamp, r.key, r.value)
                for r in records
            ]

    async def _read_raw(self, ranges: dict[TopicPartition, tuple[int, int]]) -> AsyncIterator[tuple[TopicPartition, list[Any]]]:
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
        """A log without the topic never had a newer generation. Checks for the topic until it exists."""
        assert self._reader is not None
        tp = TopicPartition(GENERATIONS.name, 0)
        with looking("the generations of the log"):
            if self._generations_read is None:
                if GENERATIONS.name not in await self._reader.topics():
                    return False
                self._generations_read = 0
            end = (await self._reader.end_offsets([tp]))[tp]
        if end < self._generations_read:
            raise DamagedLog(f"{GENERATIONS.name} ends at {end}, but was read up to {self._generations_read}; {CURE}")
        is_new = False
        async for _, records in self._read_raw({tp: (self._generations_read, end)}):
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
        self._landings = Landings()

    @property
    def stamped_ms(self) -> int | None:
        return self._stamped_ms

    @property
    def client_options(self) -> dict[str, Any]:
        """The options that every client needs to reach this log."""
        return dict(self._common)

    async def open(self) -> None:
        await super().open()
        self._producer = make_producer(self._common, timeout_ms=15_000)
        await self._producer.start()

    async def close(self) -> None:
        if self._producer is not None:
            await self._producer.stop()
        await super().close()

    async def append(self, topic: Topic, entries: Mapping[int, Sequence[Entry]]) -> dict[int, int]:
        return {p: positions[0] for p, positions in (await self._append_all(topic, entries, is_sole=True)).items()}

    async def append_keyed(self, topic: Topic, entries: Sequence[tuple[bytes, bytes]]) -> list[Place]:
        return in_order(topic, entries, await self._append_all(topic, by_key(topic, entries), is_sole=False))

    async def _append_all(self, topic: Topic, entries: Mapping[int, Sequence[Entry]], *, is_sole: bool) -> dict[int, list[int]]:
        """The position of each record by partition. `is_sole`: nobody else writes there, so batches must be adjacent."""
        before = self._landings.newest(topic, entries)
        sent = [(p, await self._send_entries(topic, p, own)) for p, own in entries.items() if own]
        positions: dict[int, list[int]] = {}
        for partition, batches in sent:
            expected: int | None = None
            for future, count in batches:
                metadata = await future
                self._stamped_ms = metadata.timestamp
                offset = int(metadata.offset)
                if is_sole and expected is not None and offset != expected:
                    raise LostLog(f"{topic.name}/{partition}: a batch landed at {offset}, not at {expected}")
                self._landings.check(topic, partition, offset, count, before)
                first = self._generations.position(topic.name, partition, offset)
                positions.setdefault(partition, []).extend(range(first, first + count))
                expected = offset + count
        return positions

    async def _send_entries(self, topic: Topic, partition: int, entries: Sequence[Entry]) -> list[tuple[Any, int]]:
        """The pending acknowledgements, with the number of records of each."""
        assert self._producer is not None
        send = self._producer.send_batch
        return [
            (await send(batch, topic.name, partition=partition), count) for batch, count in fill_batches(self._producer, entries)
        ]
