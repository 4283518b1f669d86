"""Retractions and corrections through the stages: what is taken back, where, and what stays."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.cases.case import Case, CaseStatus
from schemas.codec import decode
from schemas.signals.assessed import AssessOutcome
from schemas.signals.retraction import FOREVER
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, DEADLETTER, RETRACTIONS, SUBMITTED
from stream_processors.runtime.log import partition_of
from stream_processors.state.case_refs import in_full
from stream_processors.topology import STAGES
from tests.support.builders import (
    account,
    action_record,
    after,
    move,
    phone,
    retraction,
    retraction_record,
    submission,
    submitted,
)
from tests.support.world import World, content

BIG = {"amount": {"minor": 60_000_000, "currency": "CNY"}}


@pytest.fixture
async def world() -> World:
    return await World(workers=1).up()


async def _send(world: World, *signals: Any) -> None:
    for signal in signals:
        world.submit(*submission(signal), SUBMITTED)
    await world.drain()


async def _retract(world: World, institution: str = "bank-001", reference: str = "r-1", below: int = FOREVER) -> None:
    world.submit(*retraction_record(retraction(institution, reference, below)), RETRACTIONS)
    await world.drain()


def _facts(world: World, *outcomes: AssessOutcome) -> list[Any]:
    facts = [decode(ASSESSED, record.value).data for record in world.log.all(ASSESSED)]
    return [fact for fact in facts if fact.outcome in outcomes]


def _borne_out(world: World) -> set[str]:
    """By which of its subjects' other signals the newest signal was borne out."""
    return {reason.rule for reason in _facts(world, AssessOutcome.ASSESSED)[-1].reasons} & {"velocity", "institutions"}


def _case(world: World) -> Case:
    """The one case, at its newest revision."""
    cases = [change.case for record in world.log.all(CASE_CHANGES) if (change := decode(CASE_CHANGES, record.value).data).case]
    assert len({case.case_id for case in cases}) == 1
    return max(cases, key=lambda case: case.revision)


async def test_a_retraction_takes_the_signal_out_of_its_case(world: World) -> None:
    await _send(world, submitted("bank-001", **BIG), submitted("bank-002", occurred_at=after(minutes=1)))
    before = _case(world)
    first, second = _facts(world, AssessOutcome.ASSESSED)
    assert (before.signal_count, before.score, before.amount_minor) == (2, second.score, {"CNY": 61_200_000})
    await _retract(world, "bank-002")
    left = _case(world)
    assert (left.signal_count, left.institutions, left.amount_minor) == (1, ("bank-001",), {"CNY": 60_000_000})
    assert second.score > first.score
    assert (left.score, left.severity, left.status) == (first.score, first.severity, CaseStatus.OPEN)
    assert [one.institution for one in left.signals] == ["bank-001"]
    assert (left.retracted_signal_count, left.revision) == (1, before.revision + 1)


async def test_a_retracted_signal_is_not_in_the_features_of_later_ones(world: World) -> None:
    await _send(world, submitted("bank-001"))
    await _retract(world)
    await _send(world, submitted("bank-002"))
    assert _borne_out(world) == set()


async def test_other_sightings_of_the_same_institution_go_on_counting(world: World) -> None:
    others = [submitted("bank-001", f"o-{n}", occurred_at=after(minutes=-n)) for n in (1, 2)]
    await _send(world, submitted("bank-001"), *others)
    await _retract(world)
    await _send(world, submitted("bank-002"))
    reasons = {reason.rule: reason.evidence for reason in _facts(world, AssessOutcome.ASSESSED)[-1].reasons}
    assert (reasons["velocity"], reasons["institutions"]) == ({"sightings": 3}, {"institutions": 2})


async def test_a_retraction_may_come_before_its_signal(world: World) -> None:
    await _retract(world)
    await _send(world, submitted("bank-001", **BIG))
    (fact,) = _facts(world, AssessOutcome.RETRACTED)
    assert (fact.score, fact.routes, world.log.all(CASE_COMMANDS)) == (0, (), [])
    await _send(world, submitted("bank-002"))
    assert _borne_out(world) == set()


async def test_nothing_brings_a_retracted_signal_back(world: World) -> None:
    await _send(world, submitted(**BIG))
    await _retract(world)
    await _send(world, submitted(**BIG))
    await _send(world, submitted(version=2, **BIG))
    assert [fact.outcome for fact in _facts(world, AssessOutcome.DUPLICATE_REFERENCE, AssessOutcome.RETRACTED)] == [
        AssessOutcome.DUPLICATE_REFERENCE,
        AssessOutcome.RETRACTED,
    ]
    assert (_case(world).signal_count, _case(world).status) == (0, CaseStatus.RETRACTED)


async def test_the_same_content_under_a_new_reference_counts_after_a_retraction(world: World) -> None:
    await _send(world, submitted(reference="wrong", **BIG))
    await _retract(world, reference="wrong")
    await _send(world, submitted(reference="right", **BIG))
    assert len(_facts(world, AssessOutcome.ASSESSED)) == 2
    assert (_case(world).signal_count, _case(world).status, _case(world).reopen_count) == (1, CaseStatus.OPEN, 1)


async def test_a_resend_falls_with_the_signal_that_it_repeats_and_takes_nothing_with_it(world: World) -> None:
    await _send(world, submitted(reference="a", **BIG))
    await _send(world, submitted(reference="b", **BIG))
    await _retract(world, reference="b")
    assert _case(world).signal_count == 1
    await _retract(world, reference="a")
    assert _case(world).signal_count == 0


async def test_a_second_retraction_changes_nothing(world: World) -> None:
    await _send(world, submitted("bank-001", **BIG), submitted("bank-002", **BIG))
    for _ in range(3):
        await _retract(world)
    assert (_case(world).signal_count, _case(world).retracted_signal_count) == (1, 1)
    await _send(world, submitted("bank-003", **BIG))
    for _ in range(2):
        world.submit(*retraction_record(retraction("bank-002")), RETRACTIONS)
    await world.drain()
    assert (_case(world).signal_count, _case(world).retracted_signal_count) == (1, 2)


async def test_an_empty_case_leaves_its_queue_whoever_holds_it_and_no_officer_can_move_it(world: World) -> None:
    await _send(world, submitted(**BIG))
    case_id = _case(world).case_id
    world.submit(*action_record(move("claim", case_id=case_id)), CASE_COMMANDS)
    await world.drain()
    assert _queued(world) == {case_id}
    await _retract(world)
    assert (_case(world).status, _case(world).holder, _queued(world)) == (CaseStatus.RETRACTED, None, set())
    world.submit(*action_record(move("claim", "officer-b", case_id)), CASE_COMMANDS)
    await world.drain()
    (refused,) = [d for r in world.log.all(CASE_CHANGES) if (d := decode(CASE_CHANGES, r.value).data).outcome == "refused"]
    assert (refused.problem, "the case is retracted" in refused.detail) == ("transition-not-allowed", True)


async def test_a_disposed_case_stays_disposed(world: World) -> None:
    await _send(world, submitted(**BIG))
    for kind in ("claim", "dispose"):
        world.submit(*action_record(move(kind, case_id=_case(world).case_id)), CASE_COMMANDS)
        await world.drain()
    await _retract(world)
    assert (_case(world).status, _case(world).signal_count) == (CaseStatus.DISPOSED, 0)


async def test_a_correction_replaces_the_version_before_it(world: World) -> None:
    await _send(world, submitted(**BIG))
    await _send(world, submitted(version=2))
    case, (first, second) = _case(world), _facts(world, AssessOutcome.ASSESSED)
    assert (case.signal_count, case.amount_minor, case.score) == (1, {"CNY": 1_200_000}, second.score)
    assert [(one.signal_id, one.version) for one in case.signals] == [(first.signal_id, 2)]
    assert _borne_out(world) == set(), "it does not corroborate itself"


async def test_a_correction_may_name_another_subject(world: World) -> None:
    await _send(world, submitted(indicators=[account(1), phone(1)], **BIG))
    first = _case(world).case_id
    for number in range(2, 9):  # one of them lies in another partition
        await _send(world, submitted(indicators=[account(number), phone(1)], version=number, **BIG))
    cases = {c.case_id: c for r in world.log.all(CASE_CHANGES) if (c := decode(CASE_CHANGES, r.value).data.case)}
    assert cases[first].status is CaseStatus.RETRACTED
    assert sorted(case.signal_count for case in cases.values()) == [0] * 7 + [1]
    assert _borne_out(world) == set()


@pytest.mark.parametrize("together", [False, True])
async def test_of_two_corrections_the_higher_counts_whichever_comes_first(world: World, together: bool) -> None:
    signals = [submitted(version=3, **BIG), submitted(version=2), submitted()]
    for some in [signals] if together else [[one] for one in signals]:
        await _send(world, *some)
    (fact,) = _facts(world, AssessOutcome.ASSESSED)
    assert (fact.version, [one.version for one in _facts(world, AssessOutcome.RETRACTED)]) == (3, [2, 1])
    assert _case(world).signal_count == 1


async def test_a_correction_in_the_poll_of_its_signal_does_not_corroborate_itself(world: World) -> None:
    await _send(world, submitted(), submitted(version=2, region="630203"))
    (fact,) = _facts(world, AssessOutcome.ASSESSED)
    assert (fact.version, _borne_out(world)) == (2, set())


async def test_what_a_killed_process_had_observed_of_a_signal_is_gone_when_it_was_retracted_meanwhile(world: World) -> None:
    world.submit(*submission(submitted()), SUBMITTED)
    await world.poll("assess", 0, plan=("after", 2))  # claimed and observed
    other = world.workers["assess"][0]
    world.submit(*retraction_record(retraction()), RETRACTIONS)
    await other.agent.step({at: found for at, found in world.batch("assess", other, 9).items() if at[0] == RETRACTIONS.name})
    await _send(world, submitted("bank-002"))
    assert [fact.institution for fact in _facts(world, AssessOutcome.RETRACTED)] == ["bank-001"]
    assert _borne_out(world) == set()
    await world.settle()
    assert content(world.redis["assess"]) == content(await world.afresh("assess"))


@pytest.mark.parametrize("killed", [False, True])
async def test_what_was_taken_back_stays_so_when_the_same_content_comes_dead_under_another_reference(
    world: World, killed: bool
) -> None:
    whole = {"indicators": [account(1), {**phone(2), "role": "victim"}], **BIG}
    await _send(world, submitted(reference="a", **whole))
    await _retract(world, reference="a")
    if killed:  # observed by a process that died before it recorded anything
        world.submit(*submission(submitted(reference="b", **whole)), SUBMITTED)
        await world.poll("assess", 0, plan=("after", 2))
        other = world.workers["assess"][0]
        world.submit(*retraction_record(retraction(reference="b")), RETRACTIONS)
        await other.agent.step({at: found for at, found in world.batch("assess", other, 9).items() if at[0] == RETRACTIONS.name})
        await world.drain()
    else:
        await _retract(world, reference="b")
        await _send(world, submitted(reference="b", **whole))
    assert len(_facts(world, AssessOutcome.RETRACTED)) == 1
    await world.settle()
    assert content(world.redis["assess"]) == content(await world.afresh("assess"))


@pytest.mark.parametrize("call", [2, 3, 4, 5])
async def test_a_retraction_that_meets_its_signal_in_work_takes_it_back(call: int) -> None:
    """Two owners at the same time: the signal is claimed, and slow; the retraction is read meanwhile, in another partition."""
    world = await World(workers=2).up()
    signal, taken_back = submitted(**BIG), retraction_record(retraction())
    home, asked = partition_of(signal.primary.token.encode(), 8), partition_of(taken_back[0], 8)
    assert home != asked
    await world.rebalance("assess", [int(p == asked) for p in range(8)])
    world.submit(*submission(signal), SUBMITTED)
    await world.hold("assess", 0, 9, call)
    world.submit(*taken_back, RETRACTIONS)
    assert await world.poll("assess", 1)
    await world.resume("assess")
    await world.drain()
    assert (_case(world).signal_count, world.ended) == (0, [])


async def test_a_correction_of_the_narrative_alone_is_no_resend(world: World) -> None:
    await _send(world, submitted(**BIG))
    await _send(world, submitted(version=2, narrative="更正：受害人实际未转账", **BIG))
    assert [fact.version for fact in _facts(world, AssessOutcome.ASSESSED)] == [1, 2]
    assert _case(world).signal_count == 1
    await _send(world, submitted("bank-002"))
    assert {"sightings": 2} in [reason.evidence for reason in _facts(world, AssessOutcome.ASSESSED)[-1].reasons]


async def test_the_same_version_with_another_body_is_a_conflict(world: World) -> None:
    await _send(world, submitted(version=2), submitted(version=2, region="630203"), submitted(version=2))
    assert len(_facts(world, AssessOutcome.CONFLICT)) == len(_facts(world, AssessOutcome.DUPLICATE_REFERENCE)) == 1


async def test_what_is_no_retraction_is_refused_and_kept(world: World) -> None:
    key, value = retraction_record(retraction())
    world.log.put(RETRACTIONS, 0, b"another key", value)
    world.log.put(RETRACTIONS, 0, key, b"{}")
    world.log.put(RETRACTIONS, 0, *retraction_record(retraction(below=17)))
    await world.drain()
    assert len(_facts(world, AssessOutcome.REFUSED)) == len(world.log.all(DEADLETTER)) == 3
    assert world.ended == []


async def test_a_retraction_that_a_cut_off_process_could_not_see_is_caught_up_with(world: World) -> None:
    """The signal was claimed, Redis was lost with the claim, the retraction found nothing, and then the fact was recorded."""
    signal = submitted(**BIG)
    world.submit(*submission(signal), SUBMITTED)
    await world.poll("assess", 0, plan=("freeze", 3))  # before the fact is appended
    world.redis["assess"].flush()
    await world.restart("assess", 0)
    world.submit(*retraction_record(retraction()), RETRACTIONS)
    other = world.workers["assess"][0]
    batch = world.batch("assess", other, 9)
    await other.agent.step({at: found for at, found in batch.items() if at[0] == RETRACTIONS.name})
    assert not _facts(world, AssessOutcome.ASSESSED)
    await world.thaw("assess")
    assert len(_facts(world, AssessOutcome.ASSESSED)) == 1
    await world.settle()
    assert _case(world).signal_count == 0
    for stage in STAGES:
        assert content(world.redis[stage]) == content(await world.afresh(stage))


def _queued(world: World) -> set[str]:
    buckets = world.redis["project"].buckets
    rankings = [found for bucket in buckets for name, found in bucket.values.items() if name.startswith("q:")]
    return {in_full(member) for found in rankings for member in found}
