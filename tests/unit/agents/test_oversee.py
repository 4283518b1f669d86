"""The stage of the coordination body over in-memory ports: each request becomes one fact, and the views show what it made."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from schemas.codec import decode
from schemas.topics import APPRAISAL_CHANGES, APPRAISAL_COMMANDS, DEADLETTER
from stream_processors.runtime.log import partition_of
from tests.support.builders import T0
from tests.support.cells import cells_of
from tests.support.oversight import ask, campaign, oversight_record
from tests.support.scores import MONTH, UNIT, move, of, step
from tests.support.world import World, content


@pytest.fixture
async def world() -> World:
    return await World(workers=1).up()


def _facts(world: World) -> list[Any]:
    return [decode(APPRAISAL_CHANGES, record.value) for record in world.log.all(APPRAISAL_CHANGES)]


def _value(world: World, stage: str, key: str) -> Any:
    return next((bucket.values[key] for bucket in world.redis[stage].buckets if key in bucket.values), None)


async def test_every_request_is_one_fact_in_its_own_partition_and_the_views_have_the_record(world: World) -> None:
    for one in (
        ask(),
        ask("submit", UNIT),
        ask("submit", UNIT),
        ask("record_finding", UNIT),
        campaign(),
        step("issue"),
        move("open"),
    ):
        key, value = oversight_record(one)
        world.submit(key, value, APPRAISAL_COMMANDS)
    await world.drain()
    facts = _facts(world)
    assert sorted(fact.data.outcome for fact in facts) == ["applied"] * 5 + ["redelivery", "refused"]
    for record in world.log.all(APPRAISAL_CHANGES):
        assert record.partition == partition_of(record.key or b"", APPRAISAL_CHANGES.partitions)
    shown = _value(world, "project", "o:data:dat-1")
    assert shown["rev"] == 2 and orjson.loads(shown["text"])["state"] == "submitted"
    listed = {name for bucket in world.redis["project"].buckets for name in bucket.values.get("overseen", ())}
    assert listed == {b"data:dat-1", b"supervision:sup-1", b"appraisal:2025"}
    assert orjson.loads(_value(world, "project", "a:record_finding-1"))["problem"] == "forbidden"
    cells = cells_of(world.redis["project"])
    assert of(cells, UNIT, MONTH) == {"data_in_time": 1}
    assert of(cells, "bank-001", MONTH) == {"campaigns": 1, "campaign_reached": 1200}
    for stage in ("oversee", "project"):
        assert content(world.redis[stage]) == content(await world.afresh(stage))


async def test_what_cannot_be_read_goes_to_the_dead_letters_and_is_a_fact_all_the_same(world: World) -> None:
    key, value = oversight_record(ask())
    world.log.put(APPRAISAL_COMMANDS, 1, key, b"no record")
    world.log.put(APPRAISAL_COMMANDS, 1, b"data:other", value)
    await world.drain()
    assert [fact.data.problem for fact in _facts(world)] == ["action-unreadable"] * 2
    assert len(world.log.all(DEADLETTER)) == 2


async def test_now_is_the_log_s_time(world: World) -> None:
    world.submit(*oversight_record(ask()), APPRAISAL_COMMANDS)
    world.clock.forward(60)
    await world.drain()
    assert _facts(world)[0].data.at == T0


async def test_without_a_key_no_year_is_locked(world: World) -> None:
    for one, days in ((move("open"), 1), (move("publish"), 40), (move("lock"), 1)):
        world.submit(*oversight_record(one), APPRAISAL_COMMANDS)
        world.clock.forward(days * 86_400)
    await world.drain()
    assert _facts(world)[-1].data.problem == "no-signer"
