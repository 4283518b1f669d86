"""The deliver agent over in-memory ports: every notice once to its recipient, whatever dies; the place is in the log, too."""

from __future__ import annotations

import time
from typing import Any

import pytest

from schemas.codec import decode
from schemas.common import DAY_MS
from schemas.envelope import Origin
from schemas.notifications.delivery import MOST_FOLLOWS
from schemas.topics import CASE_CHANGES, DEADLETTER, NOTIFICATIONS
from stream_processors.runtime.crash_points import POINTS
from stream_processors.runtime.log import Record
from stream_processors.state.fold_run import read_chunk
from stream_processors.state.keys import FOLDS
from stream_processors.topology import STAGES
from tests.support.builders import SEALER
from tests.support.crashing import crashing
from tests.support.deliveries import change, follow, issued, notice, ordered, put_change, requests, where
from tests.support.memory_store import marks_by_name
from tests.support.world import World

INBOX = next(stream for stream in STAGES["project"].streams if stream.topic is NOTIFICATIONS)
STEP_POINTS = [name for name in POINTS if name.startswith("deliver.") and name != "deliver.found"]


@pytest.fixture
async def world() -> World:
    return await World(workers=1).up()


def counted(world: World) -> list[str]:
    """The ids of the notices that count: of each source the first record, as every fold reads them."""
    found = []
    for p in range(NOTIFICATIONS.partitions):
        records: list[Record] = world.log.all(NOTIFICATIONS, p)
        if records:
            found += [one.envelope.data.notification.notification_id for one in read_chunk(INBOX, p, records, {}).counted]
    return sorted(found)


async def test_an_order_reaches_its_recipient_whole_and_by_its_key(world: World) -> None:
    put_change(world, ordered(), 3)
    await world.poll("deliver", 0)
    (envelope,) = issued(world)
    told = envelope.data
    assert (told.notification.recipient, told.notification.kind, told.order.order_id) == ("bank-001", "order", "ord-1")
    assert told.order.state == "issued", "as it is after the change"
    assert SEALER.unseal(told.order.subject.sealed, f"ord-1/{told.order.subject.token}") == "6222021000000001"
    (record,) = world.log.all(NOTIFICATIONS)
    assert (record.partition, record.key) == (where("bank-001"), b"bank-001")
    assert Origin.parse(envelope.origin) == Origin(CASE_CHANGES.name, 3, 0, 0)


async def test_what_follows_for_another_case_becomes_an_action_of_that_case(world: World) -> None:
    put_change(world, change(0, (notice(0), notice(1, "bank-002")), (follow(0), follow(1, "case-3"))), 2)
    await world.poll("deliver", 0)
    assert [(one.data.action_id, one.data.case_id, one.origin) for one in sorted(requests(world), key=lambda one: one.id)] == [
        ("follow-0", "case-2", f"{CASE_CHANGES.name}/2/0/0"),
        ("follow-1", "case-3", f"{CASE_CHANGES.name}/2/0/1"),
    ]
    assert counted(world) == ["act-0/case-1/0", "act-1/case-1/0"]


async def test_a_change_that_asks_for_nothing_writes_nothing(world: World) -> None:
    for n in range(3):
        put_change(world, change(n))
    await world.poll("deliver", 0)
    assert issued(world) == [] == requests(world)


async def test_an_echo_of_a_change_delivers_nothing_again_even_when_it_was_decided_otherwise(world: World) -> None:
    put_change(world, change(0, (notice(0),)), action=5)
    put_change(world, change(0, (notice(0), notice(1))), action=5)
    await world.poll("deliver", 0, 1)
    await world.poll("deliver", 0, 1)
    await world.restart("deliver", 0)
    put_change(world, change(0, (notice(2),)), action=4)
    await world.poll("deliver", 0)
    assert counted(world) == ["act-0/case-1/0"]


@pytest.mark.parametrize("point", STEP_POINTS)
async def test_a_death_between_any_two_steps_loses_nothing_and_nothing_counts_twice(point: str) -> None:
    with crashing() as crasher:
        world = await World(workers=1).up()
        for n in range(12):
            notices = tuple(notice(10 * n + m, f"bank-00{m}") for m in range(n % 4))
            put_change(world, change(n, notices, (follow(n),) * (n % 2)), n % 3)
        crasher.arm(point, 2)
        for _ in range(8):
            await world.poll("deliver", 0, 2)
        assert crasher.hit[point] == 1
        await world.drain()
    wanted = sorted(f"act-{10 * n + m}/case-1/0" for n in range(12) for m in range(n % 4))
    assert counted(world) == wanted
    assert {one.data.action_id for one in requests(world)} == {f"follow-{n}" for n in range(12) if n % 2}


async def test_a_lost_place_is_found_in_the_log_and_little_is_written_again(world: World) -> None:
    for n in range(40):
        put_change(world, change(n, (notice(n),)), n % 2)
        world.clock.forward(61)  # what the broker had surely on its disk is not written again
        await world.poll("deliver", 0)
    for lost in (range(16), range(3)):
        before = len(issued(world))
        world.redis["deliver"].flush(lost)
        world.clock.forward(61)
        await world.restart("deliver", 0)
        await world.drain()
        assert counted(world) == sorted(f"act-{n}/case-1/0" for n in range(40))
        assert len(issued(world)) - before <= 4, "the last poll's of each partition, and those of the last minute"


async def test_a_lost_place_is_found_without_reading_all_notices(world: World) -> None:
    """All of them are years, and a worker that reads for longer than an assignment may take never comes up."""
    world.log.clock.ms = time.time_ns() // 1_000_000 - 40 * DAY_MS
    for n in range(30):
        if n == 26:
            world.log.clock.ms += 40 * DAY_MS - 150_000
        if n == 28:
            world.log.clock.forward(90)
        put_change(world, change(n, (notice(n),)), n % 2)
        await world.poll("deliver", 0)
    agent: Any = world.workers["deliver"][0].agent
    agent._tell = (said := list[str]()).append
    # the notices of the last minute may be lost: what they tell is not believed
    places = await agent._find_places({0, 1})
    assert places == {p: marks_by_name({f"e{p}": 13, f"h{p}": 13}) for p in (0, 1)}
    assert "read 4 notices" in said[0]


async def test_places_stay_when_newer_workers_know_other_folds(world: World) -> None:
    for n in range(4):
        put_change(world, change(n, (notice(n),)))
        await world.poll("deliver", 0)
    for bucket in world.redis["deliver"].buckets:
        bucket.marks["stamp"] = bucket.marks["stamp"].replace(f"folds={FOLDS}", f"folds={FOLDS - 1}")
    await world.restart("deliver", 0)
    assert {bucket.marks["e0"] for bucket in world.redis["deliver"].buckets} == {"4"}
    await world.drain()
    assert len(issued(world)) == 4


async def test_half_an_append_and_a_lost_redis_at_once_lose_nothing(world: World) -> None:
    """What a notice says of the place holds for the poll before it, not for its own."""
    put_change(world, change(0, (notice(0),)))
    await world.poll("deliver", 0)
    for n in range(1, 4):
        put_change(world, change(n, tuple(notice(10 * n + m, f"bank-00{m}") for m in range(4)), (follow(n),)))
    world.redis["deliver"].flush()  # deliver notices it when it moves its place, after the appends
    await world.poll("deliver", 0, plan=("cut", 1))
    assert any("in the middle of an append" in line for line in world.ended)
    await world.drain()
    wanted = ["act-0/case-1/0", *(f"act-{10 * n + m}/case-1/0" for n in range(1, 4) for m in range(4))]
    assert counted(world) == sorted(wanted)
    assert {one.data.action_id for one in requests(world)} == {f"follow-{n}" for n in range(1, 4)}


async def test_buckets_that_went_back_are_level_again_from_the_lowest(world: World) -> None:
    copy = world.redis["deliver"].copy()
    for n in range(6):
        put_change(world, change(n, (notice(n),)))
        await world.poll("deliver", 0)
    world.redis["deliver"].roll_back(copy, range(5))
    await world.restart("deliver", 0)
    put_change(world, change(6, (notice(6),)))
    await world.drain()
    assert counted(world) == [f"act-{n}/case-1/0" for n in range(7)]
    assert {bucket.marks["e0"] for bucket in world.redis["deliver"].buckets} == {"7"}
    assert world.ended == []


async def test_a_death_when_the_place_was_found_finds_it_again(world: World) -> None:
    put_change(world, change(0, (notice(0),)))
    await world.poll("deliver", 0)
    with crashing() as crasher:
        world.redis["deliver"].flush()
        crasher.arm("deliver.found")
        await world.restart("deliver", 0)
        assert crasher.hit["deliver.found"] == 1
    await world.drain()
    assert counted(world) == ["act-0/case-1/0"]


async def test_another_owner_is_noticed_and_what_it_wrote_is_an_echo(world: World) -> None:
    put_change(world, change(0, (notice(0),)))
    worker = world.workers["deliver"][0]
    other = await world._started("deliver", 0)
    await other.agent.step(world.batch("deliver", other, 10))
    put_change(world, change(1, (notice(1),)))
    await world.poll("deliver", 0)
    assert any("MarkMoved" in line for line in world.ended), world.ended
    await world.drain()
    assert counted(world) == ["act-0/case-1/0", "act-1/case-1/0"]
    assert worker is not world.workers["deliver"][0]


def _poison() -> dict[str, Any]:
    whole = change(0, (notice(0),))
    return {
        "bytes": b"no record",
        "a notice": whole.model_copy(update={"notifications": ({"recipient": "bank-001"},)}),
        "too many": change(0, (notice(0),), tuple(follow(n) for n in range(MOST_FOLLOWS + 1))),
    }


@pytest.mark.parametrize("name", list(_poison()))
async def test_a_change_that_cannot_be_read_is_put_aside_whole_and_the_next_is_delivered(world: World, name: str) -> None:
    bad = _poison()[name]
    if isinstance(bad, bytes):
        world.log.put(CASE_CHANGES, 0, b"k", bad)
    else:
        put_change(world, bad)
    put_change(world, change(1, (notice(1),)))
    await world.poll("deliver", 0)
    assert counted(world) == ["act-1/case-1/0"]
    letters = [decode(DEADLETTER, record.value).data for record in world.log.all(DEADLETTER)]
    assert [(one.stage, one.topic, one.offset) for one in letters] == [("deliver", CASE_CHANGES.name, 0)]
    assert "bank-001" not in letters[0].reason
