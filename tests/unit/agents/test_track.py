"""The track agent over in-memory ports: joins once, one holder, and a fact for every action."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.cases.case import ActionOutcome, CaseStatus
from schemas.codec import decode
from schemas.envelope import Origin
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, DEADLETTER, SUBMITTED
from stream_processors.agents import track
from stream_processors.runtime.log import LostLog
from tests.support.builders import action_record, join, move
from tests.support.world import World


@pytest.fixture
async def world() -> World:
    return await World(workers=1).up()


def _join(world: World, offset: int, n: int = 0, partition: int = 0, **over: Any) -> None:
    action = join(action_id=f"join-{partition}-{offset}-{n}", signal_id=f"sig-{partition}-{offset}", **over)
    world.submit(*action_record(action, Origin(SUBMITTED.name, partition, offset, n)), CASE_COMMANDS)


async def _track(world: World) -> list[Any]:
    """All changes so far, after a poll."""
    assert await world.poll("track", 0)
    assert world.ended == []
    return [decode(CASE_CHANGES, record.value).data for record in world.log.all(CASE_CHANGES)]


async def test_the_first_join_opens_the_case_and_the_next_ones_join_it(world: World) -> None:
    _join(world, 0)
    _join(world, 1, institution="bank-002", score=80, severity="critical")
    first, second = await _track(world)
    assert (first.case.status, first.revision, first.case.signal_count) == (CaseStatus.OPEN, 1, 1)
    assert (second.revision, second.case.signal_count, second.case.score) == (2, 2, 80)
    assert second.case.institutions == ("bank-001", "bank-002")
    assert second.case.amount_minor == {"CNY": 2_400_000}


async def test_a_join_that_comes_again_is_an_echo_in_the_same_poll_and_later(world: World) -> None:
    _join(world, 5)
    _join(world, 5)
    _join(world, 5, n=1)
    outcomes = [change.outcome for change in await _track(world)]
    assert outcomes == [ActionOutcome.APPLIED, ActionOutcome.REDELIVERY, ActionOutcome.APPLIED]
    _join(world, 5, n=1)
    _join(world, 4)
    assert [change.outcome for change in (await _track(world))[3:]] == [ActionOutcome.REDELIVERY] * 2


async def test_joins_of_another_partition_are_told_apart_by_it(world: World) -> None:
    _join(world, 5, partition=0)
    _join(world, 5, partition=1)
    assert [change.outcome for change in await _track(world)] == [ActionOutcome.APPLIED] * 2


async def test_echoes_are_known_after_a_rebuild(world: World) -> None:
    _join(world, 5)
    await _track(world)
    world.redis["track"].flush()
    await world.restart("track", 0)
    _join(world, 5)
    assert (await _track(world))[-1].outcome is ActionOutcome.REDELIVERY


async def test_of_two_officers_in_one_poll_one_has_the_case(world: World) -> None:
    _join(world, 0)
    for officer in ("officer-a", "officer-b"):
        world.submit(*action_record(move("claim", officer, revision=1)), CASE_COMMANDS)
    world.submit(*action_record(move("claim", "officer-b", action_id="without-revision")), CASE_COMMANDS)
    _, won, stale, held = await _track(world)
    assert (won.outcome, won.case.holder) == (ActionOutcome.APPLIED, "officer-a")
    assert (stale.outcome, stale.problem, stale.revision) == (ActionOutcome.REFUSED, "stale-revision", 2)
    assert (held.outcome, held.problem) == (ActionOutcome.REFUSED, "held-by-other")
    assert "officer-a" in held.detail


async def test_a_retry_of_an_officers_action_is_an_echo(world: World) -> None:
    _join(world, 0)
    for _ in range(3):
        world.submit(*action_record(move("claim")), CASE_COMMANDS)
    outcomes = [change.outcome for change in await _track(world)]
    assert outcomes == [ActionOutcome.APPLIED, ActionOutcome.APPLIED, ActionOutcome.REDELIVERY, ActionOutcome.REDELIVERY]


async def test_a_lease_ends_without_a_further_record(world: World) -> None:
    _join(world, 0)
    world.submit(*action_record(move("claim", lease_s=60)), CASE_COMMANDS)
    world.clock.forward(61)
    world.submit(*action_record(move("claim", "officer-b")), CASE_COMMANDS)
    assert (await _track(world))[-1].case.holder == "officer-b"


async def test_an_action_on_a_case_that_nobody_knows_is_refused(world: World) -> None:
    world.submit(*action_record(move("claim", case_id="case-none")), CASE_COMMANDS)
    (change,) = await _track(world)
    assert (change.outcome, change.problem) == (ActionOutcome.REFUSED, "unknown-case")


_GOOD = action_record(join(), Origin(SUBMITTED.name, 0, 0))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"k", b"no record"),
        (b"another case", _GOOD[1]),
        (_GOOD[0], action_record(join())[1]),
        (_GOOD[0], action_record(join(), Origin("signals.assessed.v1", 0, 0))[1]),
        (_GOOD[0], action_record(join(), Origin(SUBMITTED.name, 8, 0))[1]),
        (_GOOD[0], action_record(join(), Origin(SUBMITTED.name, 0, 0, 16))[1]),
        (_GOOD[0], action_record(join(), Origin(SUBMITTED.name, 0, 2**60))[1]),
    ],
    ids=["bytes", "key", "no origin", "origin topic", "origin partition", "origin number", "origin offset"],
)
async def test_an_action_that_cannot_be_taken_is_a_refused_fact_and_a_dead_letter(world: World, key: bytes, value: bytes) -> None:
    world.submit(key, value, CASE_COMMANDS)
    (change,) = await _track(world)
    assert (change.outcome, change.problem, change.case) == (ActionOutcome.REFUSED, "action-unreadable", None)
    assert decode(DEADLETTER, world.log.all(DEADLETTER)[0].value).data.stage == "track"


async def test_another_owner_is_noticed_before_anything_is_folded(world: World) -> None:
    _join(world, 0)
    partition = world.log.all(CASE_COMMANDS)[0].partition
    world.log.put(CASE_CHANGES, partition, None, b"of another owner")
    worker = world.workers["track"][0]
    with pytest.raises(LostLog, match="another owner is alive"):
        await worker.agent.step(world.batch("track", worker, 10))
    assert all(bucket.values == {} for bucket in world.redis["track"].buckets)


async def test_a_case_is_read_from_the_state_by_a_new_owner(world: World) -> None:
    _join(world, 0)
    await _track(world)
    await world.restart("track", 0)
    world.submit(*action_record(move("claim", revision=1)), CASE_COMMANDS)
    assert (await _track(world))[-1].case.signal_count == 1


async def test_a_move_without_what_it_needs_leaves_no_case_without_a_holder(world: World) -> None:
    """Such a record is no gateway's; were it in the log, nobody could end it by rights."""
    _join(world, 0)
    world.submit(*action_record(move("claim").model_copy(update={"officer": None})), CASE_COMMANDS)
    world.submit(*action_record(move("claim")), CASE_COMMANDS)
    world.submit(*action_record(move("hand_over").model_copy(update={"to_officer": None})), CASE_COMMANDS)
    world.submit(*action_record(move("dispose").model_copy(update={"disposition": None})), CASE_COMMANDS)
    changes = await _track(world)
    assert [change.outcome.value for change in changes] == ["applied", "refused", "applied", "refused", "refused"]
    assert changes[2].case.holder == "officer-a"


async def test_a_case_that_would_be_no_record_any_more_lists_fewer_signals(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the broker would refuse it, and every owner of the partition would end at the same action."""
    monkeypatch.setattr(track, "LARGEST", 20_000)
    for n in range(8):
        _join(world, n, narrative_sealed="k1." + "x" * 4000)
    last = (await _track(world))[-1]
    assert (last.outcome, last.case.signal_count) == (ActionOutcome.APPLIED, 8)
    assert 0 < len(last.case.signals) < 8 and last.case.signals[0].signal_id == "sig-0-7"
    assert max(len(record.value) for record in world.log.all(CASE_CHANGES)) <= 20_000


async def test_what_does_not_fit_into_a_record_is_refused_and_the_case_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    _join(world, 0)
    world.submit(*action_record(move("claim", revision=1)), CASE_COMMANDS)
    await _track(world)
    monkeypatch.setattr(track, "LARGEST", 20_000)
    world.submit(*action_record(move("dispose", note_sealed="k1." + "x" * 20_000)), CASE_COMMANDS)
    world.submit(*action_record(move("release", action_id="after")), CASE_COMMANDS)
    *_, large, after = await _track(world)
    assert (large.outcome, large.revision) == (ActionOutcome.REFUSED, 2)
    assert (after.outcome, after.revision) == (ActionOutcome.APPLIED, 3)
