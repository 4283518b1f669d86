"""Orders over HTTP: issued by the holder, agreed by a second person, read and answered by the recipient alone."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from gateway.services import Services
from schemas.cases.case import ActionKind
from schemas.codec import dump
from schemas.ids import ORDER, case_of, name_of
from schemas.orders.order import OrderEventKind
from schemas.topics import CASE_COMMANDS
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import FakeLog, FakeViews
from tests.unit.gateway.loop import FIELDS, HELD, STOP, actions, put, said

ISSUE = "/v1/cases/case-1/orders"


async def issued(client: Client, **over: Any) -> str:
    answer = await client("officer-1").post(ISSUE, json={**STOP, **over})
    assert answer.status_code == 200, answer.text
    return answer.json()["order_id"]


async def test_an_order_is_issued_with_its_values_sealed_and_names_its_case(
    client: Client, services: Services, log: FakeLog, views: FakeViews
):
    put(services, **HELD)
    answer = await client("officer-1").post(ISSUE, json={**STOP, "text": "请立即办理", "basis": "王某某已报案", "revision": 1})
    body = answer.json()
    assert (answer.status_code, body["state"], body["recipient"], body["issued_by"]) == (200, "issued", "bank-001", "officer-1")
    assert case_of(ORDER, body["order_id"]) == "case-1"
    assert body["subject"]["value"] == body["verify"]["account"] == "622202100100001"
    assert (body["verify"]["name"], body["text"], body["basis"]) == ("王某某", "请立即办理", "王某某已报案")
    (written,) = actions(log)
    draft = written.data.order.draft
    assert (written.data.kind, written.data.officer, draft.agency) == (ActionKind.ORDER, "officer-1", "public-security-630202")
    assert (draft.traced_minor, draft.amount_minor) == (None, 100)
    value = log.all(CASE_COMMANDS)[0].value
    assert not any(text.encode() in value for text in ("王某某", "622202100100001", "立即", "报案"))
    kept = dump(views.cases["case-1"])
    assert "报案".encode() not in kept, "nor in what becomes of it"


async def test_the_recipient_reads_the_order_with_the_values_to_compare_and_no_officers_name(
    client: Client, services: Services, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO, "liandong.audit")
    put(services, **HELD)
    name = await issued(client)
    answer = await client("bank-001").get(f"/v1/orders/{name}")
    body = answer.json()
    assert body["verify"] == {
        "name": "王某某",
        "account": "622202100100001",
        "amount_minor": 100,
        "occurred_at": "2026-03-02T07:00:00Z",
    }
    assert body["allowed_transitions"] == ["received", "verified", "mismatch", "refused", "failed"]
    assert body["basis"] == STOP["basis"]
    assert "officer" not in answer.text and "history" not in body
    whole = (await client("officer-2").get(f"/v1/orders/{name}")).json()
    assert whole["history"][0]["actor"] == "officer:officer-1"
    audited = [json.loads(one.message) for one in caplog.records if one.name == "liandong.audit"]
    assert [(one["who"], one["what"], one["order"]) for one in audited] == [
        ("bank-001", "order", name),
        ("officer-2", "order", name),
    ]


async def test_a_basis_of_before_it_was_sealed_is_told_as_it_stands(client: Client, services: Services, views: FakeViews):
    put(services, **HELD)
    name = await issued(client)
    case = views.cases["case-1"]
    plain = case.orders[0].model_copy(update={"basis": "条例第二十条", "basis_sealed": None})
    views.cases["case-1"] = case.model_copy(update={"orders": (plain,)})
    for who in ("officer-1", "bank-001"):
        assert (await client(who).get(f"/v1/orders/{name}")).json()["basis"] == "条例第二十条"


async def test_a_basis_whose_key_is_not_here_is_told_as_not_there(client: Client, services: Services, views: FakeViews):
    put(services, **HELD)
    name = await issued(client)
    case = views.cases["case-1"]
    views.cases["case-1"] = case.model_copy(update={"orders": (case.orders[0].model_copy(update={"basis_sealed": "k9.AAAA"}),)})
    assert (await client("bank-001").get(f"/v1/orders/{name}")).json()["basis"] == ""


async def test_a_stop_is_compared_executed_and_lifted_by_its_recipient(client: Client, services: Services, log: FakeLog):
    put(services, **HELD)
    name = await issued(client)
    bank, at = client("bank-001"), f"/v1/orders/{name}/answers"
    states = []
    for body in (
        {"result": "received"},
        {"result": "verified", "verified_fields": FIELDS, "credited_minor": 100},
        {"result": "executed", "amount_minor": 100, "text": "已止付"},
    ):
        answer = (await bank.post(at, json=body)).json()
        states.append((answer["state"], answer["held_minor"]))
    assert states == [("delivered", 0), ("verified", 0), ("executed", 100)]
    assert answer["answer"] == "已止付"
    assert "已止付".encode() not in log.all(CASE_COMMANDS)[-1].value
    release = {"kind": "release", "recipient": "bank-001", "related_order_id": name, "basis": "查明无关"}
    released = (await client("officer-1").post(ISSUE, json=release)).json()
    assert (released["kind"], released["subject"]["value"]) == ("release", "622202100100001")
    await bank.post(f"/v1/orders/{released['order_id']}/answers", json={"result": "executed"})
    assert (await bank.get(f"/v1/orders/{name}")).json()["state"] == "released"


async def test_a_refused_answer_names_the_answers_that_are_open(client: Client, services: Services):
    put(services, **HELD)
    name = await issued(client)
    answer = await client("bank-001").post(f"/v1/orders/{name}/answers", json={"result": "executed", "amount_minor": 100})
    assert said(answer) == (409, "transition-not-allowed")
    assert answer.json()["allowed_transitions"] == ["received", "verified", "mismatch", "refused", "failed"]


async def test_a_return_pro_rata_is_refused_until_its_notice_ends(client: Client, services: Services, log: FakeLog):
    put(services, **HELD)
    frozen = await issued(client, kind="freeze")
    await client("bank-001").post(f"/v1/orders/{frozen}/answers", json={"result": "executed", "amount_minor": 100})
    back = {"kind": "return_funds", "related_order_id": frozen, "method": "pro_rata", "subject": None, "verify": None}
    name = await issued(client, **back)
    assert actions(log)[-1].data.order.draft.method == "pro_rata"
    await client("officer-2").post(f"/v1/orders/{name}/approve")
    order = (await client("bank-001").get(f"/v1/orders/{name}")).json()
    assert order["method"] == "pro_rata" and order["public_notice_until"]
    answer = await client("bank-001").post(f"/v1/orders/{name}/answers", json={"result": "executed", "amount_minor": 100})
    assert said(answer) == (409, "public-notice-running")
    assert order["public_notice_until"][:16] in answer.json()["detail"]


async def test_a_mismatch_is_answered_at_once_and_nothing_is_held(client: Client, services: Services):
    put(services, **HELD)
    name = await issued(client)
    body = {"result": "mismatch", "mismatched_fields": ["name"]}
    answer = (await client("bank-001").post(f"/v1/orders/{name}/answers", json=body)).json()
    assert (answer["state"], answer["mismatched_fields"], answer["held_minor"], answer["allowed_transitions"]) == (
        "refused",
        ["name"],
        0,
        [],
    )


async def test_a_large_order_waits_for_a_second_person_and_the_recipient_does_not_see_it(client: Client, services: Services):
    put(services, **HELD)
    big = {"minor": 60_000_000}
    name = await issued(client, amount=big, verify={**STOP["verify"], "amount": big})
    one, two, bank = client("officer-1"), client("officer-2"), client("bank-001")
    at = f"/v1/orders/{name}"
    assert (await one.get(at)).json()["state"] == "awaiting_approval"
    unseen, unknown = await bank.get(at), await bank.get("/v1/orders/ord-1-abc")
    assert said(unseen) == said(unknown) == (404, "unknown-order") and unseen.json() == unknown.json()
    assert not (await bank.get("/v1/cases/case-1")).json()["orders"]
    assert said(await bank.post(at + "/answers", json={"result": "received"})) == (404, "unknown-order")
    own = await one.post(at + "/approve")
    assert said(own) == (409, "second-approver-required")
    assert set(own.json()["allowed_transitions"]) == {"approve", "reject", "withdraw"}
    approved = (await two.post(at + "/approve", json={})).json()
    assert (approved["state"], approved["approved_by"]) == ("issued", "officer-2")
    assert (await bank.get(at)).json()["state"] == "issued"


async def test_an_order_of_another_bank_does_not_exist(client: Client, services: Services, log: FakeLog):
    put(services, loop=True)
    other = client("bank-002")
    for name in ("ord-1-known", "ord-9-known", "ord-1-x", "ord", "ord-", "case-1", "x" * 500, "ord-~-~"):
        assert said(await other.get(f"/v1/orders/{name}")) == (404, "unknown-order")
        assert said(await other.post(f"/v1/orders/{name}/answers", json={"result": "received"})) == (404, "unknown-order")
    assert not log.all(CASE_COMMANDS)


async def test_an_officer_of_another_queue_neither_sees_nor_moves_an_order(client: Client, services: Services, log: FakeLog):
    put(services, loop=True)
    other = client("officer-9", queues=["financial-regulator-630200"])
    assert said(await other.get("/v1/orders/ord-1-known")) == (404, "unknown-order")
    for move in ("approve", "reject", "withdraw", "renew"):
        assert said(await other.post(f"/v1/orders/ord-1-known/{move}")) == (404, "unknown-order")
    assert said(await other.post(ISSUE, json=STOP)) == (404, "unknown-case")
    assert not log.all(CASE_COMMANDS)


async def test_the_agency_that_issued_reads_its_order_after_a_transfer_and_does_not_move_it(client: Client, services: Services):
    put(services, loop=True)
    views: FakeViews = services.views  # type: ignore[assignment]
    views.cases["case-1"] = views.cases["case-1"].model_copy(update={"queue": "public-security-630203"})
    before = client("officer-1", queues=["public-security-630202"])
    assert (await before.get("/v1/orders/ord-1-known")).status_code == 200
    assert said(await before.post("/v1/orders/ord-1-known/renew")) == (404, "unknown-order")


LETTER: dict[str, Any] = {
    "kind": "supervision_letter",
    "recipient": "public-security-630203",
    "text": "请核查并答复",
    "basis": "条例第四十八条",
}
ANSWERED = {"result": "executed", "text": "已核查办理"}


async def test_an_officer_of_the_unit_of_a_letter_reads_and_answers_it(client: Client, services: Services, log: FakeLog):
    put(services, **HELD)
    name = (await client("officer-1").post(ISSUE, json=LETTER)).json()["order_id"]
    unit = client("officer-u", queues=["public-security-630203"])
    seen = await unit.get(f"/v1/orders/{name}")
    body = seen.json()
    assert (body["text"], body["allowed_transitions"]) == ("请核查并答复", ["received", "executed", "refused", "failed"])
    assert "officer" not in seen.text and not {"issued_by", "history", "dual_approval"} & set(body), (
        "who asked is the agency's alone"
    )
    answer = (await unit.post(f"/v1/orders/{name}/answers", json=ANSWERED)).json()
    assert (answer["state"], answer["answer"], answer["late"]) == ("executed", "已核查办理", False)
    (_, written) = actions(log)
    assert (written.actor, written.data.order.unit) == ("officer:officer-u", "public-security-630203")
    assert "已核查".encode() not in log.all(CASE_COMMANDS)[-1].value
    whole = (await client("officer-1").get(f"/v1/orders/{name}")).json()
    assert (whole["answer"], whole["history"][-1]["actor"]) == ("已核查办理", "officer:officer-u")
    assert said(await unit.get("/v1/cases/case-1")) == (404, "unknown-case"), "the letter is the unit's, the case is not"
    for move in ("approve", "withdraw"):
        assert said(await unit.post(f"/v1/orders/{name}/{move}")) == (404, "unknown-order")


async def test_a_unit_may_refuse_a_letter_with_a_reason(client: Client, services: Services):
    put(services, **HELD)
    at = f"/v1/orders/{(await client('officer-1').post(ISSUE, json=LETTER)).json()['order_id']}/answers"
    unit = client("officer-u", queues=["public-security-63020*"])
    assert said(await unit.post(at, json={"result": "refused"})) == (422, "invalid-request")
    assert said(await unit.post(at, json={"result": "executed"})) == (422, "answer-missing")
    answer = (await unit.post(at, json={"result": "refused", "reason": "no_basis", "text": "不属于本单位管辖"})).json()
    assert (answer["state"], answer["refusal_reason"]) == ("refused", "no_basis")


async def test_a_letter_of_a_unit_is_answered_by_its_officers_and_nobody_else(client: Client, services: Services, log: FakeLog):
    put(services, **HELD)
    name = (await client("officer-1").post(ISSUE, json=LETTER)).json()["order_id"]
    at = f"/v1/orders/{name}/answers"
    agency = client("officer-1", queues=["public-security-630202"])
    assert said(await agency.post(at, json=ANSWERED)) == (403, "not-recipient")
    for other in (client("officer-9", queues=["financial-regulator-630200"]), client("bank-001")):
        assert said(await other.post(at, json=ANSWERED)) == (404, "unknown-order")
        assert said(await other.get(f"/v1/orders/{name}")) == (404, "unknown-order")
    assert len(log.all(CASE_COMMANDS)) == 1


async def test_no_officer_answers_for_an_institution_whatever_his_queues(client: Client, services: Services, log: FakeLog):
    put(services, **HELD)
    every = client("officer-1", queues=["*"])
    for body in (STOP, {**LETTER, "recipient": "bank-001"}, {**STOP, "recipient": "public-security-630203"}):
        name = (await every.post(ISSUE, json=body)).json()["order_id"]
        answer = await every.post(f"/v1/orders/{name}/answers", json={"result": "refused", "reason": "no_basis"})
        assert said(answer) == (403, "not-recipient")
    assert len(log.all(CASE_COMMANDS)) == 3


async def test_a_unit_answers_its_letter_also_after_the_case_went_to_another_queue(
    client: Client, services: Services, views: FakeViews
):
    put(services, **HELD)
    name = (await client("officer-1").post(ISSUE, json=LETTER)).json()["order_id"]
    views.cases["case-1"] = views.cases["case-1"].model_copy(update={"queue": "financial-regulator-630200", "holder": None})
    unit = client("officer-u", queues=["public-security-630203"])
    assert (await unit.post(f"/v1/orders/{name}/answers", json=ANSWERED)).json()["state"] == "executed"


async def test_who_does_not_hold_the_case_gives_no_order(client: Client, services: Services):
    put(services, **HELD)
    assert said(await client("officer-2").post(ISSUE, json=STOP)) == (409, "not-holder")


async def test_an_order_on_a_stale_revision_is_refused(client: Client, services: Services):
    put(services, **{**HELD, "revision": 5})
    answer = await client("officer-1").post(ISSUE, json={**STOP, "revision": 4})
    assert said(answer) == (409, "stale-revision") and answer.json()["revision"] == 5


async def test_an_order_under_a_key_is_issued_once_and_another_body_under_it_is_refused(
    client: Client, services: Services, log: FakeLog, views: FakeViews
):
    put(services, **HELD)
    officer, headers = client("officer-1"), {"Idempotency-Key": "order-1"}
    first = await officer.post(ISSUE, json=STOP, headers=headers)
    again = await officer.post(ISSUE, json=STOP, headers=headers)
    assert first.json() == again.json() and len(log.all(CASE_COMMANDS)) == 1
    assert said(await officer.post(ISSUE, json={**STOP, "basis": "其他"}, headers=headers)) == (422, "reference-reused")
    name = first.json()["order_id"]
    other = await officer.post(f"/v1/orders/{name}/withdraw", headers=headers)
    assert said(other) == (422, "reference-reused")
    bank, at = client("bank-001"), f"/v1/orders/{name}/answers"
    assert (await bank.post(at, json={"result": "received"}, headers=headers)).status_code == 200
    assert (await bank.post(at, json={"result": "received"}, headers=headers)).status_code == 200
    assert said(await bank.post(at, json={"result": "failed", "reason": "closed"}, headers=headers)) == (422, "reference-reused")
    assert len(views.cases["case-1"].orders) == 1


async def test_an_institution_and_an_officer_of_one_name_have_keys_of_their_own(client: Client, services: Services):
    put(services, **{**HELD, "holder": "bank-001"})
    headers = {"Idempotency-Key": "same"}
    officer = client("bank-001", role="officer", queues=["*"])
    name = (await officer.post(ISSUE, json=STOP, headers=headers)).json()["order_id"]
    answer = await client("bank-001").post(f"/v1/orders/{name}/answers", json={"result": "received"}, headers=headers)
    assert answer.status_code == 200


async def test_an_undecided_answer_is_202_and_only_its_sender_learns_the_outcome(
    client: Client, services: Services, log: FakeLog, views: FakeViews
):
    put(services, loop=True)
    log.told = None
    bank = client("bank-001")
    answer = await bank.post("/v1/orders/ord-1-known/answers", json={"result": "refused", "reason": "no_basis"})
    assert (answer.status_code, answer.json()["kind"]) == (202, "order")
    where = answer.headers["location"]
    assert (await bank.get(where)).json()["status"] == "pending"
    assert (await client("bank-001", role="officer").get(where)).status_code == 404
    views.apply(CASE_COMMANDS, log.all(CASE_COMMANDS)[0])
    assert (await bank.get(where)).json()["status"] == "applied"
    assert (await client("bank-002").get(where)).status_code == 404


async def test_a_broker_that_is_away_is_never_an_accepted_answer(client: Client, services: Services, log: FakeLog):
    put(services, loop=True)
    log.away = True
    answer = await client("bank-001").post("/v1/orders/ord-1-known/answers", json={"result": "received"})
    assert said(answer) == (503, "log-unavailable")


@pytest.mark.parametrize(
    "body",
    [
        {**STOP, "amount": None},
        {**STOP, "subject": {"kind": "account", "value": "x"}},
        {**STOP, "recipient": "Bank"},
        {**STOP, "verify": {**STOP["verify"], "name": "长" * 121}},
        {**STOP, "text": "长" * 701},
        {**STOP, "kind": "seize"},
        {**STOP, "issued_by": "officer-2"},
        {**STOP, "order_id": "ord-1-mine"},
        {"kind": "release", "recipient": "bank-001", "basis": "无关"},
    ],
)
async def test_an_order_that_is_not_valid_is_422_and_appends_nothing(client: Client, services: Services, log: FakeLog, body: Any):
    put(services, **HELD)
    assert said(await client("officer-1").post(ISSUE, json=body)) == (422, "invalid-request") and not log.all(CASE_COMMANDS)


async def test_what_a_kind_needs_by_the_policy_is_told(client: Client, services: Services):
    put(services, **HELD)
    answer = await client("officer-1").post(ISSUE, json={**STOP, "verify": None})
    assert said(answer) == (422, "order-incomplete") and "name, account" in answer.json()["detail"]


async def test_an_order_is_found_in_the_case_that_its_own_was_merged_into(client: Client, services: Services, views: FakeViews):
    put(services, 1, loop=True)
    put(services, 2)
    one, two = views.cases["case-1"], views.cases["case-2"]
    views.cases["case-1"] = one.model_copy(update={"orders": (), "merged_into": "case-2"})
    views.cases["case-2"] = two.model_copy(update={"orders": one.orders})
    assert (await client("bank-001").get("/v1/orders/ord-1-known")).status_code == 200
    views.cases["case-2"] = two.model_copy(update={"merged_into": "case-1"})
    assert said(await client("bank-001").get("/v1/orders/ord-1-known")) == (404, "unknown-order")


def test_the_name_of_an_order_leads_to_its_case_whatever_the_case_is_called():
    for case in ("case-1", "case-0a1b2c3d4e5f60718293a4b5", "case-0a1b~1", "case-0a1b~1~12"):
        assert case_of(ORDER, name_of(ORDER, case, "act-1")) == case
    assert name_of(ORDER, "case-1", "act-1") != name_of(ORDER, "case-1", "act-2")


async def test_every_answer_is_an_event_of_an_order(client: Client):
    from schemas.orders.requests import ANSWERS, AnswerIn

    results = AnswerIn.model_json_schema()["properties"]["result"]["enum"]
    assert set(results) == set(ANSWERS) and set(ANSWERS.values()) <= set(OrderEventKind)


async def test_whoever_is_to_release_a_part_is_told_that_it_is_one(client: Client, services: Services):
    put(services, **HELD)
    name, bank = await issued(client), client("bank-001")
    await bank.post(f"/v1/orders/{name}/answers", json={"result": "verified", "verified_fields": FIELDS, "credited_minor": 100})
    done = await bank.post(f"/v1/orders/{name}/answers", json={"result": "executed", "amount_minor": 100})
    assert done.json()["held_minor"] == 100, done.text
    release = {"kind": "release", "recipient": "bank-001", "related_order_id": name, "amount": {"minor": 30}, "basis": "更正"}
    told = (await client("officer-1").post(ISSUE, json=release)).json()
    seen = (await bank.get(f"/v1/orders/{told['order_id']}")).json()
    assert (seen["partial"], seen["amount_minor"], seen["related_order_id"]) == (True, 30, name)
    await bank.post(f"/v1/orders/{told['order_id']}/answers", json={"result": "executed"})
    left = (await bank.get(f"/v1/orders/{name}")).json()
    assert (left["state"], left["held_minor"], left["partial"]) == ("executed", 70, False)
