"""A cap is an account's: what other cases ordered about it counts, in one poll, later, and after a rebuild."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.cases.case import Action, ActionKind, CaseChange
from schemas.codec import decode, encode
from schemas.envelope import Origin
from schemas.orders.order import OrderEvent
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, SUBMITTED
from tests.support.builders import T0, action_record, join, move
from tests.support.order_builders import ANSWERS, BANK, OFFICER, event, issue, subject
from tests.support.world import World, content

CASES = ("case-1", "case-2", "case-3")


@pytest.fixture
async def world() -> World:
    """Three cases that one officer holds."""
    made = await World(workers=1).up()
    for n, case_id in enumerate(CASES):
        one = join(case_id, f"join-{case_id}", signal_id=f"sig-{n}")
        made.submit(*action_record(one, Origin(SUBMITTED.name, 0, n)), CASE_COMMANDS)
        made.submit(*action_record(move("claim", case_id=case_id, action_id=f"claim-{case_id}")), CASE_COMMANDS)
    await _changes(made)
    return made


async def _changes(world: World) -> list[CaseChange]:
    """What a poll changed."""
    known = {(record.partition, record.offset) for record in world.log.all(CASE_CHANGES)}
    await world.poll("track", 0)
    assert world.ended == []
    records = [record for record in world.log.all(CASE_CHANGES) if (record.partition, record.offset) not in known]
    return [decode(CASE_CHANGES, record.value).data for record in records]


def _say(world: World, case_id: str, said: OrderEvent, actor: str = OFFICER) -> None:
    who, _, name = actor.partition(":")
    action = Action.trusted(
        action_id=f"{said.event_id}-{len(world.log.all(CASE_COMMANDS))}",
        case_id=case_id,
        kind=ActionKind.ORDER,
        queue="public-security-630202",
        officer=name if who == "officer" else None,
        order=said,
    )
    value = encode(CASE_COMMANDS, action, id=action.action_id, source="/gateway", actor=actor, time=T0, subject=case_id)
    world.submit(case_id.encode(), value, CASE_COMMANDS)


def _stop(world: World, case_id: str, **over: Any) -> None:
    _say(world, case_id, issue("stop_payment", f"ord-{case_id}", case_id=case_id, **over))


def _answer(world: World, case_id: str, kind: str) -> None:
    _say(world, case_id, event(kind, f"ord-{case_id}", **ANSWERS[kind]), BANK)


def _stopped(world: World, case_id: str) -> None:
    """Ordered, compared and carried out."""
    _stop(world, case_id)
    for kind in ("verify", "execute"):
        _answer(world, case_id, kind)


async def _outcomes(world: World) -> list[str]:
    return [change.problem or change.outcome.value for change in await _changes(world)]


async def test_two_stops_for_one_account_whatever_cases_they_are_in(world: World) -> None:
    _stop(world, "case-1")
    _stop(world, "case-2")
    assert await _outcomes(world) == ["applied", "applied"]
    _stop(world, "case-3")
    (change,) = await _changes(world)
    assert change.problem == "account-limit-reached"
    assert (change.detail or "").endswith("it had 2, 2 of them in other cases")


async def test_they_count_within_one_poll(world: World) -> None:
    for case_id in CASES:
        _stop(world, case_id)
    assert sorted(await _outcomes(world)) == ["account-limit-reached", "applied", "applied"]


async def test_a_renewal_counts_in_other_cases_too(world: World) -> None:
    _stopped(world, "case-1")
    _say(world, "case-1", event("renew", "ord-case-1"))
    assert await _outcomes(world) == ["applied"] * 4
    _stop(world, "case-2")
    assert await _outcomes(world) == ["account-limit-reached"]


async def test_what_another_case_took_keeps_a_stop_from_being_renewed(world: World) -> None:
    _stopped(world, "case-1")
    _stop(world, "case-2")
    await _changes(world)
    _say(world, "case-1", event("renew", "ord-case-1"))
    assert await _outcomes(world) == ["account-limit-reached"]


async def test_a_stop_that_was_not_carried_out_makes_room_again(world: World) -> None:
    _stop(world, "case-1")
    _stop(world, "case-2")
    await _changes(world)
    _answer(world, "case-2", "mismatch")
    await _changes(world)
    _stop(world, "case-3")
    assert await _outcomes(world) == ["applied"]


async def test_another_account_and_another_institution_count_apart(world: World) -> None:
    _stop(world, "case-1")
    _stop(world, "case-2")
    await _changes(world)
    _say(world, "case-3", issue("stop_payment", "ord-a", case_id="case-3", subject=subject(2)))
    _say(world, "case-3", issue("stop_payment", "ord-b", case_id="case-3", recipient="bank-002"))
    assert await _outcomes(world) == ["applied", "applied"]


async def test_the_count_is_there_after_a_rebuild(world: World) -> None:
    _stop(world, "case-1")
    _stop(world, "case-2")
    await _changes(world)
    _answer(world, "case-2", "mismatch")
    await _changes(world)
    live = content(world.redis["track"])
    world.redis["track"].flush()
    await world.restart("track", 0)
    assert content(world.redis["track"]) == live
    _stop(world, "case-3")
    assert await _outcomes(world) == ["applied"]
    _say(world, "case-2", issue("stop_payment", "ord-again", case_id="case-2"))
    assert await _outcomes(world) == ["account-limit-reached"]


async def test_a_case_that_never_said_what_it_counts_says_it_when_its_orders_change(world: World) -> None:
    """As those of before caps counted over cases."""
    _stopped(world, "case-1")
    await _changes(world)
    for bucket in world.redis["track"].buckets:
        for key in [key for key in bucket.values if key.startswith("u:")]:
            del bucket.values[key]
    _say(world, "case-1", issue("freeze", "ord-f", case_id="case-1", related_order_id="ord-case-1"))
    (change,) = await _changes(world)
    assert {(one.kind, one.count) for one in change.order_counts} == {("stop_payment", 1), ("freeze", 1)}
