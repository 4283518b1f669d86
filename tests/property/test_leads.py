"""Leads of organized crime move nothing in any other party's view: a story is played with and without the leads of others, and
each institution reads the same of its receipts, cases, notices and answers, to the byte.

Officers act alike in both. What they do because of a lead is theirs to do, and is no part of this.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.http.caller import Caller, Role
from gateway.rendering.case_views import own_case
from gateway.signals.responses import signal_out
from schemas.cases.case import Action, ActionKind, Case, CaseChange, Disposition
from schemas.codec import decode, encode
from schemas.common import from_ms
from schemas.signals.assessed import AssessedSignal
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, RETRACTIONS, SUBMITTED
from stream_processors.domain.signals.leads import match_name
from stream_processors.domain.signals.routing import case_id
from stream_processors.views.allowed_actions import concerns, feedback_of
from stream_processors.views.receipts import Receipt, receipt_json, receipt_of
from tests.support.builders import SEALER, T0, account, phone, retraction, retraction_record, submission, submitted
from tests.support.order_builders import issue, measure
from tests.support.world import World

FACTOR = int(os.environ.get("LIANDONG_HYPOTHESIS_FACTOR", "1"))
QUEUE = "public-security-630202"
WHO = ("bank-a", "bank-b", "pay-c", "telecom-d")
LEAD = "organized_crime"
Step = tuple[Any, ...]


def is_foreign_lead(step: Step, who: str) -> bool:
    """Whether the step is about a lead of another institution: `who` is not to notice it."""
    return step[0] in ("report", "retract") and step[2] == LEAD and step[1] != who


async def play(story: Iterable[tuple[int, Step]]) -> World:
    world = await World(workers=1).up()
    for number, step in story:
        world.clock.ms = int((T0 + timedelta(minutes=number + 1)).timestamp() * 1000)
        what, *told = step
        if what in ("report", "retract"):
            _send(world, what, number, *told)
        else:
            _act(world, what, number, *told)
        await world.drain()
    return world


def _send(world: World, what: str, number: int, who: str, kind: str, subject: int, minor: int) -> None:
    reference = f"{kind}-{subject}-{minor}"
    if what == "retract":
        world.submit(*retraction_record(retraction(who, reference)), RETRACTIONS)
        return
    more = [account(7)] if minor % 2 else []
    amount = {"minor": minor * 1000, "currency": "CNY"} if minor else None
    signal = submitted(who, reference, kind=kind, amount=amount, indicators=[phone(subject), *more], occurred_at=T0)
    world.submit(*submission(signal), SUBMITTED)


def _act(world: World, what: str, number: int, who: str, kind: str, subject: int, minor: int) -> None:
    """Somebody does something in the case of a subject, or in that of the leads about it."""
    named = submitted("bank-a", "any", kind=kind, indicators=[phone(subject), *([account(7)] if minor % 2 else [])])
    whole: dict[str, Any] = {
        "action_id": f"act-{number}",
        "case_id": case_id(QUEUE, match_name(named.primary.token, named.kind)),
        "queue": QUEUE,
    }
    if what == "measure":
        told = measure(
            "blocked", f"m-{who}-{number}", institution=who, amount_minor=minor * 1000, done_at=from_ms(world.clock.ms)
        )
        action, actor = Action(**whole, kind=ActionKind.MEASURE, measure=told), f"institution:{who}"
    elif what == "order":
        asked = issue("suspend_number", f"ord-{number}", case_id=whole["case_id"], recipient=who, agency=QUEUE)
        action, actor = Action(**whole, kind=ActionKind.ORDER, officer="wang", order=asked), "officer:wang"
    else:
        more = {"disposition": Disposition.CONFIRMED if minor < 1000 else Disposition.FALSE_POSITIVE} if what == "dispose" else {}
        action, actor = Action(**whole, kind=ActionKind(what), officer="wang", **more), "officer:wang"
    value = encode(CASE_COMMANDS, action, id=action.action_id, source="/gateway", actor=actor, time=T0, subject=action.case_id)
    world.submit(action.case_id.encode(), value, CASE_COMMANDS)


def seen_by(world: World, who: str) -> bytes:
    """All that an institution can read: receipts with feedback, its cases, its notices, the answers to what it did."""
    changes = [decode(CASE_CHANGES, record.value).data for record in world.log.all(CASE_CHANGES)]
    cases: dict[str, Case] = {}
    for change in changes:
        if change.case is not None and change.case.revision > getattr(cases.get(change.case.case_id), "revision", -1):
            cases[change.case.case_id] = change.case
    caller = Caller(who, Role.INSTITUTION, (), 0.0)
    shown = {
        "signals": {one.signal_id: _signal(one, cases, who) for one in _receipts(world) if one.institution == who},
        "cases": {
            name: own_case(case, SEALER, caller).model_dump(mode="json") for name, case in cases.items() if concerns(case, who)
        },
        "notices": [_told(one) for change in changes for one in change.notifications if one.recipient == who],
        "answers": [_answer(one) for one in changes if one.actor == f"institution:{who}"],
    }
    return orjson.dumps(shown, option=orjson.OPT_SORT_KEYS | orjson.OPT_INDENT_2)


def _receipts(world: World) -> list[Receipt]:
    """Of facts that count, as project keeps them; those that were taken back are told so by their retraction."""
    found = []
    for record in world.log.all(ASSESSED):
        fact: AssessedSignal = decode(ASSESSED, record.value).data
        if fact.signal_id and fact.reference_sealed:
            found.append(receipt_of(fact.signal_id, receipt_json(fact, from_ms(record.timestamp_ms))))  # type: ignore[arg-type]
    return found


def _signal(receipt: Receipt, cases: dict[str, Case], who: str) -> Any:
    told = [feedback_of(cases[name], receipt.signal_id, who, receipt.accepted_at) for name in receipt.cases if name in cases]
    return signal_out(receipt, told).model_dump(mode="json")


def _told(notice: Any) -> Any:
    return notice.model_dump(mode="json", exclude={"subject": {"sealed"}})


def _answer(change: CaseChange) -> Any:
    return change.action_id, change.outcome.value, change.problem, change.detail, change.allowed_transitions


def officers_acts(world: World) -> set[Any]:
    changes = [decode(CASE_CHANGES, record.value).data for record in world.log.all(CASE_CHANGES)]
    return {(one.action_id, one.outcome) for one in changes if one.actor == "officer:wang"}


async def differences(steps: list[Step]) -> list[str]:
    """For whom the leads of others make a difference, and which."""
    story = list(enumerate(steps))
    whole = await play(story)
    wrong = []
    for who in WHO:
        without = await play([(number, step) for number, step in story if not is_foreign_lead(step, who)])
        if officers_acts(whole) != officers_acts(without):
            continue  # without the lead there was no case to act in
        one, other = seen_by(whole, who), seen_by(without, who)
        if one != other:
            lines = zip(one.decode().splitlines(), other.decode().splitlines(), strict=False)
            first = next(((a, b) for a, b in lines if a != b), ("more", "less"))
            wrong.append(f"{who} reads {first[0].strip()} in place of {first[1].strip()}")
    return wrong


def test_a_measure_is_taken_and_an_order_reaches_its_recipient_in_these_stories() -> None:
    """The control: what the stories do is done, and an institution reads it."""
    world = asyncio.run(play(list(enumerate(STORIES["an order in a case of leads"]))))
    shown = orjson.loads(seen_by(world, "bank-a"))
    assert [one["template"] for one in shown["notices"]] == ["order_issued", "feedback"]
    shown = orjson.loads(seen_by(world, "bank-b"))
    assert [one[1] for one in shown["answers"]] == ["applied"]
    (case,) = shown["cases"].values()
    assert (case["other_institutions"], case["opened_at"], case["signals"], len(case["measures"])) == (0, None, [], 1)


STORIES: dict[str, list[Step]] = {
    "a lead, and the same kind asks": [("report", "telecom-d", LEAD, 1, 0), ("report", "bank-a", LEAD, 1, 0)],
    "a lead, and a fraud asks": [("report", "telecom-d", LEAD, 1, 0), ("report", "bank-b", "telecom_fraud", 1, 900)],
    "fraud first, then leads": [
        ("report", "bank-a", "telecom_fraud", 1, 4000),
        ("report", "bank-b", LEAD, 1, 4000),
        ("report", "pay-c", LEAD, 1, 4000),
        ("report", "telecom-d", "telecom_fraud", 1, 2),
        ("measure", "bank-a", "telecom_fraud", 1, 3),
    ],
    "a confirmed case of leads": [
        ("report", "bank-a", LEAD, 1, 0),
        ("report", "bank-b", LEAD, 1, 0),
        ("claim", "", LEAD, 1, 0),
        ("dispose", "", LEAD, 1, 0),
        ("report", "pay-c", "telecom_fraud", 1, 0),
        ("report", "telecom-d", LEAD, 1, 0),
    ],
    "leads taken back": [
        ("report", "bank-a", LEAD, 1, 0),
        ("report", "bank-b", LEAD, 1, 0),
        ("measure", "bank-a", LEAD, 1, 5),
        ("retract", "bank-b", LEAD, 1, 0),
        ("report", "bank-b", "illegal_finance", 1, 9),
    ],
    "an order in a case of leads": [
        ("report", "bank-a", LEAD, 1, 0),
        ("report", "bank-b", LEAD, 1, 0),
        ("claim", "", LEAD, 1, 0),
        ("order", "bank-a", LEAD, 1, 0),
        ("report", "pay-c", LEAD, 1, 0),
        ("measure", "bank-b", LEAD, 1, 4),
        ("dispose", "", LEAD, 1, 0),
    ],
    "many leads of one": [
        *(("report", "bank-a", LEAD, 1, n) for n in range(0, 12, 2)),
        *(("report", "bank-b", LEAD, 1, n) for n in range(0, 60, 2)),
        ("claim", "", LEAD, 1, 0),
        ("dispose", "", LEAD, 1, 0),
    ],
}


@pytest.mark.parametrize("name", STORIES)
def test_a_story_reads_the_same_without_the_leads_of_others(name: str) -> None:
    assert asyncio.run(differences(STORIES[name])) == []


MINOR = st.sampled_from([0, 1, 3, 6000, 90_000])
STEP = st.one_of(
    st.tuples(
        st.just("report"),
        st.sampled_from(WHO),
        st.sampled_from([LEAD, LEAD, "telecom_fraud", "illegal_finance"]),
        st.integers(1, 2),
        MINOR,
    ),
    st.tuples(st.just("retract"), st.sampled_from(WHO), st.sampled_from([LEAD, "telecom_fraud"]), st.integers(1, 2), MINOR),
    st.tuples(st.just("measure"), st.sampled_from(WHO), st.sampled_from([LEAD, "telecom_fraud"]), st.integers(1, 2), MINOR),
    st.tuples(
        st.sampled_from(["claim", "dispose"]), st.just(""), st.sampled_from([LEAD, "telecom_fraud"]), st.integers(1, 2), MINOR
    ),
)


@settings(max_examples=20 * FACTOR)
@given(st.lists(STEP, min_size=2, max_size=12))
def test_every_story_reads_the_same_without_the_leads_of_others(steps: list[Step]) -> None:
    assert asyncio.run(differences(steps)) == []


def test_officers_still_see_that_leads_bear_out_one_another() -> None:
    """The control: to officers a second lead is worth more, and both are in one case."""
    world = asyncio.run(play(list(enumerate(STORIES["a lead, and the same kind asks"]))))
    case = decode(CASE_CHANGES, world.log.all(CASE_CHANGES)[-1].value).data.case
    assert (case.institutions, case.leads_only, case.severity) == (("bank-a", "telecom-d"), True, "critical")
    assert [reason.rule for reason in case.signals[0].reasons] == ["kind", "freshness", "velocity", "institutions"]
