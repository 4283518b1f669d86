"""A case over HTTP: what each may see of it, the officers' moves beyond the claim, and what its senders hear of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.services import Services
from schemas.cases.case import ActionKind, CaseStatus, Disposition
from schemas.deadlines import Deadline
from schemas.topics import CASE_COMMANDS
from stream_processors.views.allowed_actions import twin_id
from stream_processors.views.receipts import Receipt
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import T0, FakeLog, FakeViews
from tests.unit.gateway.loop import FIELDS, HELD, STOP, WARNED, actions, put, said

CASE = "/v1/cases/case-1"


def receipt(views: FakeViews, signal_id: str = "sig-1", **over: Any) -> None:
    found = {"outcome": "assessed", "institution": "bank-001", "cases": ("case-1",), **over}
    views.receipts[signal_id] = Receipt(signal_id=signal_id, accepted_at=T0, assessed_at=T0, **found)


def clock(name: str, about: str | None, **over: Any) -> Deadline:
    return Deadline(name=name, run=1, about=about, state="open", started_at=T0, due_at=T0, **over)


async def test_an_officer_reads_the_whole_loop_and_the_moves_that_are_open(client: Client, services: Services, views: FakeViews):
    put(services, loop=True, **HELD)
    clocks = (clock("dispose", None, unit="public-security-630202"), clock("warn", "bank-001"))
    views.cases["case-1"] = views.cases["case-1"].model_copy(update={"deadlines": clocks, "linked_case_ids": ("case-9",)})
    body = (await client("officer-1").get(CASE)).json()
    assert (body["phase"], body["linked_case_ids"], body["acknowledged_at"]) == ("ordered", ["case-9"], "2026-03-02T08:00:00Z")
    assert {"renew", "release", "hand-over", "dispose", "transfer", "merge", "split"} <= set(body["allowed_transitions"])
    assert [one["name"] for one in body["deadlines"]] == ["dispose", "warn"]
    assert body["orders"][0]["issued_by"] == "officer-7" and body["orders"][0]["verify"]["name"] == "王某"
    assert body["dissuasions"][0]["person"]["value"] == "+8613900005678"
    assert body["appeals"][0]["text"] == "这是我的工资"
    listed = (await client("officer-1").get("/v1/queues/public-security-630202/cases")).json()["cases"][0]
    assert not {"orders", "dissuasions", "deadlines", "allowed_transitions"} & set(listed)


async def test_an_institution_reads_its_own_part_of_a_case_and_how_many_others_there_are(
    client: Client, services: Services, views: FakeViews
):
    put(services, loop=True)
    await client("bank-001").post(CASE + "/measures", json=WARNED)
    case = views.cases["case-1"]
    theirs = case.measures[0].model_copy(update={"measure_id": "msr-2", "institution": "bank-002"})
    order = case.orders[0].model_copy(update={"order_id": "ord-1-two", "recipient": "bank-002"})
    clocks = (clock("warn", "bank-001"), clock("warn", "bank-002"), clock("order_answer", "ord-1-known"), clock("dispose", None))
    more = {"institutions": ("bank-001", "bank-002"), "measures": (*case.measures, theirs), "deadlines": clocks}
    views.cases["case-1"] = case.model_copy(update={**more, "orders": (*case.orders, order)})
    answer = await client("bank-001").get(CASE)
    body = answer.json()
    assert (body["other_institutions"], [one["signal_id"] for one in body["signals"]]) == (1, ["sig-1"])
    assert [one["order_id"] for one in body["orders"]] == ["ord-1-known"]
    assert [one["institution"] for one in body["measures"]] == ["bank-001"]
    assert [(one["name"], one["about"]) for one in body["deadlines"]] == [("warn", "bank-001"), ("order_answer", "ord-1-known")]
    assert "bank-002" not in answer.text and "officer" not in answer.text
    assert not {"score", "queue", "holder", "primary_subject", "severity"} & set(body)


async def test_an_institution_that_has_nothing_to_do_with_a_case_does_not_see_it(client: Client, services: Services):
    put(services, loop=True)
    ours, none = await client("bank-009").get(CASE), await client("bank-009").get("/v1/cases/case-9")
    assert said(ours) == said(none) == (404, "unknown-case") and ours.json() == none.json()


@pytest.mark.parametrize("by", ["order", "dissuasion"])
async def test_who_was_ordered_or_asked_sees_the_case_without_having_reported(
    client: Client, services: Services, views: FakeViews, by: str
):
    put(services, loop=True, institution="bank-003")
    left = {"dissuasion": {"orders": ()}, "order": {"dissuasions": ()}}[by]
    views.cases["case-1"] = views.cases["case-1"].model_copy(update={**left, "appeals": ()})
    body = (await client("bank-001").get(CASE)).json()
    assert (body["signals"], len(body["orders"]) + len(body["dissuasions"])) == ([], 1)


async def test_the_moves_of_a_case_from_its_receipt_to_its_end(
    client: Client, services: Services, log: FakeLog, views: FakeViews
):
    put(services)
    views.now = datetime.now(UTC)
    one = client("officer-1")

    async def move(name: str, **body: Any) -> dict[str, Any]:
        answer = await one.post(f"{CASE}/{name}", json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    seen = await move("acknowledge")
    assert (seen["phase"], seen["acknowledged_by"]) == ("acknowledged", "officer-1")
    assert (await move("claim", revision=2))["phase"] == "in_handling"
    assert (await move("dispose", revision=3, disposition="confirmed"))["phase"] == "disposed"
    closed = await move("close", revision=4)
    assert (closed["phase"], closed["closed_by"], closed["allowed_transitions"]) == ("closed", "officer-1", ["reopen"])
    assert (await move("reopen", revision=5, note="新证据"))["phase"] == "opened"
    there = await move("transfer", revision=6, queue="public-security-630203", note="属地管辖")
    assert [(moved["to_queue"], moved["note"]) for moved in there["transfers"]] == [("public-security-630203", "属地管辖")]
    assert "属地".encode() not in log.all(CASE_COMMANDS)[-1].value
    assert [one.data.kind for one in actions(log)][-3:] == [ActionKind.CLOSE, ActionKind.REOPEN, ActionKind.TRANSFER]


async def test_a_case_is_merged_into_one_of_the_officers_own(client: Client, services: Services, log: FakeLog):
    put(services, 1)
    put(services, 2, **HELD)
    put(services, 3, queue="financial-regulator-630200")
    mine = client("officer-1", queues=["public-security-*"])
    body = {"revision": 1, "into_case_id": "case-3"}
    assert said(await mine.post("/v1/cases/case-2/merge", json=body)) == (404, "unknown-case")
    assert said(await mine.post("/v1/cases/case-2/merge", json={**body, "into_case_id": "case-8"})) == (404, "unknown-case")
    assert not log.all(CASE_COMMANDS)
    other = await client("officer-1").post("/v1/cases/case-2/merge", json=body)
    assert said(other) == (409, "other-queue")
    merged = (await mine.post("/v1/cases/case-2/merge", json={**body, "into_case_id": "case-1"})).json()
    assert (merged["phase"], merged["merged_into"], merged["allowed_transitions"]) == ("merged", "case-1", [])


async def test_signals_are_split_off_to_a_case_of_their_own(client: Client, services: Services, views: FakeViews):
    put(services, 1, **HELD)
    case = views.cases["case-1"]
    more = case.signals[0].model_copy(update={"signal_id": "sig-2"})
    views.cases["case-1"] = case.model_copy(update={"signals": (more, *case.signals), "signal_count": 2})
    one = client("officer-1")
    assert said(await one.post(CASE + "/split", json={"revision": 1, "signals": ["sig-9"]})) == (422, "unknown-signal")
    left = (await one.post(CASE + "/split", json={"revision": 1, "signals": ["sig-2"]})).json()
    assert [signal["signal_id"] for signal in left["signals"]] == ["sig-1"]


@pytest.mark.parametrize(
    ("state", "move", "body", "expected"),
    [
        ({}, "close", {"revision": 1}, (409, "transition-not-allowed")),
        (HELD, "transfer", {"revision": 1, "queue": "nowhere"}, (422, "unknown-queue")),
        (HELD, "transfer", {"revision": 1, "queue": "public-security-630202"}, (409, "already-in-queue")),
        (HELD, "transfer", {"revision": 9, "queue": "public-security-630203"}, (409, "stale-revision")),
        ({**HELD, "holder": "officer-2"}, "split", {"revision": 1, "signals": ["sig-1"]}, (409, "not-holder")),
        (HELD, "merge", {"revision": 1, "into_case_id": "case-1"}, (422, "same-case")),
        (HELD, "transfer", {"revision": 1}, (422, "invalid-request")),
        (HELD, "transfer", {"revision": 1, "queue": "../../x"}, (422, "invalid-request")),
        (HELD, "split", {"revision": 1, "signals": []}, (422, "invalid-request")),
        (HELD, "merge", {"revision": 1, "into_case_id": ""}, (422, "invalid-request")),
        ({"status": CaseStatus.CLOSED}, "reopen", {"revision": 1}, (422, "invalid-request")),
    ],
)
async def test_a_refused_move_says_why(client: Client, services: Services, state: Any, move: str, body: Any, expected: Any):
    put(services, **state)
    answer = await client("officer-1").post(f"{CASE}/{move}", json=body)
    assert said(answer) == expected, answer.text
    if expected[1] == "transition-not-allowed":
        assert answer.json()["allowed_transitions"] == ["acknowledge", "claim", "transfer"]


async def test_an_action_that_was_refused_tells_the_moves_later_too(
    client: Client, services: Services, log: FakeLog, views: FakeViews
):
    put(services)
    log.told = None
    where = (await client("officer-1").post(CASE + "/close", json={"revision": 1})).headers["location"]
    views.apply(CASE_COMMANDS, log.all(CASE_COMMANDS)[0])
    told = (await client("officer-1").get(where)).json()
    assert (told["status"], told["problem"], told["allowed_transitions"]) == (
        "refused",
        "transition-not-allowed",
        ["acknowledge", "claim", "transfer"],
    )


async def test_a_sender_hears_what_came_of_its_signal(client: Client, services: Services, views: FakeViews):
    put(services, **HELD)
    receipt(views)
    bank, officer = client("bank-001"), client("officer-1")

    async def heard() -> dict[str, Any]:
        (one,) = (await bank.get("/v1/signals/sig-1")).json()["feedback"]
        return one

    assert await heard() == {
        "case_id": "case-1",
        "corroborated_by": 0,
        "reviewed": True,
        "actions_taken": [],
        "prevented_loss_minor": {},
    }
    name = (await officer.post(CASE + "/orders", json=STOP)).json()["order_id"]
    for body in ({"result": "verified", "verified_fields": FIELDS}, {"result": "executed", "amount_minor": 70}):
        assert (await bank.post(f"/v1/orders/{name}/answers", json=body)).status_code == 200
    revision = views.cases["case-1"].revision
    await officer.post(CASE + "/dispose", json={"revision": revision, "disposition": "confirmed"})
    told = await heard()
    assert (told["actions_taken"], told["outcome"], told["prevented_loss_minor"]) == (["stop_payment"], "confirmed", {"CNY": 70})


async def test_feedback_is_of_each_case_and_counts_others_without_naming_them(
    client: Client, services: Services, views: FakeViews
):
    put(services, 1, institutions=("bank-001", "bank-002", "telecom-001"))
    put(services, 2)
    receipt(views, cases=("case-1", "case-2"))
    answer = await client("bank-001").get("/v1/signals/sig-1")
    assert [(one["case_id"], one["corroborated_by"], one["reviewed"]) for one in answer.json()["feedback"]] == [
        ("case-1", 2, False),
        ("case-2", 0, False),
    ]
    assert "bank-002" not in answer.text


async def test_the_same_content_again_hears_of_its_first_signal(client: Client, services: Services, views: FakeViews):
    put(services, **HELD)
    receipt(views)
    receipt(views, "sig-2", outcome="duplicate_content", duplicate_of="sig-1", cases=())
    (told,) = (await client("bank-001").get("/v1/signals/sig-2")).json()["feedback"]
    assert (told["duplicate_of"], told["reviewed"], told["case_id"]) == ("sig-1", True, "case-1")
    receipt(views, cases=())
    (told,) = (await client("bank-001").get("/v1/signals/sig-2")).json()["feedback"]
    assert told == {
        "duplicate_of": "sig-1",
        "corroborated_by": 0,
        "reviewed": False,
        "actions_taken": [],
        "prevented_loss_minor": {},
    }


async def test_what_joins_no_case_or_was_taken_back_has_no_feedback(client: Client, services: Services, views: FakeViews):
    put(services)
    receipt(views, cases=())
    assert "feedback" not in (await client("bank-001").get("/v1/signals/sig-1")).json()
    receipt(views, retracted_at=T0, outcome="retracted")
    assert "feedback" not in (await client("bank-001").get("/v1/signals/sig-1")).json()


async def test_a_signal_that_its_case_no_longer_lists_and_one_whose_case_was_merged_are_heard_of(
    client: Client, services: Services, views: FakeViews
):
    put(services, 1, status=CaseStatus.MERGED, merged_into="case-2", institutions=(), signals=())
    put(services, 2, status=CaseStatus.DISPOSED, disposition=Disposition.CONFIRMED, disposed_at=T0, applied=("act-1",))
    receipt(views)
    (told,) = (await client("bank-001").get("/v1/signals/sig-1")).json()["feedback"]
    assert (told["case_id"], told["outcome"], told["reviewed"]) == ("case-2", "confirmed", True)


async def test_a_case_of_leads_is_linked_for_officers_and_merged_with_leads_alone(
    client: Client, services: Services, views: FakeViews
):
    for n in (1, 2):
        put(services, n, **HELD)
    case = views.cases["case-1"]
    twin = case.model_copy(update={"case_id": twin_id(case), "leads_only": True, "kinds": ("organized_crime",), **HELD})
    views.cases[twin.case_id] = twin
    assert twin_id(twin) != twin.case_id and twin_id(twin.model_copy(update={"leads_only": False})) == twin.case_id
    assert (await client("officer-1").get(CASE)).json()["linked_case_ids"] == [twin.case_id]
    where = f"/v1/cases/{twin.case_id}/merge"
    body = {"revision": 1, "into_case_id": "case-1"}
    assert said(await client("officer-1").post(where, json=body)) == (409, "leads-not-mergeable")


async def test_of_a_case_of_leads_an_institution_reads_what_it_did_there_alone(
    client: Client, services: Services, views: FakeViews
):
    put(services)
    views.cases["case-1"] = views.cases["case-1"].model_copy(
        update={"leads_only": True, "kinds": ("organized_crime",), "institutions": ("bank-001", "bank-002")}
    )
    await client("bank-001").post(CASE + "/measures", json=WARNED)
    body = (await client("bank-001").get(CASE)).json()
    assert (body["other_institutions"], body["signals"], "opened_at" in body, len(body["measures"])) == (0, [], False, 1)
    receipt(views)
    assert (await client("bank-001").get("/v1/signals/sig-1")).json()["feedback"][0]["corroborated_by"] == 0
