"""Appeals over HTTP: a person's door, the officers' decision, the release that each executor confirms."""

from __future__ import annotations

import pytest

from gateway.services import Services
from schemas.topics import CASE_COMMANDS
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import T0, FakeLog, FakeViews
from tests.unit.gateway.loop import LATER, actions, put, said

AT = "/v1/cases/case-1/appeals"
WORDS = {"text": "这笔钱是我的工资"}


def executed(services: Services) -> None:
    """The stop at bank-001 was carried out; nobody has objected."""
    put(services, loop=True)
    views: FakeViews = services.views  # type: ignore[assignment]
    case = views.cases["case-1"]
    done = {"state": "executed", "executed_at": T0, "held_minor": 100, "valid_until": LATER}
    views.cases["case-1"] = case.model_copy(update={"orders": (case.orders[0].model_copy(update=done),), "appeals": ()})


async def test_an_appeal_goes_from_its_door_to_the_release_that_was_confirmed(client: Client, services: Services, log: FakeLog):
    executed(services)
    bank, officer = client("bank-001"), client("officer-2")
    lodged = (await bank.post(AT, json=WORDS)).json()
    at = f"{AT}/{lodged['appeal_id']}"
    assert (lodged["state"], lodged["text"], lodged["allowed_transitions"]) == ("filed", WORDS["text"], ["notice"])
    assert "工资".encode() not in log.all(CASE_COMMANDS)[0].value
    noticed = (await bank.post(at + "/notice", json={"text": "已书面告知"})).json()
    assert (noticed["state"], noticed["notice"]) == ("notice_given", "已书面告知")
    assert not any("书面告知".encode() in one.value for one in log.all(CASE_COMMANDS))
    assert (await officer.get(at)).json()["notice"] == "已书面告知"
    upheld = (await officer.post(at + "/uphold", json={"reasons": "经查属实"})).json()
    assert (upheld["state"], upheld["decided_by"], upheld["allowed_transitions"]) == ("upheld", "officer-2", ["release"])
    released = (await officer.post(at + "/release")).json()
    assert (released["state"], released["pending_parties"]) == ("released", ["bank-001"])
    seen = (await bank.get(at)).json()
    assert seen["reasons"] == "经查属实" and "decided_by" not in seen and "pending_parties" not in seen
    order = next(one for one in (await bank.get("/v1/cases/case-1")).json()["orders"] if one["kind"] == "release")
    assert order["order_id"].startswith("ord-1-"), "a release that follows names its case, too"
    await bank.post(f"/v1/orders/{order['order_id']}/answers", json={"result": "executed"})
    assert (await bank.get(at)).json()["state"] == "completed"
    assert {one.actor for one in actions(log)} == {"institution:bank-001", "officer:officer-2"}


async def test_an_executor_that_is_not_the_door_reads_that_it_must_release_and_no_words(client: Client, services: Services):
    put(services, loop=True)
    views: FakeViews = services.views  # type: ignore[assignment]
    case = views.cases["case-1"]
    other = case.orders[0].model_copy(update={"order_id": "ord-1-other", "recipient": "bank-002"})
    changes = {"state": "released", "released_at": T0, "pending_parties": ("bank-002",), "orders": ("ord-1-known", "ord-1-other")}
    changes["notice_sealed"] = services.sealer.seal("已书面告知", "obj-1-known/notice")
    appeal = case.appeals[0].model_copy(update=changes)
    views.cases["case-1"] = case.model_copy(update={"appeals": (appeal,), "orders": (*case.orders, other)})
    bank = client("bank-002")
    seen = (await bank.get(AT + "/obj-1-known")).json()
    assert (seen["orders"], seen["allowed_transitions"]) == (["ord-1-other"], ["confirm"])
    assert not {"text", "notice", "reasons", "filed_through", "pending_parties", "confirmed_parties"} & set(seen)
    assert (await bank.post(AT + "/obj-1-known/confirm")).json()["state"] == "completed"


async def test_whoever_ordered_it_does_not_decide_on_it(client: Client, services: Services):
    executed(services)
    bank = client("bank-001")
    at = f"{AT}/{(await bank.post(AT, json=WORDS)).json()['appeal_id']}"
    await bank.post(at + "/notice", json={"text": "已告知"})
    answer = await client("officer-7").post(at + "/reject", json={"reasons": "不成立"})
    assert said(answer) == (409, "conflict-of-interest")
    assert (await client("officer-2").post(at + "/reject", json={"reasons": "不成立"})).json()["state"] == "rejected"


async def test_an_agency_is_a_door_too(client: Client, services: Services, log: FakeLog):
    executed(services)
    lodged = (await client("officer-2").post(AT, json=WORDS)).json()
    assert (lodged["filed_through"], actions(log)[0].data.appeal.officer) == ("public-security-630202", "officer-2")


async def test_where_nothing_stands_there_is_nothing_to_object_to(client: Client, services: Services):
    put(services)
    assert said(await client("bank-001").post(AT, json=WORDS)) == (409, "nothing-to-appeal")


@pytest.mark.parametrize("move", ["notice", "confirm"])
async def test_an_appeal_of_others_does_not_exist(client: Client, services: Services, log: FakeLog, move: str):
    put(services, loop=True, institution="bank-003")
    body = {"text": "x"} if move == "notice" else {}
    party = client("bank-003")
    for who, slug in ((party, "unknown-appeal"), (client("bank-002"), "unknown-case")):
        assert said(await who.get(AT + "/obj-1-known")) == (404, slug)
        assert said(await who.post(f"{AT}/obj-1-known/{move}", json=body)) == (404, slug)
    assert said(await party.post(f"{AT}/obj-1-none/{move}", json=body)) == (404, "unknown-appeal")
    assert not log.all(CASE_COMMANDS)


@pytest.mark.parametrize("move", ["uphold", "reject", "release"])
async def test_an_institution_does_not_decide(client: Client, services: Services, log: FakeLog, move: str):
    put(services, loop=True)
    body = {} if move == "release" else {"reasons": "x"}
    assert said(await client("bank-001").post(f"{AT}/obj-1-known/{move}", json=body)) == (403, "forbidden")
    assert not log.all(CASE_COMMANDS)


async def test_a_move_that_is_not_open_names_those_that_are(client: Client, services: Services):
    put(services, loop=True)
    answer = await client("officer-2").post(AT + "/obj-1-known/uphold", json={"reasons": "x"})
    assert said(answer) == (409, "transition-not-allowed") and answer.json()["allowed_transitions"] == ["notice"]
    assert said(await client("officer-2").post(AT + "/obj-1-known/uphold", json={"reasons": ""})) == (422, "invalid-request")
    assert said(await client("bank-001").post(AT, json={"text": "长" * 701})) == (422, "invalid-request")
