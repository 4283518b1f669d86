"""Measures: an institution says what it did, by the case or by its own signal; it counts once, and only for itself."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.services import Services
from schemas.cases.case import ActionKind, CaseStatus
from schemas.topics import CASE_COMMANDS
from stream_processors.views.receipts import Receipt
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import T0, FakeLog, FakeViews, MemoryIdempotency
from tests.unit.gateway.loop import WARNED, actions, put, said

BLOCKED = {
    "kind": "blocked",
    "reference": "b-1",
    "done_at": "2026-03-02T07:58:00Z",
    "target": "payment",
    "amount": {"minor": 100},
}
AT = "/v1/cases/case-1/measures"


def receipt(views: FakeViews, signal_id: str = "sig-1", **over: Any) -> None:
    found = {"outcome": "assessed", "institution": "bank-001", "cases": ("case-1",), **over}
    views.receipts[signal_id] = Receipt(signal_id=signal_id, accepted_at=T0, assessed_at=T0, **found)


async def test_a_measure_is_recorded_in_its_case_and_its_words_are_sealed(client: Client, services: Services, log: FakeLog):
    put(services)
    answer = await client().post(AT, json=WARNED)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["case_id"], body["kind"], body["reaction"], body["late"]) == ("case-1", "warned", "heeded", False)
    assert (body["note"], body["recorded_at"]) == ("已电话提醒客户", "2026-03-02T08:00:00Z")
    (written,) = actions(log)
    assert (written.data.kind, written.actor, written.data.officer) == (ActionKind.MEASURE, "institution:bank-001", None)
    assert written.data.measure.institution == "bank-001"
    value = log.all(CASE_COMMANDS)[0].value
    assert "提醒".encode() not in value and b"w-1" not in value


async def test_the_same_reference_counts_once_and_another_body_under_it_is_refused(
    client: Client, services: Services, log: FakeLog, memory: MemoryIdempotency, views: FakeViews
):
    put(services)
    first = await client().post(AT, json=WARNED)
    again = await client().post(AT, json=WARNED)
    assert again.json() == first.json()
    memory.texts.clear()
    views.actions.clear()
    forgotten = await client().post(AT, json={**WARNED, "note": "同一措施"}, headers={"Idempotency-Key": "another"})
    assert forgotten.json() == first.json()
    other = await client().post(AT, json={**WARNED, "reaction": "insisted"})
    assert said(other) == (422, "reference-reused")
    assert len(log.all(CASE_COMMANDS)) == 1


async def test_the_agencys_number_is_sealed_told_and_compared(client: Client, services: Services, log: FakeLog, views: FakeViews):
    put(services)
    reported = {"kind": "reported", "reference": "r-1", "done_at": "2026-03-02T07:58:00Z"}
    reported |= {"reported_to": "public-security-630202", "agency_reference": "A-2026-7"}
    first = await client().post(AT, json=reported)
    assert first.json()["agency_reference"] == "A-2026-7"
    assert b"A-2026-7" not in log.all(CASE_COMMANDS)[0].value
    assert (await client().post(AT, json=reported)).json() == first.json()
    other = await client().post(AT, json={**reported, "agency_reference": "A-2026-8"})
    assert said(other) == (422, "reference-reused")
    assert len(log.all(CASE_COMMANDS)) == 1


async def test_two_bodies_under_one_reference_that_come_at_once_are_decided_by_the_log(
    client: Client, services: Services, log: FakeLog, views: FakeViews
):
    """The gateway has seen neither in the case: both are written, and the core keeps the first."""
    put(services)
    log.told = None
    for body in (WARNED, {**WARNED, "reaction": "insisted"}):
        assert (await client().post(AT, json=body)).status_code == 202
    for entry in log.all(CASE_COMMANDS):
        views.apply(CASE_COMMANDS, entry)
    assert [one.reaction for one in views.cases["case-1"].measures] == ["heeded"]
    assert [one.problem for one in views.actions.values()] == [None, "reference-reused"]


async def test_a_refused_measure_is_decided_anew_under_a_key(client: Client, services: Services, views: FakeViews):
    put(services)
    ahead = {**WARNED, "done_at": "2026-03-02T09:00:00Z"}
    assert said(await client().post(AT, json=ahead)) == (422, "time-out-of-range")
    views.now = T0 + timedelta(hours=1)
    assert said(await client().post(AT, json=ahead)) == (422, "time-out-of-range")
    assert (await client().post(AT, json=ahead, headers={"Idempotency-Key": "again"})).status_code == 200


async def test_a_measure_by_a_signal_is_recorded_in_every_case_that_it_went_to(
    client: Client, services: Services, views: FakeViews, log: FakeLog
):
    put(services, 1)
    put(services, 2, queue="financial-regulator-630200")
    receipt(views, cases=("case-1", "case-2"))
    answer = await client().post("/v1/signals/sig-1/measures", json=BLOCKED, headers={"Idempotency-Key": "k"})
    assert [(one["case_id"], one["signal_id"], one["amount_minor"]) for one in answer.json()["measures"]] == [
        ("case-1", "sig-1", 100),
        ("case-2", "sig-1", 100),
    ]
    assert {entry.key for entry in log.all(CASE_COMMANDS)} == {b"case-1", b"case-2"}
    again = await client().post("/v1/signals/sig-1/measures", json=BLOCKED, headers={"Idempotency-Key": "k"})
    assert again.json() == answer.json() and len(log.all(CASE_COMMANDS)) == 2


async def test_a_measure_by_a_resent_signal_is_its_first_ones(client: Client, services: Services, views: FakeViews):
    put(services)
    receipt(views)
    receipt(views, "sig-2", outcome="duplicate_content", duplicate_of="sig-1", cases=())
    answer = await client().post("/v1/signals/sig-2/measures", json=WARNED)
    assert answer.json()["measures"][0]["signal_id"] == "sig-1"


async def test_a_signal_without_a_case_says_whether_one_is_on_its_way(client: Client, services: Services, views: FakeViews):
    bank = client()
    receipt(views, cases=())
    nowhere = await bank.post("/v1/signals/sig-1/measures", json=WARNED)
    assert said(nowhere) == (409, "signal-without-case") and "retry-after" not in nowhere.headers
    receipt(views, cases=("case-1",))
    on_its_way = await bank.post("/v1/signals/sig-1/measures", json=WARNED)
    assert said(on_its_way) == (409, "signal-without-case") and on_its_way.headers["retry-after"]
    sent = (await bank.post("/v1/signals", json={**_signal(), "reference": "new"})).json()["signal_id"]
    pending = await bank.post(f"/v1/signals/{sent}/measures", json=WARNED)
    assert said(pending) == (409, "signal-without-case") and pending.headers["retry-after"]


def _signal() -> dict[str, Any]:
    from tests.unit.gateway.fakes import signal

    return signal()


async def test_a_case_of_others_does_not_exist_for_an_institution(
    client: Client, services: Services, log: FakeLog, views: FakeViews
):
    put(services)
    receipt(views)
    stranger = client("bank-002")
    ours, none = await stranger.post(AT, json=WARNED), await stranger.post("/v1/cases/case-9/measures", json=WARNED)
    assert said(ours) == said(none) == (404, "unknown-case")
    assert ours.json() == none.json()
    assert said(await stranger.post("/v1/signals/sig-1/measures", json=WARNED)) == (404, "not-found")
    assert said(await stranger.post("/v1/signals/sig-9/measures", json=WARNED)) == (404, "not-found")
    assert said(await client("officer-1").post(AT, json=WARNED)) == (403, "forbidden")
    assert not log.all(CASE_COMMANDS)


async def test_nobody_names_another_institution(client: Client, services: Services, log: FakeLog):
    put(services)
    answer = await client().post(AT, json={**WARNED, "institution": "bank-002"})
    assert said(answer) == (422, "invalid-request") and not log.all(CASE_COMMANDS)


EMPTIED: dict[str, Any] = {"status": CaseStatus.MERGED, "institutions": (), "signals": (), "signal_count": 0}
"""What a merge leaves of a case."""


async def test_a_measure_goes_where_its_case_was_merged_into(client: Client, services: Services, log: FakeLog):
    put(services, 1, **EMPTIED, merged_into="case-3")
    put(services, 3, **EMPTIED, merged_into="case-2")
    put(services, 2)
    assert (await client().post(AT, json=WARNED)).json()["case_id"] == "case-2"
    assert log.all(CASE_COMMANDS)[0].key == b"case-2"
    assert (await client().get("/v1/cases/case-1")).json()["merged_into"] == "case-3"


async def test_a_merged_case_is_nobodys_who_has_nothing_to_do_with_what_it_became(client: Client, services: Services):
    put(services, 1, **EMPTIED, merged_into="case-2")
    put(services, 2, institutions=("bank-009",), signals=())
    assert said(await client().post(AT, json=WARNED)) == (404, "unknown-case")
    put(services, 1, **EMPTIED, merged_into="case-7")
    assert said(await client().get("/v1/cases/case-1")) == (404, "unknown-case")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({**WARNED, "kind": "scolded"}, ""),
        ({**WARNED, "channel": "pigeon"}, "/channel"),
        ({**WARNED, "done_at": "2026-03-02T07:59:00"}, "/done_at"),
        ({**WARNED, "note": "长" * 701}, "/note"),
        ({**WARNED, "more": 1}, "/more"),
        ({**BLOCKED, "amount": None}, ""),
        ({**BLOCKED, "target": "number"}, ""),
        ({"kind": "warned"}, "/reference"),
        ([], ""),
    ],
)
async def test_a_body_that_is_not_valid_is_422_at_its_place_and_appends_nothing(
    client: Client, services: Services, log: FakeLog, body: Any, pointer: str
):
    put(services)
    answer = await client().post(AT, json=body)
    assert said(answer) == (422, "invalid-request")
    assert answer.json()["errors"][0]["pointer"] == pointer, answer.json()
    assert not log.all(CASE_COMMANDS)


async def test_a_kind_that_there_is_not_is_told_the_kinds(client: Client, services: Services):
    put(services)
    answer = await client().post(AT, json={**WARNED, "kind": "scolded"})
    assert "one of warned, blocked, reported" in answer.json()["detail"]


async def test_a_huge_body_is_413(client: Client, services: Services):
    put(services)
    assert said(await client().post(AT, json={**WARNED, "note": "x" * (2 << 20)})) == (413, "body-too-large")


async def test_a_late_measure_is_kept_and_marked(client: Client, services: Services, views: FakeViews):
    put(services)
    case = views.cases["case-1"]
    from schemas.deadlines import Deadline

    due = Deadline(
        name="warn",
        run=1,
        about="bank-001",
        state="fired",
        started_at=T0 - timedelta(minutes=30),
        due_at=T0 - timedelta(minutes=20),
        fired_at=T0 - timedelta(minutes=20),
    )
    views.cases["case-1"] = case.model_copy(update={"deadlines": (due,)})
    body = (await client().post(AT, json=WARNED)).json()
    assert (body["late"], body["done_late"]) == (True, True)


async def test_a_measure_that_was_sent_on_is_told_as_the_case_that_decided_keeps_it(
    client: Client, services: Services, log: FakeLog, views: FakeViews
):
    """By its signal a measure is asked for at the case that the signal joined, wherever that went."""
    put(services, 1, **EMPTIED, merged_into="case-3")
    put(services, 3, **EMPTIED, merged_into="case-2")
    put(services, 2)
    receipt(views)
    views.now = T0 + timedelta(minutes=3)
    (told,) = (await client().post("/v1/signals/sig-1/measures", json=BLOCKED)).json()["measures"]
    assert (told["case_id"], told["recorded_at"]) == ("case-2", "2026-03-02T08:03:00Z")
    (kept,) = views.cases["case-2"].measures
    assert kept.measure_id == told["measure_id"] and not views.cases["case-1"].measures
    views.actions.clear()
    (again,) = (await client().post("/v1/signals/sig-1/measures", json=BLOCKED)).json()["measures"]
    assert again == told and len(log.all(CASE_COMMANDS)) == 1


async def test_a_measure_of_a_split_off_signal_is_told_as_its_case_keeps_it(client: Client, services: Services, views: FakeViews):
    parent = views.cases[put(services)]
    views.cases["case-1"] = parent.model_copy(update={"split_off": {"sig-1": "case-1~1"}})
    views.cases["case-1~1"] = parent.model_copy(update={"case_id": "case-1~1"})
    answer = await client().post(AT, json={**BLOCKED, "signal_id": "sig-1"})
    assert answer.status_code == 200 and answer.json()["case_id"] == "case-1~1"
    assert (await client().post(AT, json={**BLOCKED, "signal_id": "sig-1"})).json() == answer.json()


async def test_a_measure_on_its_way_is_pending_and_then_it_is_told_where_it_came(
    client: Client, services: Services, views: FakeViews, log: FakeLog
):
    put(services, 1, **EMPTIED, merged_into="case-2")
    put(services, 2)
    receipt(views)
    views.held_up = []
    pending = await client().post("/v1/signals/sig-1/measures", json=BLOCKED)
    assert pending.status_code == 202 and not views.cases["case-2"].measures
    where = pending.headers["location"]
    assert (await client().get(where)).json()["status"] == "pending"
    views.go_on()
    decided = (await client().get(where)).json()
    assert (decided["status"], decided["case_id"]) == ("applied", "case-2")
    assert said(await client("bank-002").get(where)) == (404, "not-found")
    (told,) = (await client().post("/v1/signals/sig-1/measures", json=BLOCKED)).json()["measures"]
    assert told["case_id"] == "case-2" and len(log.all(CASE_COMMANDS)) == 1


async def test_a_measure_that_is_being_handed_over_is_pending_until_the_views_have_it_again(
    client: Client, services: Services, views: FakeViews, log: FakeLog
):
    put(services)
    put(services, 2)
    receipt(views)
    first = await client().post("/v1/signals/sig-1/measures", json=BLOCKED)
    held = views.cases["case-1"]
    views.cases["case-1"] = held.model_copy(update={**EMPTIED, "measures": (), "merged_into": "case-2"})
    between = await client().post("/v1/signals/sig-1/measures", json=BLOCKED)
    assert between.status_code == 202 and len(log.all(CASE_COMMANDS)) == 1
    views.cases["case-2"] = views.cases["case-2"].model_copy(update={"measures": held.measures})
    (again,) = (await client().post("/v1/signals/sig-1/measures", json=BLOCKED)).json()["measures"]
    (told,) = first.json()["measures"]
    assert again == {**told, "case_id": "case-2"}


async def test_one_measure_is_told_once_where_two_cases_of_its_signal_became_one(
    client: Client, services: Services, views: FakeViews
):
    put(services, 1, **EMPTIED, merged_into="case-2")
    put(services, 2)
    receipt(views, cases=("case-1", "case-2"))
    answer = (await client().post("/v1/signals/sig-1/measures", json=BLOCKED)).json()
    assert [one["case_id"] for one in answer["measures"]] == ["case-2"]
