"""The source of live queues: `cases.changed.v1`, read by one consumer without a group, released when the views contain the
change.

Invariant: rows come in the order of the log, without redeliveries, each when a read of the views returns its revision or a newer
one. So a client that reads a list at `place` and follows the rows from there misses nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition
from redis.asyncio import Redis

from gateway.adapters.kafka import LogUnavailable
from gateway.live.rows import FeedPlace, LiveRow
from schemas.topics import CASE_CHANGES
from stream_processors.runtime.generations import Generations
from stream_processors.runtime.kafka import make_consumer
from stream_processors.runtime.log import Record
from stream_processors.runtime.metrics import GATEWAY as METRICS
from stream_processors.views.case_feed import CaseFeed, FeedStart, read_start
from stream_processors.views.reading import Rebuilding

_IDLE_MS, _HELD_MS = 250, 30
_LOOK_EVERY_S = 1.0
_POLL_RECORDS = 500


class ChangeSource(Protocol):
    """Any error ends it: its reader makes a new one and tells every client to read again."""

    async def begin(self) -> None:
        """Starts at the position of the views. Rebuilding while they are incomplete."""

    async def more(self) -> list[LiveRow]:
        """The next rows; none after a fraction of a second without any. Rebuilding if the views were rebuilt."""

    @property
    def place(self) -> FeedPlace:
        """All rows before it were returned, none after it."""

    async def close(self) -> None: ...


MakeSource = Callable[[], ChangeSource]


def no_source() -> ChangeSource:
    """For a gateway without a log."""
    raise LogUnavailable("no log to read from")


class _Held(NamedTuple):
    row: LiveRow
    appended_ms: int


class KafkaSource:
    def __init__(self, common: dict[str, Any], redis: Redis, generations: Callable[[], Generations] = Generations) -> None:
        self._common, self._redis, self._generations = common, redis, generations
        self._current = Generations()
        self._consumer: AIOKafkaConsumer | None = None
        self._stamp = self._log = ""
        self._looked = 0.0
        self._feed = CaseFeed(FeedStart("", {}, {}))
        self._held: dict[int, deque[_Held]] = {p: deque() for p in range(CASE_CHANGES.partitions)}

    async def begin(self) -> None:
        self._current = self._generations()
        start = await self._read_views()
        self._stamp, self._log = start.stamp, sha256(start.log.encode()).hexdigest()[:8]
        self._feed = CaseFeed(start)
        self._consumer = make_consumer(self._common, wait_ms=500, most_bytes=2 << 20)
        await self._consumer.start()
        self._consumer.assign([TopicPartition(CASE_CHANGES.name, p) for p in start.facts])
        for p, at in start.facts.items():
            self._consumer.seek(TopicPartition(CASE_CHANGES.name, p), self._current.offset(CASE_CHANGES.name, p, at))

    async def close(self) -> None:
        if self._consumer is not None:
            with contextlib.suppress(Exception):
                await self._consumer.stop()

    @property
    def place(self) -> FeedPlace:
        held = self._held
        return FeedPlace(self._log, tuple(held[p][0].row.offset if held[p] else at for p, at in sorted(self._feed.ends.items())))

    async def more(self) -> list[LiveRow]:
        assert self._consumer is not None
        waiting = any(self._held.values())
        batches = await self._consumer.getmany(timeout_ms=_HELD_MS if waiting else _IDLE_MS, max_records=_POLL_RECORDS)
        for at, records in batches.items():
            self._hold_rows(at.partition, [self._record_of(r) for r in records])
        if not any(self._held.values()) and time.monotonic() - self._looked < _LOOK_EVERY_S:
            return []
        return self._release_rows((await self._read_views()).facts)

    def _record_of(self, record: Any) -> Record:
        position = self._current.position(CASE_CHANGES.name, record.partition, record.offset)
        return Record(record.partition, position, record.timestamp, record.key, record.value)

    async def _read_views(self) -> FeedStart:
        self._looked = time.monotonic()
        start = await read_start(self._redis)
        if start is None or self._stamp not in ("", start.stamp):
            raise Rebuilding("the views belong to another generation than the events")
        return start

    def _hold_rows(self, partition: int, records: Sequence[Record]) -> None:
        times = {record.offset: record.timestamp_ms for record in records}
        for offset, case in self._feed.read_cases(partition, records):
            self._held[partition].append(_Held(LiveRow(case, partition, offset), times[offset]))

    def _release_rows(self, facts: dict[int, int]) -> list[LiveRow]:
        rows = []
        now_ms = time.time() * 1000
        for p, held in self._held.items():
            while held and held[0].row.offset < facts[p]:
                row, appended_ms = held.popleft()
                METRICS.live_delay_s.observe(max(0.0, now_ms - appended_ms) / 1000)
                rows.append(row)
        return rows
