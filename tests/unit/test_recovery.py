"""`recover` opens a new generation where the log and what is known of it part; then everything that stands there counts, once."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from schemas.codec import decode
from schemas.security import AesGcmSealer, Keyring
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, NOTIFICATIONS, RETRACTIONS, SUBMITTED, Topic
from stream_processors.recovery.losses import name_lost_signals
from stream_processors.runtime.generations import SPACING
from tests.support.builders import SEALER, account, reference_of, retraction, retraction_record, submission, submitted
from tests.support.world import World, content, sources
from tests.unit.test_damage import _fullest, _submit, _worked


def _facts(world: World, topic: Topic, about: Topic) -> Counter[tuple[int, int]]:
    return Counter({at: len(facts) for at, facts in sources(world.log.all(topic), topic, about).items()})


async def _check_all_decided_once(world: World) -> None:
    for topic, about in ((ASSESSED, SUBMITTED), (CASE_CHANGES, CASE_COMMANDS)):
        facts = sources(world.log.all(topic), topic, about)
        there = {(record.partition, record.offset) for record in world.log.all(about)}
        assert there <= facts.keys(), f"without a fact: {sorted(there - facts.keys())}"
    for stage in world.stages:
        assert content(world.redis[stage]) == content(await world.afresh(stage)), stage


def _signals_of_cases(world: World) -> Counter[str]:
    """How often each signal joined a case, by the facts that count."""
    joined: Counter[str] = Counter()
    for facts in sources(world.log.all(CASE_CHANGES), CASE_CHANGES, CASE_COMMANDS).values():
        change = facts[0].data
        if change.kind == "join" and change.outcome == "applied":
            joined[change.action_id] += 1
    return joined


def _check_joined_once(world: World) -> None:
    """What the facts send to cases joined them, each once. Joins whose facts are lost stay."""
    facts = [found[0].data for found in sources(world.log.all(ASSESSED), ASSESSED, SUBMITTED).values()]
    counting = [fact for fact in facts if fact.outcome == "assessed"]
    sent = Counter(f"join-{fact.signal_id}-{route.queue}" for fact in counting for route in fact.routes)
    assert sent <= _signals_of_cases(world) and set(_signals_of_cases(world).values()) == {1}


async def test_signals_after_a_recovery_are_assessed_at_positions_above_all_that_were_given() -> None:
    world = await _worked()
    p = _fullest(world, SUBMITTED)
    world.log.lose_tail(SUBMITTED, p, 4)
    _submit(world, "b", 2)
    [loss] = await world.recover()
    assert (loss.topic, loss.partition, loss.agrees_to, loss.lost, loss.newer) == (SUBMITTED.name, p, 8, 4, 2)
    _submit(world, "c", 5)
    await world.drain()
    newest = [record.offset for record in world.log.all(SUBMITTED, p)][-7:]
    assert newest == list(range(SPACING + 8, SPACING + 15))
    await _check_all_decided_once(world)
    _check_joined_once(world)
    assert len(_signals_of_cases(world)) == 12 + 7
    assert await world.recover() == []


async def test_a_source_that_was_filled_up_beyond_its_mark_is_taken_up_where_it_parted() -> None:
    world = await _worked()
    p = _fullest(world, SUBMITTED)
    world.log.lose_tail(SUBMITTED, p, 4)
    _submit(world, "b", 9)
    [loss] = await world.recover()
    assert (loss.agrees_to, loss.newer, loss.lost) == (8, 9, 4)
    await world.drain()
    await _check_all_decided_once(world)
    _check_joined_once(world)
    assert len(_signals_of_cases(world)) == 12 + 9


@pytest.mark.parametrize("topic", [ASSESSED, CASE_CHANGES, CASE_COMMANDS, NOTIFICATIONS], ids=lambda topic: topic.name)
async def test_facts_and_requests_that_are_lost_are_made_again_from_what_is_left(topic: Topic) -> None:
    world = await _worked()
    before = _signals_of_cases(world)
    for p in range(topic.partitions):
        world.log.lose_tail(topic, p, 3)
    assert {loss.topic for loss in await world.recover()} == {topic.name}
    _submit(world, "c", 5)
    await world.drain()
    await _check_all_decided_once(world)
    _check_joined_once(world)
    assert before.keys() <= _signals_of_cases(world).keys() and len(_signals_of_cases(world)) == len(before) + 5
    assert await world.recover() == []


async def test_notices_that_are_lost_are_issued_again_and_no_other_twice() -> None:
    world = await _worked()
    before = _notices(world)
    for p in range(NOTIFICATIONS.partitions):
        world.log.lose_tail(NOTIFICATIONS, p, 2)
    assert _notices(world).keys() < before.keys() or not before
    await world.recover()
    await world.drain()
    assert _notices(world).keys() == before.keys()
    assert set(_notices(world).values()) <= {1}


def _notices(world: World) -> Counter[str]:
    """Those that count: a record whose origin is behind the newest of its partition is an echo."""
    newest: dict[tuple[int, int], tuple[int, int]] = {}
    counted: Counter[str] = Counter()
    for record in world.log.all(NOTIFICATIONS):
        envelope = decode(NOTIFICATIONS, record.value)
        _, q, offset, n = str(envelope.origin).rsplit("/", 3)
        if (int(offset), int(n)) > newest.get((record.partition, int(q)), (-1, -1)):
            newest[record.partition, int(q)] = int(offset), int(n)
            counted[f"{envelope.data.notification.recipient} {envelope.data.notification.notification_id}"] += 1
    return counted


async def test_both_a_source_and_its_facts_may_lose_their_tails_with_redis_emptied() -> None:
    world = await _worked()
    p = _fullest(world, SUBMITTED)
    world.log.lose_tail(SUBMITTED, p, 4)
    world.log.lose_tail(ASSESSED, p, 5)
    for stage in world.stages:
        world.redis[stage].buckets = type(world.redis[stage])(world.clock).buckets
    _submit(world, "b", 9)
    losses = await world.recover()
    assert [(loss.topic, loss.agrees_to) for loss in losses] == [(SUBMITTED.name, 8)]
    await world.drain()
    await _check_all_decided_once(world)
    _check_joined_once(world)
    assert len(_signals_of_cases(world)) == 12 + 9


def _send(world: World, reference: str, subject: int, institution: str = "bank-001", **more: Any) -> int:
    """A signal about a subject and an account that others share; its partition. Alone it stays below the threshold."""
    world.clock.forward(1)
    seen, amount = [account(subject), account(900)], {"minor": 1_000_000, "currency": "CNY"}
    one = submitted(institution, reference, indicators=seen, amount=amount, **more)
    return world.submit(*submission(one), SUBMITTED)[0]


def _routed(world: World) -> dict[str, str]:
    """The outcomes of all signals that the counting facts route to a case, by reference."""
    facts = [found[0].data for found in sources(world.log.all(ASSESSED), ASSESSED, SUBMITTED).values()]
    return {str(reference_of(fact)): fact.severity for fact in facts if fact.routes}


async def _second_joined() -> tuple[World, int, int]:
    """Two signals with one account in common; the one that came second, in the lower partition, was over the threshold."""
    world = await World(workers=1).up()
    first = _send(world, "first", 5)
    await world.drain()
    second = _send(world, "second", 6, "bank-002")
    await world.drain()
    assert second < first and _routed(world).keys() == {"second"}
    return world, first, second


async def test_a_fact_that_is_decided_again_says_what_its_join_did() -> None:
    world, first, second = await _second_joined()
    severity = _routed(world)["second"]
    for p in (first, second):
        world.log.lose_tail(ASSESSED, p, 1)
    await world.recover()
    await world.drain()  # the lower partition is decided first now, and would be alone with its account
    assert _routed(world)["second"] == severity
    _check_joined_once(world)
    await _check_all_decided_once(world)


async def test_signals_that_are_lost_are_named_as_their_senders_know_them() -> None:
    world, _, second = await _second_joined()
    world.log.lose_tail(SUBMITTED, second, 1)
    losses = await world.recover()
    [fact] = [found[0].data for found in sources(world.log.all(ASSESSED), ASSESSED, SUBMITTED).values() if found[0].data.routes]
    for sealer, shown in ((SEALER, "second"), (AesGcmSealer(Keyring.generate()), ""), (None, "")):
        named = await name_lost_signals(world.log, losses, sealer)
        assert named.names == [("bank-002", shown, fact.signal_id)]


async def test_a_join_whose_action_is_lost_too_is_known_by_the_change_that_it_made() -> None:
    world, *_ = await _second_joined()
    severity = _routed(world)["second"]
    for topic in (ASSESSED, CASE_COMMANDS):
        for p in range(topic.partitions):
            world.log.lose_tail(topic, p, 1)
    await world.recover()
    await world.drain()
    assert _routed(world)["second"] == severity
    _check_joined_once(world)
    await _check_all_decided_once(world)


async def test_a_source_whose_place_was_taken_is_noticed_by_the_case_that_it_joined() -> None:
    world, _, second = await _second_joined()
    for topic in (SUBMITTED, ASSESSED, CASE_COMMANDS):
        for p in range(topic.partitions):
            world.log.lose_tail(topic, p, 1)
    _send(world, "another", 6, "bank-003")
    assert (SUBMITTED.name, second) in {(loss.topic, loss.partition) for loss in await world.recover()}
    await world.drain()
    assert len(_signals_of_cases(world)) == 1 + ("another" in _routed(world))
    await _check_all_decided_once(world)


async def test_a_signal_whose_join_was_taken_back_does_not_count_again() -> None:
    world, *_ = await _second_joined()
    world.clock.forward(1)
    world.submit(*retraction_record(retraction("bank-002", "second")), RETRACTIONS)
    await world.drain()
    for topic in (ASSESSED, RETRACTIONS):
        for p in range(topic.partitions):
            world.log.lose_tail(topic, p, 2)
    await world.recover()
    await world.drain()
    outcomes = {
        reference_of(fact): fact.outcome
        for found in sources(world.log.all(ASSESSED), ASSESSED, SUBMITTED).values()
        for fact in [found[0].data]
    }
    assert outcomes["second"] == "retracted" and "second" not in _routed(world)
    await _check_all_decided_once(world)


async def test_a_reference_that_was_claimed_for_a_lost_signal_is_free_again() -> None:
    world = await _worked()
    _send(world, "decided", 5)
    await world.drain()
    lost = _send(world, "again", 5, "bank-003")
    await world.poll("assess", 0, plan=("after", 1))  # it dies when the claim is written
    world.log.lose_tail(SUBMITTED, lost, 2)
    _send(world, "other", 5)
    _send(world, "again", 5, "bank-003")
    await world.recover()
    await world.drain()
    facts = [found[0].data for found in sources(world.log.all(ASSESSED), ASSESSED, SUBMITTED).values()]
    assert [fact.outcome for fact in facts if reference_of(fact) == "again"] == ["assessed"]


async def test_notices_that_are_lost_before_anybody_read_them_are_issued_again() -> None:
    world = await _worked()
    read = [len(world.log.all(NOTIFICATIONS, p)) for p in range(NOTIFICATIONS.partitions)]
    for number in range(3):
        _send(world, f"b-{number}", 6, f"bank-10{number}")
    for stage in ("assess", "track", "deliver"):
        await world.poll(stage, 0, 20)
    before = _notices(world)
    assert len(before) > sum(read)
    for p, n in enumerate(read):
        world.log.lose_tail(NOTIFICATIONS, p, len(world.log.all(NOTIFICATIONS, p)) - n)
    assert {loss.topic for loss in await world.recover()} == {NOTIFICATIONS.name}
    await world.drain()
    assert before.keys() <= _notices(world).keys()
