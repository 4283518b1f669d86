"""The assess agent over in-memory ports: what each record becomes, what is emitted, and what makes it end."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.codec import decode
from schemas.common import from_ms
from schemas.envelope import Origin
from schemas.signals.assessed import AssessOutcome
from schemas.topics import ASSESSED, CASE_COMMANDS, DEADLETTER, SUBMITTED
from stream_processors.runtime.log import LostLog, Record
from stream_processors.state.marks import source_mark
from stream_processors.state.store import LostState
from stream_processors.topology import STAGES
from tests.support.builders import SEALER, account, after, phone, submission, submitted
from tests.support.world import World

INDICATORS = [account(1), phone(1)]


@pytest.fixture
async def world() -> World:
    return await World(workers=1).up()


async def _assess(world: World, *signals: Any) -> list[Any]:
    """The facts of the signals, in order; all of one poll."""
    places = [world.submit(*submission(signal), SUBMITTED) for signal in signals]
    assert await world.poll("assess", 0)
    assert world.ended == []
    by_source = {}
    for record in world.log.all(ASSESSED):
        envelope = decode(ASSESSED, record.value)
        origin = Origin.parse(envelope.origin or "")
        by_source[origin.partition, origin.offset] = envelope.data
    return [by_source[place] for place in places]


async def test_the_same_body_again_is_a_repeat(world: World) -> None:
    first, second = await _assess(world, submitted(), submitted())
    assert (first.outcome, second.outcome) == (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_REFERENCE)
    assert second.duplicate_of == first.signal_id


async def test_the_same_content_under_another_reference_is_a_resend(world: World) -> None:
    first, second = await _assess(world, submitted(reference="a"), submitted(reference="b"))
    assert (second.outcome, second.duplicate_of) == (AssessOutcome.DUPLICATE_CONTENT, first.signal_id)
    assert (second.score, second.routes) == (0, ())


async def test_another_body_under_the_same_reference_is_a_conflict_and_a_dead_letter(world: World) -> None:
    _, second = await _assess(world, submitted(), submitted(region="630203"))
    assert second.outcome is AssessOutcome.CONFLICT
    (letter,) = world.log.all(DEADLETTER)
    assert "reference was used before" in decode(DEADLETTER, letter.value).data.reason


async def test_a_conflict_is_known_over_partitions_and_polls(world: World) -> None:
    await _assess(world, submitted(indicators=[account(1)]))
    for number in range(2, 9):
        (fact,) = await _assess(world, submitted(indicators=[account(number)]))
        assert fact.outcome is AssessOutcome.CONFLICT


async def test_the_same_subject_of_another_institution_corroborates(world: World) -> None:
    first, second = await _assess(world, submitted("bank-001"), submitted("bank-002"))
    assert second.outcome is AssessOutcome.ASSESSED
    assert {reason.rule: reason.points for reason in first.reasons} == {"kind": 20, "amount": 10, "freshness": 5}
    assert {reason.rule: reason.points for reason in second.reasons} == {
        "kind": 20,
        "amount": 10,
        "freshness": 5,
        "velocity": 10,
        "institutions": 25,
    }
    assert (first.routes, [route.queue for route in second.routes]) == ((), ["public-security-630202"])


async def test_a_lesser_subject_corroborates_too(world: World) -> None:
    """Another account, so another partition: its sightings are shared."""
    await _assess(world, submitted(indicators=[account(1), phone(7)]))
    (second,) = await _assess(world, submitted("bank-002", indicators=[account(2), phone(7)]))
    assert {reason.rule for reason in second.reasons} >= {"velocity", "institutions"}


async def test_a_victim_is_no_suspect(world: World) -> None:
    _, second = await _assess(
        world,
        submitted(indicators=[account(1), phone(7, "victim")]),
        submitted("bank-002", indicators=[account(2), phone(7, "victim")]),
    )
    assert {reason.rule for reason in second.reasons} == {"kind", "amount", "freshness"}


async def test_what_happened_outside_of_the_window_does_not_corroborate(world: World) -> None:
    _, second = await _assess(world, submitted("bank-001", occurred_at=after(days=-2)), submitted("bank-002"))
    assert {reason.rule for reason in second.reasons} == {"kind", "amount", "freshness"}


async def test_a_subject_with_a_case_takes_every_later_signal_there(world: World) -> None:
    long_ago = after(days=-5)
    signals = [submitted("bank-001", occurred_at=long_ago), submitted("bank-002", occurred_at=long_ago), submitted("bank-003")]
    facts = await _assess(world, *signals)
    assert facts[2].score < world.policy.case_threshold
    assert facts[2].routes == facts[1].routes != ()
    (later,) = await _assess(world, submitted("bank-003", "other", occurred_at=after(days=3)))
    assert later.score < world.policy.case_threshold
    assert later.routes == facts[1].routes


async def test_the_decision_is_made_at_the_time_of_the_log(world: World) -> None:
    world.clock.forward(90)
    (fact,) = await _assess(world, submitted())
    assert fact.accepted_at == from_ms(world.clock.ms)
    assert fact.claims_until_ms == world.clock.ms + 180 * 86_400_000


async def test_a_join_stands_in_the_partition_of_its_case_with_the_signals_source(world: World) -> None:
    _, fact = await _assess(world, submitted("bank-001"), submitted("bank-002"))
    (record,) = world.log.all(CASE_COMMANDS)
    envelope = decode(CASE_COMMANDS, record.value)
    assert record.key == fact.routes[0].case_id.encode()
    assert Origin.parse(envelope.origin or "") == Origin(SUBMITTED.name, world.log.all(SUBMITTED)[0].partition, 1, 0)
    assert envelope.data.signal.signal_id == fact.signal_id
    assert envelope.data.signal.score == fact.score == 70


@pytest.mark.parametrize("value", [None, b"", b"\xff", b"{}", b'{"type": []}', submission(submitted())[1]])
async def test_what_cannot_be_read_is_a_refused_fact_and_a_sealed_dead_letter(world: World, value: bytes | None) -> None:
    """The last one is whole, but under a key that is not its subject's."""
    world.log.put(SUBMITTED, 3, b"wrong key", value)
    assert await world.poll("assess", 0)
    fact = decode(ASSESSED, world.log.all(ASSESSED, 3)[0].value).data
    letter = decode(DEADLETTER, world.log.all(DEADLETTER)[0].value).data
    assert fact.outcome is AssessOutcome.REFUSED
    assert (letter.stage, letter.topic, letter.partition, letter.offset) == ("assess", SUBMITTED.name, 3, 0)
    assert letter.reason == fact.detail
    context = f"deadletter/{SUBMITTED.name}/3/0/0"
    assert SEALER.unseal(letter.value_sealed, context) == (value or b"").decode("utf-8", "backslashreplace")
    assert SEALER.unseal(letter.key_sealed or "", context) == "wrong key"


async def test_a_poison_record_between_good_ones_stops_nobody(world: World) -> None:
    signal = submitted()
    partition, _ = world.submit(*submission(signal), SUBMITTED)
    world.log.put(SUBMITTED, partition, b"k", b"poison")
    world.submit(*submission(submitted("bank-002")), SUBMITTED)
    assert await world.poll("assess", 0)
    outcomes = [decode(ASSESSED, record.value).data.outcome for record in world.log.all(ASSESSED, partition)]
    assert outcomes == [AssessOutcome.ASSESSED, AssessOutcome.REFUSED, AssessOutcome.ASSESSED]


async def test_an_owner_that_lives_on_is_noticed_by_where_the_facts_land(world: World) -> None:
    partition, _ = world.submit(*submission(submitted()), SUBMITTED)
    world.log.put(ASSESSED, partition, None, b"of another owner")
    worker = world.workers["assess"][0]
    with pytest.raises(LostLog, match="another owner is alive"):
        await worker.agent.step(world.batch("assess", worker, 10))
    assert worker.agent.marks.get(source_mark(partition), 0) == 0


async def test_a_gap_in_the_source_is_an_error_not_a_loss(world: World) -> None:
    worker = world.workers["assess"][0]
    key, value = submission(submitted())
    with pytest.raises(LostLog, match="expected offset 0, the broker gave 3"):
        await worker.agent.step({(SUBMITTED.name, 0): [Record(0, 3, world.clock.ms, key, value)]})


async def test_an_emptied_redis_is_noticed_while_idle(world: World) -> None:
    agent = world.workers["assess"][0].agent
    await agent.check()
    world.redis["assess"].flush()
    with pytest.raises(LostState):
        await agent.check()


async def test_facts_of_another_owner_are_noticed_while_idle(world: World) -> None:
    agent = world.workers["assess"][0].agent
    partition, _ = world.submit(*submission(submitted()), SUBMITTED)
    await world.drain()
    await agent.check()
    world.log.put(ASSESSED, partition, None, b"of another owner")
    with pytest.raises(LostLog, match=f"signals.assessed.v1/{partition}: facts up to 2, own up to 1"):
        await agent.check()
    await agent.start()  # as a worker that was started again: what lies there is folded, as nothing
    await agent.assigned([(topic.name, partition) for topic in agent.stage.reads])
    await agent.check()


async def test_records_of_partitions_that_were_taken_away_are_passed_over(world: World) -> None:
    world.submit(*submission(submitted()), SUBMITTED)
    worker = world.workers["assess"][0]
    batch = world.batch("assess", worker, 10)
    await worker.agent.revoked()
    await worker.agent.step(batch)
    assert world.log.all(ASSESSED) == []


async def test_joins_of_a_predecessor_that_died_before_emitting_are_emitted_by_the_next_owner(world: World) -> None:
    for institution in ("bank-001", "bank-002"):
        world.submit(*submission(submitted(institution)), SUBMITTED)
    await world.poll("assess", 0, plan=("after", 3))  # claim, observe, facts: dead before the joins
    assert world.ended == ["assess: Died: after an append"]
    assert len(world.log.all(ASSESSED)) == 2
    assert len(world.log.all(CASE_COMMANDS)) == 1, "the restart emitted it"
    await world.restart("assess", 0)
    assert len(world.log.all(CASE_COMMANDS)) == 1, "and it is not emitted once more at every start"


async def test_what_retention_deleted_unread_is_told_and_passed(world: World) -> None:
    for n in range(4):
        world.log.put(SUBMITTED, 0, b"k", b"%d" % n)
    await world.poll("assess", 0, 2)
    world.log.delete_before(SUBMITTED, 0, 3)
    agent = world.workers["assess"][0].agent
    told: list[str] = []
    agent._tell = told.append
    positions = await agent.assigned([(topic.name, p) for topic in STAGES["assess"].reads for p in range(8)])
    assert positions[SUBMITTED.name, 0] == 3
    assert "retention deleted the records 2 to 3" in told[0]
