"""Faust's polls: a small subclass of its aiokafka transport that gives the agent one event for each poll.

Stock Faust spends 150 to 200 us of its own on each record; here a message's value is a whole Poll, all records of one fetch by
partition. Only `poll.complete()` moves anything (topics are declared acks=False), and one poll is in progress at a time, so the
next fetch collects later records. Positions come from the state, not from Kafka's committed offsets, which are published for lag
monitoring only. Pinned to faust-streaming 0.15.3; tests/unit/test_transport.py checks the internals used.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, ClassVar, cast

import aiokafka
import uvloop
from aiokafka.errors import IllegalStateError
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP, ConsumerMessage

from stream_processors.runtime.log import Record

Positions = Callable[[Iterable[tuple[str, int]]], Awaitable[Mapping[tuple[str, int], int]]]


class Poll:
    """All records of one fetch by (topic, partition). `epoch` is its assignment. `rewound`: partitions that the consumer
    restarted from an earlier offset by itself, with the expected offset and the actual one."""

    __slots__ = ("_consumer", "_done", "batch", "epoch", "rewound")

    def __init__(self, batch: dict[tuple[str, int], list[Record]], epoch: int, consumer: PollConsumer) -> None:
        self.batch, self.epoch = batch, epoch
        self._consumer, self._done = consumer, asyncio.Event()
        self.rewound: dict[tuple[str, int], tuple[int, int]] = {}

    @property
    def stale(self) -> bool:
        """Whether the partitions were assigned again since: its records will be read again."""
        return self.epoch != self._consumer.epoch

    def complete(self) -> None:
        """The poll's records are finished; the next may come."""
        if not self.stale:
            self._consumer.completed.update({TP(*at): records[-1].offset + 1 for at, records in self.batch.items()})
        self._done.set()


class PollConsumer(driver.Consumer):
    """A Faust consumer that yields polls. `positions` gives the start at every assignment."""

    positions: ClassVar[Positions]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.completed: dict[TP, int] = {}
        self.epoch = 0
        self._sought = True
        self._in_flight: Poll | None = None
        self._next: dict[TP, int] = {}

    def _new_consumer_thread(self) -> driver.AIOKafkaConsumerThread:
        return _Thread(self, loop=self.loop, beacon=self.beacon, thread_loop=uvloop.new_event_loop())

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, ConsumerMessage]]:
        epoch = self.epoch
        fetched, active = await self._wait_next_records(timeout)
        if fetched is None or self.should_stop:
            return
        if not self.flow_active or epoch != self.epoch or not self._sought:
            if fetched:  # fetched across an assignment: which of them are ours is not known, so ask the state again
                with contextlib.suppress(IllegalStateError):  # a newer assignment is on its way, and seeks itself
                    await self.perform_seek()
            return
        batch: dict[tuple[str, int], list[Record]] = {}
        first: Any = None
        for tp, records in fetched.items():
            if records and (active is None or tp in active):
                first = first or records[0]
                batch[tp.topic, tp.partition] = [Record(r.partition, r.offset, r.timestamp, r.key, r.value) for r in records]
        if first is None:
            return
        tp = TP(first.topic, first.partition)
        poll = Poll(batch, epoch, self)
        poll.rewound = self._went_on(batch)
        yield (
            tp,
            ConsumerMessage(
                first.topic,
                first.partition,
                first.offset,
                first.timestamp / 1000.0,
                first.timestamp_type,
                first.headers,
                first.key,
                cast(Any, poll),
                first.checksum,
                0,
                0,
                tp,
                generation_id=self.app.consumer_generation_id,
            ),
        )

    def _went_on(self, batch: Mapping[tuple[str, int], list[Record]]) -> dict[tuple[str, int], tuple[int, int]]:
        """Where aiokafka went back silently, because the broker's log ends before the next offset."""
        rewound = {}
        for at, records in batch.items():
            tp, first = TP(*at), records[0].offset
            if first < self._next.get(tp, 0):
                rewound[at] = self._next[tp], first
            self._next[tp] = records[-1].offset + 1
        return rewound

    async def _drain_messages(self, fetcher: Any) -> None:
        deliver = self.callback
        while not (self._stopped.is_set() or fetcher._stopped.is_set()):
            async for _, message in self.getmany(timeout=1.0):
                self._in_flight = poll = cast(Poll, message.value)
                await self.wait_first(deliver(message), self.suspend_flow.wait())
                await self.wait_first(poll._done.wait(), self.suspend_flow.wait())
            await asyncio.sleep(0)

    async def force_commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Publishes completed positions, so that Kafka's own tools can show the lag. Nothing reads them back."""
        if not self.completed:
            return False
        done, self.completed = self.completed, {}
        return await self._commit(done)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Reads the positions from the state; Faust calls it after every assignment.

        Two assignments can follow each other so fast that the first resumes the flow in the middle of the second. Faust drops a
        poll of that moment (its generation is over), and nobody completes it: the last seek ends it. Records fetched before that
        seek are fetched again.
        """
        self.epoch += 1
        mine, self._sought = self.epoch, False
        self.completed.clear()
        owned = self.assignment()
        work = asyncio.ensure_future(type(self).positions([(tp.topic, tp.partition) for tp in owned]))
        positions = await asyncio.shield(work)  # a newer assignment must not cut this one in the middle; it queues behind it
        offsets = {TP(topic, partition): offset for (topic, partition), offset in positions.items()}
        await self.seek_wait(offsets)
        self._next = dict(offsets)
        if mine == self.epoch:
            self.epoch += 1
            self._sought = True
            if self._in_flight is not None:
                self._in_flight.complete()
        return offsets


AMPLE = 256
"""Poll size from which on the next poll is fetched while this one is processed."""
PARTIAL_WAIT_MS = 10
"""Longest wait of a fetch that excludes partitions with unprocessed records. New records of those partitions wait as long."""


class Appetite:
    """Decides when aiokafka's fetcher may ask the broker.

    By itself it asks as soon as a poll is taken, and the broker answers with the first record, which alone became the next poll;
    later records waited for the one after. So a fetch goes out when a poll is wanted, and brings everything that arrived
    meanwhile. For ample polls it goes out at once: records are waiting, and time counts.
    """

    def __init__(self, fetcher: Any) -> None:
        self.hungry: bool = False
        self.fetcher, self._waiting = fetcher, 0
        self._actions, self._wait_ms = fetcher._get_actions_per_node, fetcher._fetch_max_wait_ms
        fetcher._get_actions_per_node = self.actions

    def actions(self, assignment: Any) -> tuple[list[Any], Any, Any, Any, Any]:
        """The fetcher's actions without fetches that nobody wants."""
        self.fetcher._fetch_max_wait_ms = min(PARTIAL_WAIT_MS, self._wait_ms) if self.fetcher._records else self._wait_ms
        fetches, *others = self._actions(assignment)
        return (fetches if self.hungry else [], *others)

    async def sated(self, fetching: Awaitable[Mapping[Any, Any]]) -> Mapping[Any, Any]:
        """Wakes the fetcher for a poll, and passes the size of the last one."""
        if not self.hungry:
            self.hungry = True
            self.fetcher._notify(self.fetcher._wait_consume_future)
        fetched: Mapping[Any, Any] = {}
        self._waiting += 1
        try:
            fetched = await fetching
            return fetched
        finally:  # one that was given up in an assignment may still wait, beside the one that came after it
            self._waiting -= 1
            self.hungry = self._waiting > 0 or sum(map(len, fetched.values())) >= AMPLE


class _Thread(driver.AIOKafkaConsumerThread):
    """Faust hard-codes a fetch wait of 1.5 s and reads records of open or aborted transactions; other clients' aborted records do
    not count."""

    fetch_wait_ms: ClassVar[int] = 100
    isolation: ClassVar[str] = "read_uncommitted"
    _appetite: Appetite | None = None

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = self.fetch_wait_ms
        consumer._isolation_level = self.isolation
        return consumer

    async def _fetch_records(self, consumer: Any, *args: Any, **kwargs: Any) -> Any:
        if self._appetite is None or self._appetite.fetcher is not consumer._fetcher:
            self._appetite = Appetite(consumer._fetcher)
        return await self._appetite.sated(super()._fetch_records(consumer, *args, **kwargs))


class Transport(driver.Transport):
    Consumer: ClassVar[type[PollConsumer]] = PollConsumer
