"""One partition that does not acknowledge is no matter of the others: over producers and brokers in memory."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, NotEnoughReplicasError
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.adapters.kafka import LogUnavailable, Position, RequestLog
from gateway.adapters.producers import Producers
from schemas.topics import SUBMITTED
from stream_processors.runtime.log import KeyedEntry, partition_of

TIMEOUT_S = 0.05


class Broker:
    """Partitions in memory. One that is `stuck` acknowledges nothing until it is let go, and may be let go to nobody."""

    def __init__(self) -> None:
        self.records: dict[int, list[bytes]] = defaultdict(list)
        self.stuck: dict[int, asyncio.Event] = {}
        self.broken: dict[int, Exception] = {}
        self.made: list[FakeProducer] = []
        self.away = False

    def stick(self, partition: int) -> None:
        self.stuck[partition] = asyncio.Event()

    def free(self, partition: int) -> None:
        self.stuck.pop(partition).set()

    def make(self) -> FakeProducer:
        self.made.append(FakeProducer(self))
        return self.made[-1]


class _Batch:
    def __init__(self) -> None:
        self.values: list[bytes] = []

    def append(self, *, key: bytes, value: bytes, timestamp: None) -> bool:
        self.values.append(value)
        return True

    def close(self) -> None:
        return


class FakeProducer:
    """Keeps what it was given, and what of it was acknowledged."""

    def __init__(self, broker: Broker) -> None:
        self.broker, self.given, self.is_over = broker, list[bytes](), False
        self._works: set[asyncio.Future[Any]] = set()
        self._message_accumulator = SimpleNamespace(fail_all=self._fail_all, _batches={}, _pending_batches=set())

    async def start(self) -> None:
        if self.broker.away:
            raise KafkaConnectionError("away")

    async def stop(self) -> None:
        self.is_over = True

    def _fail_all(self, error: Exception) -> None:
        self.is_over = True
        for work in self._works:
            if not work.done():
                work.set_exception(error)
                work.exception()

    async def send(self, topic: str, value: bytes, key: bytes, partition: int) -> Any:
        return self._deliver(partition, [value])

    def create_batch(self) -> _Batch:
        return _Batch()

    async def send_batch(self, batch: _Batch, topic: str, *, partition: int) -> Any:
        return self._deliver(partition, batch.values)

    def _deliver(self, partition: int, values: list[bytes]) -> Any:
        self.given += values
        work: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._works.add(work)

        async def go() -> None:
            if (stuck := self.broker.stuck.get(partition)) is not None:
                await stuck.wait()
            if work.done() or self.is_over:
                return
            if (error := self.broker.broken.get(partition)) is not None:
                work.set_exception(error)
                return
            there = self.broker.records[partition]
            work.set_result(SimpleNamespace(offset=len(there), timestamp=1))
            there += values

        self._dissuasion = asyncio.ensure_future(go())
        return work


def make_log(broker: Broker, answers: bool = True) -> RequestLog:
    async def check(producer: Any) -> None:
        return

    log = RequestLog({"bootstrap_servers": "nobody:1"}, TIMEOUT_S)
    log._watch = SimpleNamespace(  # type: ignore[assignment]
        is_checked=True, answers=answers, why_not=lambda topic, partition: None, open=lambda: None
    )
    log._producers = Producers(broker.make, check, lambda: log._watch.answers, TIMEOUT_S)
    return log


@pytest.fixture
async def broker() -> AsyncIterator[Broker]:
    yield Broker()


def entry(partition: int, n: int = 0) -> KeyedEntry:
    key = next(key for i in range(10_000) if partition_of(key := b"%d" % i, SUBMITTED.partitions) == partition)
    return KeyedEntry(key, b"%d/%d" % (partition, n))


async def open_log(broker: Broker, answers: bool = True) -> RequestLog:
    log = make_log(broker, answers)
    await log._producers.open(1)
    return log


async def test_the_lines_to_a_partition_that_does_not_acknowledge_fail_alone(broker: Broker) -> None:
    log = await open_log(broker)
    broker.stick(3)
    landed = await log.append(SUBMITTED, [entry(p) for p in range(8)])
    assert [isinstance(place, Position) for place in landed] == [p != 3 for p in range(8)]


async def test_what_is_on_its_way_to_another_partition_when_one_is_late_is_acknowledged_once_it_arrives(broker: Broker) -> None:
    log = await open_log(broker)
    broker.stick(3)
    late = asyncio.create_task(log.append(SUBMITTED, [entry(3)]))
    await asyncio.sleep(TIMEOUT_S * 0.8)
    broker.stick(5)
    other = asyncio.create_task(log.append(SUBMITTED, [entry(5)]))
    assert isinstance((await late)[0], LogUnavailable)
    await asyncio.sleep(TIMEOUT_S * 0.2)
    broker.free(5)
    (place,) = await other
    assert isinstance(place, Position)
    assert broker.records[5] == [b"5/0"]


async def test_another_producer_takes_the_place_and_serves_the_partition_again(broker: Broker) -> None:
    log = await open_log(broker)
    broker.stick(3)
    assert isinstance((await log.append(SUBMITTED, [entry(3)]))[0], LogUnavailable)
    await asyncio.sleep(0.01)
    assert len(broker.made) == 2
    broker.free(3)
    (place,) = await log.append(SUBMITTED, [entry(3, 1)])
    assert isinstance(place, Position)
    assert broker.made[1].given == [b"3/1"]


async def test_while_no_other_producer_can_be_made_the_failed_one_goes_on_for_the_other_partitions(broker: Broker) -> None:
    log = await open_log(broker)
    broker.stick(3)
    broker.away = True
    assert isinstance((await log.append(SUBMITTED, [entry(3)]))[0], LogUnavailable)
    began = asyncio.get_running_loop().time()
    landed = await log.append(SUBMITTED, [entry(p, 1) for p in range(8)])
    assert [isinstance(place, Position) for place in landed] == [p != 3 for p in range(8)]
    assert asyncio.get_running_loop().time() - began < TIMEOUT_S  # nobody waits for what is known
    await log._producers.close()


async def test_where_no_broker_answers_the_producer_is_thrown_away_and_nothing_is_taken(broker: Broker) -> None:
    log = await open_log(broker, answers=False)
    broker.stick(3)
    broker.away = True
    assert isinstance((await log.append(SUBMITTED, [entry(3)]))[0], LogUnavailable)
    assert not log.connected
    assert isinstance((await log.append(SUBMITTED, [entry(1)]))[0], LogUnavailable)
    await log._producers.close()


async def test_an_error_of_one_partition_is_no_matter_of_the_others(broker: Broker) -> None:
    log = await open_log(broker)
    broker.broken[2] = NotEnoughReplicasError()
    landed = await log.append(SUBMITTED, [entry(p % 8, p) for p in range(24)])
    assert [isinstance(place, Position) for place in landed] == [p % 8 != 2 for p in range(24)]


async def test_an_acknowledgement_without_a_place_is_none(broker: Broker) -> None:
    log = await open_log(broker)

    async def send(topic: str, value: bytes, key: bytes, partition: int) -> Any:
        work = asyncio.get_running_loop().create_future()
        work.set_result(SimpleNamespace(offset=-1, timestamp=-1))
        return work

    broker.made[0].send = send  # type: ignore[method-assign]
    assert isinstance((await log.append(SUBMITTED, [entry(1)]))[0], LogUnavailable)


async def test_a_partition_that_is_known_to_be_short_of_copies_is_refused_at_once_and_the_producer_stays(broker: Broker) -> None:
    log = await open_log(broker)
    log._watch.why_not = lambda topic, p: "one copy" if p == 3 else None  # type: ignore[assignment, method-assign, misc]
    landed = await log.append(SUBMITTED, [entry(p) for p in range(8)])
    assert [isinstance(place, Position) for place in landed] == [p != 3 for p in range(8)]
    assert len(broker.made) == 1
    assert b"3/0" not in broker.made[0].given


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(("append", "stick", "free", "wait")), st.integers(0, 3), st.integers(1, 6)), max_size=14)
)
def test_whatever_sticks_each_record_is_given_once_and_what_is_acknowledged_stands_where_it_says(
    moves: list[tuple[str, int, int]],
) -> None:
    async def run() -> None:
        broker = Broker()
        log = await open_log(broker)
        appends, n = [], 0
        for move, partition, many in moves:
            if move == "append":
                some = [entry((partition + i) % 4, n + i) for i in range(many)]
                n += many
                appends.append((some, asyncio.create_task(log.append(SUBMITTED, some))))
            elif move == "stick" and partition not in broker.stuck:
                broker.stick(partition)
            elif move == "free" and partition in broker.stuck:
                broker.free(partition)
            else:
                await asyncio.sleep(TIMEOUT_S / 5)
            await asyncio.sleep(0)
        for some, work in appends:
            for one, place in zip(some, await work, strict=True):
                if isinstance(place, Position):
                    assert broker.records[place.partition][place.offset] == one.value
        given = [value for producer in broker.made for value in producer.given]
        assert len(given) == len(set(given))
        await log._producers.close()

    asyncio.run(run())
