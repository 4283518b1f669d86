"""A log that lost records which it had acknowledged is noticed: by its ends, by its facts, while a worker runs."""

from __future__ import annotations

import pytest

from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, SUBMITTED, Topic
from stream_processors.runtime.damage import find_damage
from stream_processors.runtime.kafka import Landings
from stream_processors.runtime.log import DamagedLog
from stream_processors.worker import check_went_on
from tests.support.builders import submission, submitted
from tests.support.world import World


async def _worked(signals: int = 12) -> World:
    world = await World(workers=1).up()
    _submit(world, "a", signals)
    await world.drain()
    return world


def _submit(world: World, name: str, n: int) -> None:
    """Signals about one account: all are in one partition."""
    for number in range(n):
        world.clock.forward(1)
        amount = {"minor": 2_000_000 + world.clock.ms % 1_000_000_000, "currency": "CNY"}
        world.submit(*submission(submitted(f"bank-00{1 + number % 3}", f"{name}-{number}", amount=amount)), SUBMITTED)


def _fullest(world: World, topic: Topic) -> int:
    return max(range(topic.partitions), key=lambda p: len(world.log.all(topic, p)))


@pytest.mark.parametrize(("stage", "topic"), [("assess", SUBMITTED), ("track", CASE_COMMANDS), ("deliver", CASE_CHANGES)])
async def test_a_source_that_ends_before_its_mark_stops_the_worker_at_its_assignment(stage: str, topic: Topic) -> None:
    world = await _worked()
    p = _fullest(world, topic)
    end = len(world.log.all(topic, p))
    world.log.lose_tail(topic, p, 3)
    said = rf"{topic.name}/{p} ends at {end - 3}, .* up to {end}: .* lost 3 acknowledged records; run `liandong recover`"
    with pytest.raises(DamagedLog, match=said):
        await world.workers[stage][0].agent.assigned([(topic.name, p)])


@pytest.mark.parametrize(("stage", "topic"), [("assess", SUBMITTED), ("track", CASE_COMMANDS), ("project", CASE_CHANGES)])
async def test_a_source_that_ends_before_its_mark_stops_the_worker_that_runs(stage: str, topic: Topic) -> None:
    world = await _worked()
    p = _fullest(world, topic)
    agent = world.workers[stage][0].agent
    await agent.check()
    world.log.lose_tail(topic, p, 1)
    with pytest.raises(DamagedLog, match=rf"{topic.name}/{p} ends at .* but {stage} refers to it up to"):
        await agent.check()


@pytest.mark.parametrize(("stage", "topic"), [("assess", ASSESSED), ("track", CASE_CHANGES)])
async def test_own_facts_that_are_gone_stop_the_worker_that_runs(stage: str, topic: Topic) -> None:
    world = await _worked()
    world.log.lose_tail(topic, _fullest(world, topic), 1)
    with pytest.raises(DamagedLog, match=f"{topic.name}/"):
        await world.workers[stage][0].agent.check()


async def test_a_source_that_was_cut_and_filled_up_again_is_noticed_by_what_its_facts_are_about() -> None:
    world = await _worked()
    p = _fullest(world, SUBMITTED)
    world.log.lose_tail(SUBMITTED, p, 4)
    _submit(world, "b", 9)
    assert len(world.log.all(SUBMITTED, p)) == 17
    with pytest.raises(DamagedLog, match=rf"{SUBMITTED.name}/{p} contains at 8 another record than {ASSESSED.name}/"):
        await world.workers["assess"][0].agent.assigned([(SUBMITTED.name, p)])


async def test_a_source_is_known_by_the_joins_too_when_its_facts_are_lost_with_it() -> None:
    world = await _worked()
    p = _fullest(world, SUBMITTED)
    world.log.lose_tail(SUBMITTED, p, 4)
    world.log.lose_tail(ASSESSED, p, 5)
    found = await find_damage(world.log, (SUBMITTED,))
    assert [(one.partition, one.end, one.known_end) for one in found] == [(p, 8, 12)]


async def test_a_whole_log_has_no_damage() -> None:
    world = await _worked()
    assert await find_damage(world.log, tuple(dict.fromkeys(t for s in world.stages.values() for t in s.reads))) == []


def test_an_append_that_lands_where_an_acknowledged_record_stood_is_a_loss() -> None:
    landings, first, second = Landings(), 0, 1
    landings.check(SUBMITTED, first, 5, 3, landings.newest(SUBMITTED, [first]))
    before = landings.newest(SUBMITTED, [first, second])
    landings.check(SUBMITTED, first, 8, 1, before)
    landings.check(SUBMITTED, second, 7, 1, before)
    with pytest.raises(DamagedLog, match="/0: a record landed at 7 after 7 was acknowledged"):
        landings.check(SUBMITTED, first, 7, 1, before)
    landings.forget()
    landings.check(SUBMITTED, first, 7, 1, before)


def test_a_consumer_that_went_back_by_itself_is_a_loss() -> None:
    check_went_on("assess", {})
    with pytest.raises(DamagedLog, match="t/0: assess continues from offset 181, but the broker sent 0"):
        check_went_on("assess", {("t", 0): (181, 0)})
