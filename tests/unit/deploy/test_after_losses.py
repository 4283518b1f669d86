"""What the chaos check takes from a log that lost records: what is left of a signal counts, what is left of a retraction does
not, and of a merge one half is excused only where the log shows that the other half is gone."""

from __future__ import annotations

from collections import defaultdict

import pytest

from schemas.codec import decode
from schemas.signals.assessed import AssessedSignal, AssessOutcome, Route
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, RETRACTIONS, SUBMITTED
from stream_processors.runtime.log import partition_of
from tests.chaos.after_losses import Trace, find_half_lost, read_traces, settle_losses
from tests.support.builders import retraction, retraction_record
from tests.support.world import World
from tests.unit.test_lost_causes import _lose_from, _move, _recover, _send, _two_cases

NAME = "sig-0123456789012345678901"


def _fact(*queues: str) -> AssessedSignal:
    routes = tuple(Route.trusted(queue=queue, case_id=f"case-{queue}") for queue in queues)
    return AssessedSignal.model_construct(outcome=AssessOutcome.ASSESSED, signal_id=NAME, version=2, routes=routes)


def _settled(traces: list[Trace], *facts: AssessedSignal) -> dict[str, set[str]]:
    joined: dict[str, set[str]] = defaultdict(set)
    for fact in facts:
        for route in fact.routes:
            joined[route.case_id].add(f"{fact.signal_id}/{fact.version}")
    settle_losses(joined, traces, [], list(facts))
    return joined


def test_a_signal_is_taken_out_of_the_case_whose_retraction_is_left_and_of_no_other() -> None:
    left = Trace("retract", f"{NAME}/2", "q1", "case-q1", None)
    assert _settled([left], _fact("q1", "q2")) == {"case-q1": set(), "case-q2": {f"{NAME}/2"}}


def test_a_signal_of_which_only_its_join_is_left_counts_unless_it_was_taken_back_there() -> None:
    left = [Trace("join", NAME, queue, f"case-{queue}", (0, 7)) for queue in ("q1", "q2")]
    gone = Trace("retract", NAME, "q2", "case-q2", None)
    assert _settled([*left, gone]) == {"case-q1": {f"{NAME}/1"}, "case-q2": set()}


async def _merged() -> tuple[World, str, str]:
    world, low, high = await _two_cases()
    _move(world, "merge", high, into_case_id=low)
    await world.drain()
    return world, low, high


async def test_what_a_case_sent_on_is_told_by_its_cause_alone() -> None:
    world, _, _ = await _merged()
    _send(world, "3", 6)
    world.submit(*retraction_record(retraction("bank-001", "2")), RETRACTIONS)
    await world.drain()
    sent_on = [one for one in (decode(CASE_COMMANDS, record.value) for record in world.log.all(CASE_COMMANDS)) if one.origin]
    assert {one.data.kind for one in sent_on if one.origin.startswith(CASE_CHANGES.name)} >= {"join", "retract"}
    traces = list(read_traces(world.log.all(CASE_COMMANDS), []))
    assert len({(one.kind, one.name) for one in traces}) == len(traces) == 4
    sources = {(record.partition, record.offset) for record in world.log.all(SUBMITTED)}
    assert {one.source for one in traces if one.kind == "join"} == sources


@pytest.mark.parametrize("is_command_lost", [True, False])
async def test_only_a_half_whose_other_half_is_gone_for_good_is_excused(is_command_lost: bool) -> None:
    world, low, high = await _merged()
    assert find_half_lost(world.log.all(CASE_CHANGES), world.log.generations) == {}
    p = partition_of(high.encode(), CASE_CHANGES.partitions)
    world.log.lose_tail(CASE_CHANGES, p, 1)
    if is_command_lost:
        world.log.lose_tail(CASE_COMMANDS, p, 1)
    await _recover(world)
    half_lost = find_half_lost(world.log.all(CASE_CHANGES), world.log.generations)
    facts = [decode(ASSESSED, record.value).data for record in world.log.all(ASSESSED)]
    [name] = {f"{fact.signal_id}/1" for fact in facts if fact.routes[0].case_id == high}
    assert half_lost == ({low: (1, {name})} if is_command_lost else {})


async def test_what_was_taken_in_after_the_loss_is_not_excused() -> None:
    world, _, _ = await _merged()
    _lose_from(world, CASE_CHANGES, "merge", "absorb")
    await _recover(world)
    changes = [record for record in world.log.all(CASE_CHANGES) if decode(CASE_CHANGES, record.value).data.kind != "merge"]
    assert find_half_lost(changes, world.log.generations) == {}
