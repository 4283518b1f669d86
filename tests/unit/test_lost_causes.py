"""What one case asked of another when cases were merged or split, and the change that asked for it is lost: it counts once where
the merge or split is decided again, and not at all where that is gone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson
import pytest

from schemas.codec import decode
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, NOTIFICATIONS, RETRACTIONS, SUBMITTED, Topic
from stream_processors.runtime.log import partition_of
from stream_processors.state.compression import unpack
from tests.support.builders import account, action_record, move, retraction, retraction_record, submission, submitted
from tests.support.memory_store import MemoryRedis
from tests.support.world import World, content


def _send(world: World, reference: str, subject: int) -> None:
    world.clock.forward(1)
    amount = {"minor": 60_000_000 + int(reference), "currency": "CNY"}
    world.submit(*submission(submitted("bank-001", reference, indicators=[account(subject)], amount=amount)), SUBMITTED)


def _move(world: World, kind: str, case_id: str, **more: Any) -> None:
    """An officer takes the case and does it."""
    for what, fields in (("claim", {}), (kind, more)):
        world.clock.forward(1)
        world.submit(*action_record(move(what, case_id=case_id, action_id=f"{what}-{case_id}", **fields)), CASE_COMMANDS)


def _cases(world: World) -> dict[str, dict[str, Any]]:
    """The cases as track knows them."""
    values = [value for bucket in world.redis["track"].buckets for value in bucket.values.values()]
    cases = [orjson.loads(unpack(value["case"])) for value in values if isinstance(value, dict) and "case" in value]
    return {case["case_id"]: case for case in cases}


def _listed(world: World) -> Counter[str]:
    """How often each signal is listed by a case that counts it. These cases are so small that they list all."""
    cases = _cases(world).values()
    assert all(len(case["signals"]) == case["signal_count"] for case in cases)
    return Counter(signal["signal_id"] for case in cases for signal in case["signals"])


async def _two_cases() -> tuple[World, str, str]:
    """A world of two cases of one queue, and their ids, the lower first."""
    world = await World(workers=1).up()
    _send(world, "1", 5)
    _send(world, "2", 6)
    await world.drain()
    low, high = sorted(_cases(world))
    return world, low, high


async def _merged_cases() -> tuple[World, str, str]:
    """The same, and the higher one is merged into the lower one."""
    world, low, high = await _two_cases()
    _move(world, "merge", high, into_case_id=low)
    await world.drain()
    return world, low, high


def _positions(world: World, topic: Topic, about: Iterable[str]) -> dict[int, int]:
    """By partition, the first record of a kind of action."""
    found: dict[int, int] = {}
    for record in world.log.all(topic):
        if decode(topic, record.value).data.kind in about:
            found.setdefault(record.partition, record.offset)
    return found


def _lose_from(world: World, topic: Topic, *about: str) -> None:
    """Each partition loses its tail from the first action of these kinds on."""
    for p, position in _positions(world, topic, about).items():
        offset = world.log.generations.offset(topic.name, p, position)
        world.log.lose_tail(topic, p, len(world.log.all(topic, p)) - offset)


async def _recover(world: World) -> None:
    world.clock.forward(1)
    assert await world.recover()
    await world.drain()


async def _check(world: World) -> None:
    """Each signal counts once, and the state that the log gives is the live one."""
    assert set(_listed(world).values()) <= {1}, _listed(world)
    for stage in world.stages:
        assert content(world.redis[stage]) == content(await world.afresh(stage)), stage


async def test_what_a_lost_merge_handed_over_counts_only_where_it_was() -> None:
    world, low, high = await _merged_cases()
    assert _cases(world)[high]["merged_into"] == low
    _lose_from(world, CASE_COMMANDS, "merge", "absorb")  # the changes are there, and ask once more
    await _recover(world)
    kinds = {decode(CASE_COMMANDS, record.value).data.kind for record in world.log.all(CASE_COMMANDS)}
    assert _cases(world)[high]["merged_into"] == low and "absorb" in kinds and "merge" not in kinds
    _lose_from(world, CASE_CHANGES, "merge", "absorb")
    await _recover(world)
    assert _cases(world)[high]["merged_into"] is None
    assert len(_listed(world)) == 2
    await _check(world)


async def test_what_a_merge_asks_for_once_more_counts_once() -> None:
    world, low, high = await _merged_cases()
    _send(world, "3", 5)
    _send(world, "4", 6)
    await world.drain()
    assert len(_listed(world)) == 4
    _lose_from(world, CASE_CHANGES, "merge", "absorb")
    await _recover(world)
    assert _cases(world)[high]["merged_into"] == low and _cases(world)[low]["signal_count"] == 4
    await _check(world)


@pytest.mark.parametrize("lost", [[CASE_COMMANDS], [CASE_COMMANDS, CASE_CHANGES]], ids=["asked", "asked and done"])
async def test_what_a_merge_asks_for_once_more_counts_once_when_deliver_has_lost_its_place(lost: list[Topic]) -> None:
    world, low, high = await _merged_cases()
    _send(world, "3", 6)
    await world.drain()
    assert len(_listed(world)) == 3
    p = partition_of(high.encode(), CASE_CHANGES.partitions)
    _lose_from(world, CASE_CHANGES, "merge", *(["absorb"] if CASE_CHANGES in lost else []))
    for q in range(NOTIFICATIONS.partitions):
        world.log.lose_tail(NOTIFICATIONS, q, len(world.log.all(NOTIFICATIONS, q)))
    world.redis["deliver"] = MemoryRedis(world.clock)
    await _recover(world)
    assert _count_asked(world, p) == 4, "they are asked for once more"
    assert _cases(world)[high]["merged_into"] == low and _cases(world)[low]["signal_count"] == 3
    await _check(world)


def _count_asked(world: World, p: int) -> int:
    """Actions that changes of a partition ask for."""
    origins = [decode(CASE_COMMANDS, record.value).origin or "" for record in world.log.all(CASE_COMMANDS)]
    return sum(origin.startswith(f"{CASE_CHANGES.name}/{p}/") for origin in origins)


async def test_what_was_done_counts_once_though_its_request_is_lost_and_asked_for_once_more() -> None:
    world, low, high = await _merged_cases()
    _send(world, "3", 6)
    await world.drain()
    p, q = (partition_of(name.encode(), CASE_COMMANDS.partitions) for name in (high, low))
    world.log.lose_tail(CASE_COMMANDS, q, 1)
    world.log.lose_tail(CASE_CHANGES, p, 1)
    await _recover(world)
    assert _count_asked(world, p) >= 2 and _cases(world)[low]["signal_count"] == 3
    await _check(world)


async def test_a_forwarded_join_that_stands_counts_once_though_the_merge_is_decided_again() -> None:
    world, low, high = await _merged_cases()
    _send(world, "3", 5)
    _send(world, "4", 6)
    await world.drain()
    p = partition_of(high.encode(), CASE_CHANGES.partitions)
    assert p != partition_of(low.encode(), CASE_CHANGES.partitions)
    at = _positions(world, CASE_CHANGES, ["merge"])[p]
    world.log.lose_tail(CASE_CHANGES, p, len(world.log.all(CASE_CHANGES, p)) - at)
    await _recover(world)
    assert _cases(world)[low]["signal_count"] == 4
    await _check(world)


async def test_a_retraction_of_which_only_the_half_is_left_that_was_sent_on_takes_nothing_back() -> None:
    world, _, high = await _merged_cases()
    world.clock.forward(1)
    world.submit(*retraction_record(retraction("bank-001", "2")), RETRACTIONS)
    await world.drain()
    assert len(_listed(world)) == 1
    p = partition_of(high.encode(), CASE_COMMANDS.partitions)
    world.log.lose_tail(CASE_COMMANDS, p, 1)
    _lose_from(world, CASE_CHANGES, "retract")
    for topic in (ASSESSED, RETRACTIONS):
        for q in range(topic.partitions):
            world.log.lose_tail(topic, q, len(world.log.all(topic, q)))
    await _recover(world)
    facts = [decode(ASSESSED, record.value).data for record in world.log.all(ASSESSED)]
    assert [fact.outcome for fact in facts] == ["assessed"] * 2 and len(_listed(world)) == 2
    await _check(world)


async def test_all_of_a_split_counts_once_when_changes_are_lost() -> None:
    world, low, _ = await _two_cases()
    for reference, subject in (("3", 5), ("4", 5), ("5", 6), ("6", 6)):
        _send(world, reference, subject)
    await world.drain()
    _move(world, "split", low, signals=(_cases(world)[low]["signals"][0]["signal_id"],))
    await world.drain()
    assert f"{low}~1" in _cases(world)
    _lose_from(world, CASE_CHANGES, "split", "absorb")
    await _recover(world)
    assert f"{low}~1" in _cases(world) and len(_listed(world)) == 6
    await _check(world)
    _lose_from(world, CASE_COMMANDS, "split", "absorb")
    await _recover(world)
    _lose_from(world, CASE_CHANGES, "split", "absorb")
    await _recover(world)
    assert len(_listed(world)) == 6
    await _check(world)
