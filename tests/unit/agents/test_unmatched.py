"""Strangers are not matched: who fills in "unknown" has a case of his own, and is nobody's corroboration."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.codec import decode
from schemas.signals.assessed import AssessedSignal, AssessOutcome
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, SUBMITTED, raw, receipts
from stream_processors.domain.signals.trust import sighted
from tests.support.builders import TOKENIZER, account, action_record, body, move, phone, submission, submitted
from tests.support.world import World, sources

UNKNOWN = {"kind": "account", "value": "UNKNOWN"}
WRONG = {"kind": "phone", "value": "secret-4711"}
BIG = {"minor": 60_000_000, "currency": "CNY"}
BANK = "bank-001"


@pytest.fixture
async def world() -> World:
    return await World(workers=1, institutions=(BANK,)).up()


async def assessed(world: World, who: str, reference: str, *named: dict[str, str], **over: Any) -> AssessedSignal:
    signal = submitted(who, reference, indicators=list(named), amount=BIG, stage="payment_pending", **over)
    place = world.submit(*submission(signal), SUBMITTED)
    await world.drain()
    fact: AssessedSignal = sources(world.log.all(ASSESSED), ASSESSED)[place][0].data
    return fact


async def confirm(world: World, fact: AssessedSignal) -> None:
    for kind, more in (("claim", {}), ("dispose", {"disposition": "confirmed"})):
        action = move(kind, "officer-a", fact.routes[0].case_id, action_id=f"{kind}-{fact.signal_id}", **more)
        world.submit(*action_record(action), CASE_COMMANDS)
    await world.drain()


def rules(fact: AssessedSignal) -> set[str]:
    return {reason.rule for reason in fact.reasons}


async def test_two_institutions_that_know_no_account_have_two_cases_and_bear_each_other_out_in_nothing(world: World) -> None:
    first = await assessed(world, "bank-001", "a", UNKNOWN)
    await confirm(world, first)
    second = await assessed(world, "bank-002", "b", UNKNOWN)
    third = await assessed(world, "bank-002", "c", UNKNOWN, region="630203")
    cases = {route.case_id for fact in (first, second, third) for route in fact.routes}
    assert len(cases) == 3 and all(fact.outcome is AssessOutcome.ASSESSED for fact in (first, second, third))
    assert not {"velocity", "institutions", "confirmed"} & (rules(first) | rules(second) | rules(third))
    assert not sighted(first)
    changes = [decode(CASE_CHANGES, record.value).data for record in world.log.all(CASE_CHANGES)]
    lasts = {change.case.case_id: change.case for change in changes if change.case is not None}
    assert {case.signal_count for case in lasts.values()} == {1}
    assert all(case.primary_subject.unmatched == "placeholder" for case in lasts.values())


async def test_no_search_of_the_value_finds_such_a_case(world: World) -> None:
    fact = await assessed(world, "bank-001", "a", UNKNOWN)
    assert TOKENIZER.token("account", "UNKNOWN") not in {subject.token for subject in fact.subjects}


async def test_the_same_content_under_another_reference_is_known_as_one(world: World) -> None:
    first = await assessed(world, "bank-001", "a", UNKNOWN)
    again = await assessed(world, "bank-001", "b", UNKNOWN, narrative="once more")
    assert (again.outcome, again.duplicate_of) == (AssessOutcome.DUPLICATE_CONTENT, first.signal_id)
    assert not again.routes


async def test_a_good_suspect_beside_a_bad_value_is_matched_as_ever(world: World) -> None:
    first = await assessed(world, "bank-001", "a", WRONG, account(1))
    second = await assessed(world, "bank-002", "b", UNKNOWN, account(1))
    assert first.routes[0].case_id == second.routes[0].case_id
    assert "institutions" in rules(second)


async def test_unknown_payers_are_no_crowd_and_no_pair(world: World) -> None:
    for n in range(12):
        event = {"type": "transfer", "payer": UNKNOWN, "payee": account(1), "amount": {"minor": 5_000 + n}}
        fact = await assessed(world, "bank-001", f"r-{n}", event=event)
        assert not {"fan_in", "repeated_pair", "repeat_victim"} & rules(fact)


async def test_a_raw_records_receipt_says_what_was_odd_and_no_value(world: World) -> None:
    given = body(indicators=[account(1)]).model_dump(mode="json", exclude_none=True)
    given |= {"reference": "r-1", "indicators": [phone(1), WRONG, UNKNOWN]}
    world.log.put(raw(BANK), 0, None, b"\xef\xbb\xbf" + json.dumps(given).encode())
    world.log.put(raw(BANK), 0, None, json.dumps(given).replace("{", '{"kind": "x", ', 1).encode())
    await world.poll(f"intake {BANK}", 0)
    taken, refused = (decode(receipts(BANK), record.value).data for record in world.log.all(receipts(BANK)))
    odd = {one.pointer: one.code for one in taken.advisories}
    assert odd == {"/indicators/1": "malformed", "/indicators/2": "placeholder"}
    assert (refused.outcome.value, [one.pointer for one in refused.errors]) == ("refused", ["/kind"])
    kept = b"".join(record.value or b"" for topic in (receipts(BANK), SUBMITTED) for record in world.log.all(topic))
    assert b"4711" not in kept
