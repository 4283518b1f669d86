"""Search by an indicator: through its token, in one's own queues, audited without the value."""

from __future__ import annotations

import json
import logging

import pytest

from gateway.http.problem_table import TYPE_PREFIX
from gateway.services import Services
from schemas.cases.case import CaseStatus
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import T0, FakeViews, a_case

ELSEWHERE = "financial-regulator-630200"


@pytest.fixture(autouse=True)
def cases(services: Services, views: FakeViews) -> None:
    """case-1 has account …0001; case-2 the same account in another queue; case-3 is disposed of."""
    one = a_case(services.tokenizer, services.sealer, 1)
    two = one.model_copy(update={"case_id": "case-2", "queue": ELSEWHERE})
    three = one.model_copy(update={"case_id": "case-3", "status": CaseStatus.DISPOSED, "changed_at": T0.replace(year=2027)})
    views.cases = {case.case_id: case for case in (one, two, three)}


def found(answer) -> list[str]:
    return [case["case_id"] for case in answer.json()["cases"]]


async def test_any_spelling_of_an_indicator_finds_its_cases_disposed_ones_too(client: Client):
    officer = client("officer-1", queues=["public-security-*"])
    answer = await officer.post("/v1/search", json={"kind": "account", "value": "6222-0210 0100 001"})
    assert answer.status_code == 200
    assert found(answer) == ["case-3", "case-1"]
    assert answer.json()["cases"][1]["primary_subject"]["value"] == "622202100100001" and answer.json()["has_more"] is False
    nothing = await officer.post("/v1/search", json={"kind": "account", "value": "6222021001009999"})
    assert found(nothing) == [] and "token" not in nothing.json(), "a token says which account a trail withholds"


async def test_an_officer_finds_cases_of_his_own_queues_only(client: Client):
    body = {"kind": "account", "value": "622202100100001"}
    assert found(await client("officer-2", queues=[ELSEWHERE]).post("/v1/search", json=body)) == ["case-2"]
    assert found(await client("officer-3", queues=["nothing"]).post("/v1/search", json=body)) == []
    everything = client("officer-4")
    assert set(found(await everything.post("/v1/search", json=body))) == {"case-1", "case-2", "case-3"}
    assert found(await everything.post("/v1/search", json={**body, "queue": ELSEWHERE})) == ["case-2"]
    limited = await everything.post("/v1/search", json={**body, "limit": 1})
    assert len(found(limited)) == 1 and limited.json()["has_more"] is True


async def test_another_queue_is_403_and_an_institution_may_not_search(client: Client):
    body = {"kind": "account", "value": "622202100100001"}
    stranger = await client("officer-3", queues=["nothing"]).post("/v1/search", json={**body, "queue": ELSEWHERE})
    assert stranger.status_code == (await client("bank-001").post("/v1/search", json=body)).status_code == 403
    assert (await client(None).post("/v1/search", json=body)).status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"kind":"phone","value":"not a phone"}',
        b'{"kind":"soul","value":"13800001234"}',
        b'{"kind":"account","value":"622202100100001","limit":51}',
        b'{"kind":"account","value":"622202100100001","more":1}',
        b'{"kind":"url","value":"http://a.example/\\ud800"}',
        b'["account"]',
        b"\xff",
    ],
)
async def test_what_cannot_be_searched_for_is_422_and_repeats_nothing(client: Client, body: bytes):
    answer = await client("officer-1").post("/v1/search", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["type"] == TYPE_PREFIX + "invalid-request"
    assert "not a phone" not in answer.text


async def test_a_search_is_audited_with_the_token_and_without_the_value(client: Client, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "liandong.audit")
    answer = await client("officer-1").post("/v1/search", json={"kind": "account", "value": "622202100100001"})
    (record,) = [record for record in caplog.records if record.name == "liandong.audit"]
    line = json.loads(record.message)
    assert (line["who"], line["what"], line["token"], line["found"]) == ("officer-1", "search", answer.json()["token"], 3)
    assert "622202100100001" not in caplog.text


async def test_views_that_are_rebuilt_give_503(client: Client, views: FakeViews):
    views.rebuilding = True
    answer = await client("officer-1").post("/v1/search", json={"kind": "account", "value": "622202100100001"})
    assert (answer.status_code, answer.json()["type"]) == (503, TYPE_PREFIX + "views-rebuilding")


async def test_an_answer_says_that_what_was_searched_is_a_hub_and_links_nothing(client: Client, views: FakeViews):
    """A listed one by its value; a measured one by the cases where it was one."""
    case = views.cases["case-1"]
    (signal, *_), account = case.signals, {"kind": "account", "value": "622202100100001"}
    searching = client("officer-1", queues=["public-security-*"])
    assert (await searching.post("/v1/search", json=account)).json()["hub"] is False
    assert (await searching.post("/v1/search", json={"kind": "phone", "value": "955 88"})).json()["hub"] is True
    marked = tuple(one.model_copy(update={"hub": "measured"}) for one in signal.subjects)
    views.cases["case-1"] = case.model_copy(update={"signals": (signal.model_copy(update={"subjects": marked}),)})
    answer = await searching.post("/v1/search", json=account)
    assert answer.json()["hub"] is True and found(answer) == ["case-3", "case-1"], "it is found all the same"
    shown = (await searching.get("/v1/cases/case-1")).json()
    assert {one["hub"] for one in shown["signals"][0]["subjects"]} == {True}
