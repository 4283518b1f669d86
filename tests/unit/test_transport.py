"""The poll transport: what it uses of Faust 0.15.3 and aiokafka 0.14 is there and looks as it did, and how a poll behaves."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aiokafka
import pytest
from aiokafka.consumer.fetcher import Fetcher
from aiokafka.errors import IllegalStateError
from aiokafka.structs import ConsumerRecord
from faust.transport import consumer as base
from faust.transport.drivers import aiokafka as driver
from faust.types.tuples import TP, ConsumerMessage

from schemas.topics import SUBMITTED
from stream_processors.runtime import faust_transport as transport
from stream_processors.runtime.faust_transport import AMPLE, PARTIAL_WAIT_MS, Appetite, Poll, PollConsumer, Transport
from stream_processors.runtime.log import Record
from stream_processors.runtime.settings import Settings
from stream_processors.worker import build_app

NAME = SUBMITTED.name
A, B = TP(NAME, 0), TP(NAME, 1)


# what is used of Faust and aiokafka


def test_faust_and_aiokafka_are_the_versions_that_the_transport_was_written_for() -> None:
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka") == "0.14.0"


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (driver.Consumer, "_new_consumer_thread", ["self"]),
        (base.Consumer, "_wait_next_records", ["self", "timeout"]),
        (base.Consumer, "getmany", ["self", "timeout"]),
        (base.Consumer, "_drain_messages", ["self", "fetcher"]),
        (base.Consumer, "force_commit", ["self", "topics", "start_new_transaction"]),
        (base.Consumer, "perform_seek", ["self"]),
        (base.ThreadDelegateConsumer, "seek_to_committed", ["self"]),
        (base.ThreadDelegateConsumer, "seek_wait", ["self", "partitions"]),
        (base.ThreadDelegateConsumer, "_commit", ["self", "offsets"]),
        (base.ThreadDelegateConsumer, "assignment", ["self"]),
        (driver.AIOKafkaConsumerThread, "_create_worker_consumer", ["self", "transport"]),
        (driver.Transport, "create_consumer", None),
    ],
    ids=lambda one: getattr(one, "__name__", one) if isinstance(one, type | str) else "",
)
def test_what_is_overridden_or_called_has_the_form_it_had(owner: type, name: str, parameters: list[str] | None) -> None:
    found = getattr(owner, name)
    assert callable(found)
    if parameters is not None:
        assert list(inspect.signature(found).parameters) == parameters


def test_faust_asks_for_the_position_after_each_assignment_and_reads_nothing_else() -> None:
    """`perform_seek` is the one place that asks, and it asks `seek_to_committed`."""
    assert "await self.seek_to_committed()" in inspect.getsource(base.Consumer.perform_seek)


def test_the_thread_hard_codes_the_fetch_wait_that_we_replace() -> None:
    assert "fetch_max_wait_ms=1500" in inspect.getsource(driver.AIOKafkaConsumerThread._create_worker_consumer)


def test_aiokafka_reads_the_fetch_wait_when_it_starts() -> None:
    assert "_fetch_max_wait_ms" in inspect.getsource(aiokafka.AIOKafkaConsumer.start)
    assert "self._fetch_max_wait_ms" in inspect.getsource(aiokafka.AIOKafkaConsumer.__init__)


def test_the_fetcher_asks_what_to_do_and_wakes_by_what_we_replace_and_call() -> None:
    routine = inspect.getsource(Fetcher._fetch_requests_routine)
    assert "self._get_actions_per_node(assignment)" in routine
    assert "other_futs = [self._wait_consume_future" in routine
    asked = inspect.getsource(Fetcher._get_actions_per_node)
    assert "self._fetch_max_wait_ms," in asked
    assert asked.index("fetch_requests,", asked.index("return (")) < asked.index("awaiting_reset,", asked.index("return ("))
    assert "await fetcher.fetched_records(" in inspect.getsource(driver.AIOKafkaConsumerThread._fetch_records)


def test_a_message_has_the_fields_that_a_poll_fills_in() -> None:
    fields = list(inspect.signature(ConsumerMessage.__init__).parameters)[1:]
    assert fields[:12] == [
        "topic",
        "partition",
        "offset",
        "timestamp",
        "timestamp_type",
        "headers",
        "key",
        "value",
        "checksum",
        "serialized_key_size",
        "serialized_value_size",
        "tp",
    ]
    assert "generation_id" in fields


# how it behaves


class Consumer(PollConsumer):
    """The consumer without a broker: what it would fetch, own, seek and commit is told by the test."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fetched: list[tuple[Any, Any]] = []
        self.owned = {A, B}
        self.sought: list[dict[TP, int]] = []
        self.committed: list[dict[TP, int]] = []
        self.seeks = 0

    async def _wait_next_records(self, timeout: float) -> Any:
        if self.fetched:
            return self.fetched.pop(0)
        self._stopped.set()
        return None, None

    def assignment(self) -> Any:
        return self.owned

    async def seek_wait(self, partitions: Any) -> None:
        self.sought.append(dict(partitions))

    async def perform_seek(self) -> None:
        self.seeks += 1

    async def _commit(self, offsets: Any) -> bool:
        self.committed.append(dict(offsets))
        return True


def _record(partition: int, offset: int) -> ConsumerRecord[Any, Any]:
    return ConsumerRecord(NAME, partition, offset, 1_772_413_200_000 + offset, 1, b"k", b"v%d" % offset, None, 1, 2, ())


def _poll(consumer: Consumer, **batch: list[int]) -> Poll:
    records = {(NAME, int(p[1:])): [Record(int(p[1:]), at, 0, b"k", b"v") for at in offsets] for p, offsets in batch.items()}
    return Poll(records, consumer.epoch, consumer)


@pytest.fixture
async def consumer(tmp_path: Path) -> AsyncIterator[Consumer]:
    app = build_app(Settings(home=tmp_path, fetch_wait_ms=7), "assess", asyncio.get_running_loop())
    yield Consumer(app.transport, callback=_nothing, on_partitions_revoked=_nothing, on_partitions_assigned=_nothing)


async def _nothing(*_: Any) -> None:
    """No callback in these tests looks at what it is given."""


async def test_the_app_has_our_transport_and_neither_server_nor_leader(consumer: Consumer) -> None:
    app = consumer.app
    assert isinstance(app.transport, Transport)
    assert app.transport.Consumer is PollConsumer
    assert not app.conf.web_enabled
    assert app.conf.topic_disable_leader
    assert app.conf.consumer_group_instance_id == "worker-0"
    assert app.conf.broker_session_timeout == 10.0


async def test_the_consumer_of_the_thread_waits_as_long_as_the_settings_say(consumer: Consumer) -> None:
    thread = consumer._new_consumer_thread()
    assert isinstance(thread, transport._Thread)
    made = thread._create_worker_consumer(consumer.app.transport)
    try:
        assert made._fetch_max_wait_ms == 7
        assert made._enable_auto_commit is False
    finally:
        made._closed = True  # it never started


class Fetching:
    """aiokafka's fetcher, as far as an appetite sees it: one fetch is always to do, and one reset."""

    def __init__(self) -> None:
        self._fetch_max_wait_ms = 100
        self._records: dict[TP, Any] = {}
        self._wait_consume_future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def _get_actions_per_node(self, assignment: Any) -> Any:
        return [("node", self._fetch_max_wait_ms)], {"reset": assignment}, 0.2, False, []

    def _notify(self, future: asyncio.Future[None]) -> None:
        future.set_result(None)


async def test_nothing_is_fetched_before_a_poll_is_wanted_and_everything_else_is_done() -> None:
    appetite = Appetite(Fetching())
    assert appetite.fetcher._get_actions_per_node("mine") == ([], {"reset": "mine"}, 0.2, False, [])


@pytest.mark.parametrize(("count", "goes_on"), [(0, False), (1, False), (AMPLE - 1, False), (AMPLE, True)])
async def test_a_wanted_poll_wakes_the_fetcher_and_only_ample_ones_are_fetched_ahead(count: int, goes_on: bool) -> None:
    fetcher = Fetching()
    appetite = Appetite(fetcher)

    async def fetching() -> dict[TP, list[int]]:
        await fetcher._wait_consume_future
        assert fetcher._get_actions_per_node("mine")[0] == [("node", 100)], "all partitions: it may wait long"
        fetcher._records = {A: "not taken yet"}
        assert fetcher._get_actions_per_node("mine")[0] == [("node", PARTIAL_WAIT_MS)], "what comes to A must not wait long"
        fetcher._records = {}
        return {A: list(range(count // 2)), B: list(range(count - count // 2))}

    assert sum(map(len, (await appetite.sated(fetching())).values())) == count
    assert appetite.hungry is goes_on
    if goes_on:
        await appetite.sated(fetching())  # awake already


async def test_a_poll_that_was_given_up_takes_no_appetite_from_the_one_after_it() -> None:
    appetite = Appetite(Fetching())
    old, new = (asyncio.get_running_loop().create_future() for _ in range(2))
    polls = [asyncio.ensure_future(appetite.sated(one)) for one in (old, new)]
    await asyncio.sleep(0)
    old.set_result({})
    await polls[0]
    assert appetite.hungry
    new.set_result({A: [1]})
    await polls[1]
    assert not appetite.hungry


async def test_a_fetch_that_fails_leaves_no_appetite() -> None:
    appetite = Appetite(Fetching())

    closed: asyncio.Future[dict[TP, Any]] = asyncio.get_running_loop().create_future()
    closed.set_exception(RuntimeError("closed"))
    with pytest.raises(RuntimeError, match="closed"):
        await appetite.sated(closed)
    assert appetite.hungry is False


async def _messages(consumer: Consumer) -> list[Any]:
    return [message async for _, message in consumer.getmany(1.0)]


async def test_all_records_of_a_fetch_are_one_message_by_partition(consumer: Consumer) -> None:
    consumer.fetched = [({A: [_record(0, 5), _record(0, 6)], B: [_record(1, 9)]}, {A, B})]
    (message,) = await _messages(consumer)
    poll: Poll = message.value
    assert {at: [record.offset for record in records] for at, records in poll.batch.items()} == {
        (NAME, 0): [5, 6],
        (NAME, 1): [9],
    }
    assert poll.batch[NAME, 0][0] == Record(0, 5, 1_772_413_200_005, b"k", b"v5")
    assert (message.topic, message.partition, message.offset, message.tp) == (NAME, 0, 5, A)


async def test_records_of_a_partition_that_is_paused_are_left_out(consumer: Consumer) -> None:
    consumer.fetched = [({A: [_record(0, 5)], B: [_record(1, 9)]}, {B})]
    (message,) = await _messages(consumer)
    assert list(message.value.batch) == [(NAME, 1)]


@pytest.mark.parametrize("fetched", [({}, {A}), ({A: []}, {A}), (None, None)])
async def test_an_empty_fetch_is_no_message(consumer: Consumer, fetched: Any) -> None:
    consumer.fetched = [fetched]
    assert await _messages(consumer) == []
    assert consumer.seeks == 0


@pytest.mark.parametrize("refused", [False, True])
async def test_records_fetched_across_an_assignment_are_asked_for_again(consumer: Consumer, refused: bool) -> None:
    async def reassigned(timeout: float) -> Any:
        consumer.epoch += 1
        return {A: [_record(0, 5)]}, {A}

    async def seek() -> None:
        consumer.seeks += 1
        if refused:
            raise IllegalStateError("no longer assigned")

    consumer._wait_next_records, consumer.perform_seek = reassigned, seek  # type: ignore[method-assign]
    assert await _messages(consumer) == []
    assert consumer.seeks == 1


async def test_only_completion_moves_the_position(consumer: Consumer) -> None:
    poll = _poll(consumer, p0=[5, 6, 7], p1=[9])
    assert consumer.completed == {}
    assert await consumer.force_commit() is False
    poll.complete()
    assert consumer.completed == {A: 8, B: 10}
    assert await consumer.force_commit() is True
    assert consumer.committed == [{A: 8, B: 10}]
    assert await consumer.force_commit() is False, "it is published once"


async def test_a_poll_of_an_earlier_assignment_is_stale_and_moves_nothing(consumer: Consumer) -> None:
    PollConsumer.positions = staticmethod(_positions)
    poll = _poll(consumer, p0=[5])
    assert not poll.stale
    await consumer.seek_to_committed()
    assert poll.stale
    poll.complete()
    assert consumer.completed == {}
    assert poll._done.is_set(), "the next poll may come all the same"


async def _positions(partitions: Any) -> Any:
    return {at: 100 + at[1] for at in partitions}


async def test_the_state_says_where_to_read_on_not_kafka(consumer: Consumer) -> None:
    PollConsumer.positions = staticmethod(_positions)
    consumer.completed[A] = 3
    assert await consumer.seek_to_committed() == {A: 100, B: 101}
    assert consumer.sought == [{A: 100, B: 101}]
    assert consumer.completed == {}, "what was completed before is not ours to publish any more"


async def test_one_poll_is_in_flight_until_it_is_complete(consumer: Consumer) -> None:
    consumer.fetched = [({A: [_record(0, n)]}, {A}) for n in (1, 2, 3)]
    given: list[Poll] = []
    gone = asyncio.Event()

    async def callback(message: Any) -> None:
        given.append(message.value)

    class Fetcher:
        _stopped = gone

    consumer.callback = callback
    draining = asyncio.create_task(consumer._drain_messages(Fetcher()))
    for n in (1, 2, 3):
        for _ in range(20):
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert len(given) == n
        given[-1].complete()
    await asyncio.wait_for(draining, 5)
    assert [poll.batch[NAME, 0][0].offset for poll in given] == [1, 2, 3]
    assert consumer.completed == {A: 4}


async def test_a_poll_that_faust_dropped_between_two_assignments_is_ended_by_the_last(consumer: Consumer) -> None:
    """Otherwise the worker owns its partitions and reads them no more (seen when both workers rejoined at once)."""
    PollConsumer.positions = staticmethod(_positions)
    consumer.fetched = [({A: [_record(0, n)]}, {A}) for n in (1, 2)]
    given: list[Poll] = []

    async def callback(message: Any) -> None:
        given.append(message.value)

    class Fetcher:
        _stopped = asyncio.Event()

    consumer.callback = callback
    draining = asyncio.create_task(consumer._drain_messages(Fetcher()))
    await asyncio.sleep(0.01)
    assert len(given) == 1, "nobody completes it"
    await consumer.seek_to_committed()
    await asyncio.sleep(0.01)
    assert len(given) == 2
    assert given[0].stale and not given[1].stale
    given[1].complete()
    await asyncio.wait_for(draining, 5)
    assert consumer.completed == {A: 3}


async def test_what_is_fetched_before_the_seek_is_asked_for_again(consumer: Consumer) -> None:
    may_go = asyncio.Event()

    async def slow(partitions: Any) -> Any:
        await may_go.wait()
        return dict.fromkeys(partitions, 100)

    PollConsumer.positions = staticmethod(slow)
    seeking = asyncio.create_task(consumer.seek_to_committed())
    await asyncio.sleep(0)
    consumer.fetched = [({A: [_record(0, 5)]}, {A})]
    assert await _messages(consumer) == []
    assert consumer.seeks == 1
    may_go.set()
    await seeking
    consumer._stopped.clear()
    consumer.fetched = [({A: [_record(0, 100)]}, {A})]
    assert [message.offset for message in await _messages(consumer)] == [100]


async def test_of_two_seeks_the_later_one_ends_the_poll_in_flight(consumer: Consumer) -> None:
    first, second = asyncio.Event(), asyncio.Event()
    waiting = [first, second]

    async def slow(partitions: Any) -> Any:
        await waiting.pop(0).wait()
        return dict.fromkeys(partitions, 100)

    PollConsumer.positions = staticmethod(slow)
    poll = consumer._in_flight = _poll(consumer, p0=[5])
    seeks = []
    for _ in range(2):
        seeks.append(asyncio.create_task(consumer.seek_to_committed()))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    first.set()
    await seeks[0]
    assert not poll._done.is_set()
    second.set()
    await seeks[1]
    assert poll._done.is_set()
