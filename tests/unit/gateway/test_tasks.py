"""Dissuasions over HTTP: asked by an officer, worked on by one of those who can reach the person, in its own name."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.services import Services
from schemas.topics import CASE_COMMANDS
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import QUEUE, FakeLog, FakeViews
from tests.unit.gateway.loop import HELD, actions, put, said

ASK: dict[str, Any] = {
    "person": {"kind": "phone", "value": "139 0000 5678"},
    "reachable_by": [
        {"party": "bank-001", "party_type": "bank"},
        {"party": "police-station-ledu", "party_type": "police_station"},
    ],
}
TRY: dict[str, Any] = {
    "channel": "call",
    "done_at": "2026-03-02T08:00:00Z",
    "result": "not_reached",
    "caller": "李经理",
    "conversation": "无人接听",
}
KNOWN = "/v1/dissuasions/dissuasion-1-known"
STATION = ["police-station-ledu"]


async def test_a_dissuasion_is_asked_with_the_person_sealed_and_whoever_reaches_them_reads_it(
    client: Client, services: Services, log: FakeLog
):
    put(services, **HELD)
    asked = (await client("officer-1").post("/v1/cases/case-1/dissuasions", json=ASK)).json()
    assert (asked["state"], asked["person"]["role"], [one["party"] for one in asked["reachable_by"]]) == (
        "open",
        "victim",
        ["bank-001", "police-station-ledu"],
    )
    assert b"13900005678" not in log.all(CASE_COMMANDS)[0].value
    read = (await client("bank-001").get(f"/v1/dissuasions/{asked['dissuasion_id']}")).json()
    assert (read["person"]["value"], read["allowed_transitions"], read["taken"]) == (
        "+8613900005678",
        ["take", "attempts"],
        False,
    )
    assert "reachable_by" not in read


async def test_one_takes_it_and_the_other_learns_that_somebody_works_on_it_but_not_who(client: Client, services: Services):
    put(services, loop=True)
    bank, police = client("bank-001"), client("officer-5", queues=STATION)
    taken = (await bank.post(KNOWN + "/take")).json()
    assert (taken["state"], taken["taken_by"]) == ("taken", "bank-001")
    refused = await police.post(KNOWN + "/attempts", json=TRY)
    assert said(refused) == (409, "dissuasion-taken")
    assert (await bank.post(KNOWN + "/give-back")).json()["state"] == "open"
    taken = (await police.post(KNOWN + "/take")).json()
    assert taken["taken_by"] == "police-station-ledu"
    seen = (await bank.get(KNOWN)).json()
    assert seen["taken"] and "taken_by" not in seen


async def test_what_was_tried_is_sealed_and_another_party_does_not_read_it(client: Client, services: Services, log: FakeLog):
    put(services, loop=True)
    bank = client("bank-001")
    tried = (await bank.post(KNOWN + "/attempts", json=TRY)).json()
    assert [(one["caller"], one["conversation"], one["party_type"]) for one in tried["attempts"]] == [
        ("李经理", "无人接听", "bank")
    ]
    assert "李经理".encode() not in log.all(CASE_COMMANDS)[0].value
    await bank.post(KNOWN + "/give-back")
    police = (await client("officer-5", queues=STATION).get(KNOWN)).json()
    assert (police["attempt_count"], len(police["attempts"])) == (1, 1), "officers read what was tried"
    assert (await client("officer-1").get(KNOWN)).json()["attempts"][0]["conversation"] == "无人接听"
    views: FakeViews = services.views  # type: ignore[assignment]
    case = views.cases["case-1"]
    reach = (
        *case.dissuasions[0].reachable_by,
        case.dissuasions[0].reachable_by[0].model_copy(update={"party": "telecom-001", "party_type": "telecom"}),
    )
    views.cases["case-1"] = case.model_copy(
        update={"dissuasions": (case.dissuasions[0].model_copy(update={"reachable_by": reach}),)}
    )
    other = (await client("telecom-001").get(KNOWN)).json()
    assert (other["attempt_count"], other["attempts"]) == (1, [])


async def test_a_convinced_person_ends_it_with_what_was_saved(client: Client, services: Services, log: FakeLog):
    put(services, loop=True)
    body = {**TRY, "result": "convinced", "prevented_loss_minor": 500}
    done = (await client("bank-001").post(KNOWN + "/attempts", json=body)).json()
    assert (done["state"], done["outcome"], done["prevented_loss_minor"], done["currency"], done["allowed_transitions"]) == (
        "dissuaded",
        "dissuaded",
        500,
        "CNY",
        [],
    )
    assert actions(log)[0].data.dissuasion.kind == "succeed"


async def test_giving_up_says_why_and_an_officer_of_the_case_calls_it_off(client: Client, services: Services):
    put(services, 1, loop=True)
    put(services, 2, loop=True)
    bank = client("bank-001")
    await bank.post(KNOWN + "/take")
    assert said(await bank.post(KNOWN + "/give-up")) == (422, "invalid-request")
    assert (await bank.post(KNOWN + "/give-up", json={"outcome": "paid"})).json()["state"] == "not_dissuaded"
    second = "/v1/dissuasions/dissuasion-2-known/cancel"
    assert said(await bank.post(second)) == (403, "forbidden")
    assert said(await client("officer-5", queues=STATION).post(second)) == (404, "unknown-dissuasion")
    assert (await client("officer-1").post(second)).json()["state"] == "cancelled"


@pytest.mark.parametrize("move", ["take", "give-back", "attempts", "give-up"])
async def test_a_dissuasion_of_others_does_not_exist(client: Client, services: Services, log: FakeLog, move: str):
    put(services, loop=True)
    body = {"attempts": TRY, "give-up": {"outcome": "paid"}}.get(move, {})
    for who in (client("bank-002"), client("officer-9", queues=["financial-regulator-630200"])):
        for name in ("dissuasion-1-known", "dissuasion-9-known", "dissuasion-1-x", "ord-1-known", "dissuasion"):
            assert said(await who.post(f"/v1/dissuasions/{name}/{move}", json=body)) == (404, "unknown-dissuasion")
            assert said(await who.get(f"/v1/dissuasions/{name}")) == (404, "unknown-dissuasion")
    assert not log.all(CASE_COMMANDS)


async def test_an_officer_acts_for_a_unit_of_his_token_alone(client: Client, services: Services, log: FakeLog):
    """The officer of the case reaches nobody: he asks and calls off."""
    put(services, loop=True)
    assert said(await client("officer-1", queues=[QUEUE]).post(KNOWN + "/attempts", json=TRY)) == (403, "forbidden")
    assert said(await client("officer-1", queues=[QUEUE]).post(KNOWN + "/take")) == (409, "transition-not-allowed")
    await client("officer-5", queues=STATION).post(KNOWN + "/take")
    assert [one.data.dissuasion.unit for one in actions(log)] == [None, "police-station-ledu"]


@pytest.mark.parametrize("queues", [["*"], ["bank-*"], ["bank-001"], ["bank-001", "police-*"]])
async def test_no_officer_acts_as_an_institution_whatever_his_token_may_work_on(
    client: Client, services: Services, log: FakeLog, queues: list[str]
):
    put(services, loop=True)
    officer, sees = client("officer-5", queues=queues), queues == ["*"]
    assert (await officer.get(KNOWN)).status_code == (200 if sees else 404)
    assert said(await officer.post(KNOWN + "/attempts", json=TRY)) == (
        (403, "forbidden") if sees else (404, "unknown-dissuasion")
    )
    await officer.post(KNOWN + "/take")
    assert all(one.data.dissuasion.unit is None for one in actions(log))


async def test_a_unit_of_a_prefix_in_the_token_acts_and_is_told_apart_from_a_bank_before_it(
    client: Client, services: Services, log: FakeLog
):
    put(services, loop=True)
    views: FakeViews = services.views  # type: ignore[assignment]
    case = views.cases["case-1"]
    reach = (
        case.dissuasions[0].reachable_by[0],
        case.dissuasions[0].reachable_by[1].model_copy(update={"party": "police-station-630202"}),
    )
    views.cases["case-1"] = case.model_copy(
        update={"dissuasions": (case.dissuasions[0].model_copy(update={"reachable_by": reach}),)}
    )
    await client("officer-5", queues=["*"]).post(KNOWN + "/take")
    assert [one.data.dissuasion.unit for one in actions(log)] == ["police-station-630202"]


@pytest.mark.parametrize(
    "body",
    [
        {**ASK, "reachable_by": []},
        {**ASK, "reachable_by": [ASK["reachable_by"][0]] * 2},
        {**ASK, "reachable_by": [{"party": f"bank-{n:03}", "party_type": "bank"} for n in range(9)]},
        {**ASK, "person": {"kind": "phone", "value": "1"}},
        {**ASK, "agency": "bank-001"},
        {},
    ],
)
async def test_a_dissuasion_that_is_not_valid_is_422(client: Client, services: Services, log: FakeLog, body: Any):
    put(services, **HELD)
    answer = await client("officer-1").post("/v1/cases/case-1/dissuasions", json=body)
    assert said(answer) == (422, "invalid-request") and not log.all(CASE_COMMANDS)
