"""What every log keeps, over the in-memory one and over Kafka: where appends land, what ranges give, which log this is."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from schemas.topics import MAX_RECORD_BYTES, SUBMITTED, Topic
from stream_processors.runtime.cluster_identity import WrongLog
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.log import Log, Record, partition_of
from stream_processors.runtime.settings import Settings
from tests.support import real
from tests.support.memory_log import MemoryLog


@dataclass
class Found:
    """A log with one topic of two partitions; `again` gives a second client of the same log."""

    log: Log
    topic: Topic
    again: Callable[[], Awaitable[Log]]
    recreate: Callable[[], Awaitable[None]]
    delete: Callable[[], Awaitable[None]]


async def _memory(topic: Topic) -> AsyncIterator[Found]:
    log = MemoryLog()
    log.create(topic)

    async def again() -> Log:
        return log

    async def recreate() -> None:
        log.recreate(topic)

    async def delete() -> None:
        log.delete(topic)

    yield Found(log, topic, again, recreate, delete)


async def _kafka(topic: Topic, bootstrap: str) -> AsyncIterator[Found]:
    opened: list[KafkaLog] = []

    async def again() -> Log:
        log = KafkaLog(Settings(kafka_bootstrap=bootstrap), f"contract-{len(opened)}")
        await log.open()
        opened.append(log)
        return log

    async def delete() -> None:
        await real.delete(bootstrap, [topic])

    async def recreate() -> None:
        await delete()
        for _ in range(50):
            try:
                return await real.create(bootstrap, [topic])
            except AssertionError:  # the broker is still deleting
                await asyncio.sleep(0.1)
        raise TimeoutError(topic.name)

    await real.create(bootstrap, [topic])
    try:
        yield Found(await again(), topic, again, recreate, delete)
    finally:
        for log in opened:
            await log.close()
        await delete()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.integration)])
def bootstrap(request: pytest.FixtureRequest) -> str | None:
    """Kafka's address; None for the log in memory."""
    return None if request.param == "memory" else request.getfixturevalue("backbone").kafka_bootstrap


@pytest.fixture
async def found(bootstrap: str | None) -> AsyncIterator[Found]:
    topic = replace(SUBMITTED, name=f"contract.log.{secrets.token_hex(4)}", partitions=2)
    async for one in _memory(topic) if bootstrap is None else _kafka(topic, bootstrap):
        yield one


def _entries(*values: bytes) -> list[tuple[bytes | None, bytes]]:
    return [(b"k", value) for value in values]


async def _all(log: Log, topic: Topic, partition: int, start: int, end: int) -> list[Record]:
    return [record async for records in log.read(topic, partition, start, end) for record in records]


async def test_an_append_tells_where_its_first_record_landed_in_each_partition(found: Found) -> None:
    assert await found.log.append(found.topic, {0: _entries(b"a", b"b"), 1: _entries(b"c")}) == {0: 0, 1: 0}
    assert await found.log.append(found.topic, {0: _entries(b"d"), 1: _entries(b"e")}) == {0: 2, 1: 1}
    assert await found.log.ends(found.topic) == {0: 3, 1: 2}
    assert await found.log.starts(found.topic) == {0: 0, 1: 0}


async def test_an_append_of_nothing_lands_nowhere(found: Found) -> None:
    assert await found.log.append(found.topic, {}) == {}
    assert await found.log.append(found.topic, {0: []}) == {}
    assert await found.log.ends(found.topic) == {0: 0, 1: 0}


async def test_the_records_of_one_append_stand_side_by_side_in_order(found: Found) -> None:
    values = [b"%d" % n for n in range(500)]
    await found.log.append(found.topic, {1: _entries(*values)})
    records = await _all(found.log, found.topic, 1, 0, 500)
    assert [record.value for record in records] == values
    assert [record.offset for record in records] == list(range(500))
    assert {record.key for record in records} == {b"k"}
    assert {record.partition for record in records} == {1}


async def test_a_large_append_of_several_batches_is_contiguous_too(found: Found) -> None:
    large = bytes(MAX_RECORD_BYTES // 3)
    assert await found.log.append(found.topic, {0: _entries(b"first", *[large] * 7, b"last")}) == {0: 0}
    records = await _all(found.log, found.topic, 0, 0, 9)
    assert [record.offset for record in records] == list(range(9))
    assert (records[0].value, records[-1].value) == (b"first", b"last")


async def test_a_key_may_be_missing_but_keeps_its_bytes_otherwise(found: Found) -> None:
    await found.log.append(found.topic, {0: [(None, b"a"), (b"\x00\xff", b"")]})
    assert [(record.key, record.value) for record in await _all(found.log, found.topic, 0, 0, 2)] == [
        (None, b"a"),
        (b"\x00\xff", b""),
    ]


async def test_a_range_ends_before_its_end_and_may_begin_anywhere(found: Found) -> None:
    await found.log.append(found.topic, {0: _entries(*[b"%d" % n for n in range(20)])})
    assert [record.offset for record in await _all(found.log, found.topic, 0, 5, 9)] == [5, 6, 7, 8]
    assert await _all(found.log, found.topic, 0, 9, 9) == []
    assert [record.offset for record in await _all(found.log, found.topic, 0, 0, 2)] == [0, 1]
    assert await _all(found.log, found.topic, 1, 0, 0) == []


async def test_keyed_appends_go_to_the_partition_of_their_key_in_order(found: Found) -> None:
    entries = [(f"key-{n % 5}".encode(), b"%d" % n) for n in range(40)]
    await found.log.append_keyed(found.topic, entries)
    for partition, end in (await found.log.ends(found.topic)).items():
        records = await _all(found.log, found.topic, partition, 0, end)
        wanted = [(key, value) for key, value in entries if partition_of(key, 2) == partition]
        assert [(record.key, record.value) for record in records] == wanted


async def test_a_keyed_append_says_where_each_record_is_although_others_write_between_its_batches(found: Found) -> None:
    entries = [(f"key-{n % 5}".encode(), b"%d %s" % (n, b"x" * 200_000)) for n in range(12)]

    other = await found.again()

    async def another() -> None:
        for n in range(20):
            await other.append(found.topic, {n % 2: _entries(b"of another")})

    _, places = await asyncio.gather(another(), found.log.append_keyed(found.topic, entries))
    assert len(places) == len(entries)
    for (key, value), (partition, offset) in zip(entries, places, strict=True):
        (record,) = await _all(found.log, found.topic, partition, offset, offset + 1)
        assert (record.key, record.value) == (key, value)


async def test_the_time_of_a_record_is_the_logs_and_never_goes_back(found: Found) -> None:
    for value in (b"a", b"b", b"c"):
        await found.log.append(found.topic, {0: _entries(value)})
    times = [record.timestamp_ms for record in await _all(found.log, found.topic, 0, 0, 3)]
    assert times == sorted(times)
    assert times[0] > 1_600_000_000_000


async def test_another_writer_moves_the_place_where_the_next_append_lands(found: Found) -> None:
    other = await found.again()
    assert await found.log.append(found.topic, {0: _entries(b"mine")}) == {0: 0}
    assert await other.append(found.topic, {0: _entries(b"foreign")}) == {0: 1}
    assert await found.log.append(found.topic, {0: _entries(b"mine")}) == {0: 2}
    records = await _all(other, found.topic, 0, 0, 3)
    assert [record.value for record in records] == [b"mine", b"foreign", b"mine"]


async def test_two_clients_know_the_same_log_by_the_same_identity(found: Found) -> None:
    other = await found.again()
    assert await found.log.identity([found.topic]) == await other.identity([found.topic])


async def test_a_topic_that_was_made_anew_is_another_log(found: Found) -> None:
    before = await found.log.identity([found.topic])
    await found.recreate()
    after: Any = before
    for _ in range(50):
        try:
            after = await found.log.identity([found.topic])
            break
        except WrongLog:
            await asyncio.sleep(0.1)
    assert after != before
    assert after.partition("|")[0] == before.partition("|")[0]


async def test_another_partition_count_than_the_tables_is_refused_and_says_so(found: Found) -> None:
    with pytest.raises(WrongLog, match=rf"{found.topic.name} has 2 partitions, but the topic table requires 3"):
        await found.log.identity([replace(found.topic, partitions=3)])


async def test_a_missing_topic_is_refused_and_says_so(found: Found) -> None:
    with pytest.raises(WrongLog, match="no-such-topic does not exist"):
        await found.log.identity([replace(found.topic, name="no-such-topic")])
