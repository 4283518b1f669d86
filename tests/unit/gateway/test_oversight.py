"""The appraisal over HTTP: what the coordination body may do, what a unit's officer, and who sees what; and campaigns."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from deploy.local.tokens import mint
from gateway.settings import GatewaySettings
from schemas.codec import decode
from schemas.scorecards import CardKind
from schemas.security.signing import Ed25519Signer, load_or_create
from schemas.topics import APPRAISAL_COMMANDS
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import QUEUE, FakeLog, FakeViews, MemoryIdempotency

OTHER = "financial-regulator-630200"
YEAR = "/v1/appraisals/2025"
PAPER = "海平办〔2026〕7号"
LATER = "2026-03-20T00:00:00Z"
ISSUE = {"unit": QUEUE, "kind": "listed", "reason": "data_omitted", "answer_by": LATER, "document_number": PAPER}
ASK = {"unit": QUEUE, "due_at": LATER, "document_number": PAPER}


@pytest.fixture
def body(client: Client) -> httpx.AsyncClient:
    return client("coordinator-1")


@pytest.fixture
def unit(client: Client) -> httpx.AsyncClient:
    return client("officer-1", queues=[QUEUE])


@pytest.fixture
def stranger(client: Client) -> httpx.AsyncClient:
    return client("officer-9", queues=[OTHER])


@pytest.fixture(autouse=True)
def signer(views: FakeViews, settings: GatewaySettings) -> None:
    views.signer = Ed25519Signer(load_or_create(settings.signing_path))


def slug(answer: httpx.Response) -> str:
    return answer.json()["type"].rpartition(":")[2]


async def test_a_year_goes_from_open_to_locked_and_its_signature_holds(body, unit, stranger, views: FakeViews):
    views.books[CardKind.UNIT, "2025"] = {QUEUE: {"cases": 2, "acknowledge_late": 3}, OTHER: {"cases": 40}}
    assert (await body.post(f"{YEAR}/open")).json()["state"] == "open"
    published = (await body.post(f"{YEAR}/publish", json={"disputes_until": LATER})).json()
    assert {one["unit"]: one["figures"]["cases"] for one in published["results"]} == {QUEUE: 2, OTHER: 40}, "nothing is hidden"
    wrong = {"unit": QUEUE, "figure": "acknowledge_late", "claimed_value": 1, "ground": "system_down", "document_number": "A-1"}
    told = (await unit.post(f"{YEAR}/disputes", json=wrong)).json()
    (dispute,) = told["disputes"]
    assert [one["unit"] for one in told["results"]] == [QUEUE] and dispute["published_value"] == 3
    assert (await stranger.get(YEAR)).json()["disputes"] == []
    decided = f"{YEAR}/disputes/{dispute['dispute_id']}/decide"
    ruled = (await body.post(decided, json={"ruling": "upheld", "ruled_value": 1})).json()
    assert ruled["state"] == "decided"
    assert slug(await body.post(f"{YEAR}/lock")) == "transition-not-allowed", "figures may still be disputed"
    views.now = views.now.replace(day=21)
    locked = (await body.post(f"{YEAR}/lock", json={"revision": ruled["revision"]})).json()
    assert locked["state"] == "locked" and locked["verified"] is True and locked["allowed_transitions"] == []
    keys = (await unit.get("/v1/appraisals/keys")).json()["keys"]
    assert [key["kid"] for key in keys] == [locked["lock"]["key_id"]] and "d" not in keys[0]
    views.records["appraisal:2025"] = views.records["appraisal:2025"].model_copy(update={"results": ()})
    assert (await body.get(YEAR)).json()["verified"] is False
    assert slug(await body.post(f"{YEAR}/publish", json={"disputes_until": LATER})) == "transition-not-allowed"


async def test_a_measure_is_issued_answered_and_lifted_and_a_missed_deadline_is_seen(body, unit, stranger, views: FakeViews):
    issued = (await body.post("/v1/supervisions", json=ISSUE)).json()
    where = f"/v1/supervisions/{issued['supervision_id']}"
    assert (issued["state"], issued["body"], issued["overdue"]) == ("overdue", "coordination-630200", True), "by the wall clock"
    assert (await stranger.get(where)).status_code == 404
    assert (await stranger.post(f"{where}/answer", json={"document_number": "A-1"})).status_code == 404
    assert [one["supervision_id"] for one in (await unit.get("/v1/supervisions")).json()["supervisions"]] == [
        issued["supervision_id"]
    ]
    assert (await stranger.get("/v1/supervisions")).json() == {"supervisions": []}
    answered = (await unit.post(f"{where}/answer", json={"document_number": "A-1", "revision": 1})).json()
    assert (answered["state"], answered["late"]) == ("answered", False)
    assert slug(await unit.post(f"{where}/answer", json={"document_number": "A-2", "revision": 1})) == "stale-revision"
    back = (await body.post(f"{where}/return", json={"answer_by": "2026-04-20T00:00:00Z"})).json()
    assert back["return_count"] == 1
    views.now = views.now.replace(month=5)
    late = (await unit.post(f"{where}/answer", json={"document_number": "A-2"})).json()
    assert (late["late"], late["missed_deadlines"]) == (True, 1)
    assert (await body.post(f"{where}/accept")).json()["state"] == "lifted"
    refused = await body.post(f"{where}/withdraw")
    assert (refused.status_code, slug(refused)) == (409, "transition-not-allowed")


async def test_data_are_asked_for_handed_in_and_found_wanting(body, unit, stranger):
    asked = (await body.post("/v1/data-requests", json=ASK)).json()
    where = f"/v1/data-requests/{asked['request_id']}"
    assert (await stranger.post(f"{where}/submit", json={"document_number": "B-1"})).status_code == 404
    assert (await unit.post(f"{where}/submit", json={"document_number": "B-1"})).json()["state"] == "submitted"
    found = (await body.post(f"{where}/record-finding", json={"finding": "concealed"})).json()
    assert (found["state"], found["finding"]) == ("finding_recorded", "concealed")
    assert (await body.post(f"{where}/clear-finding")).json()["state"] == "submitted"
    listed = (await unit.get("/v1/data-requests", params={"state": "submitted"})).json()["data_requests"]
    assert [one["request_id"] for one in listed] == [asked["request_id"]]
    assert (await unit.get("/v1/data-requests", params={"unit": OTHER})).json() == {"data_requests": []}


@pytest.mark.parametrize(
    "subject, path, sent",
    [
        ("officer-1", "/v1/supervisions", ISSUE),
        ("regulator-1", "/v1/supervisions", ISSUE),
        ("bank-001", "/v1/data-requests", ASK),
        ("coordinator-1", f"{YEAR}/disputes", {}),
        ("officer-1", f"{YEAR}/lock", {}),
        ("coordinator-1", "/v1/campaigns", {"held_at": LATER, "people_reached": 1}),
    ],
)
async def test_who_may_not_is_told_so_and_nothing_is_in_the_log(client: Client, log: FakeLog, subject: str, path: str, sent: Any):
    answer = await client(subject).post(path, json=sent)
    assert (answer.status_code, slug(answer)) == (403, "forbidden")
    assert log.all(APPRAISAL_COMMANDS) == []


@pytest.mark.parametrize(
    "path, sent",
    [
        ("/v1/supervisions", {**ISSUE, "document_number": "张三 138 0000 1234"}),
        ("/v1/supervisions", {**ISSUE, "reason": "because"}),
        ("/v1/supervisions", {**ISSUE, "note": "free text"}),
        ("/v1/supervisions", {**ISSUE, "answer_by": "2026-03-01T00:00:00Z"}),
        ("/v1/data-requests", {**ASK, "unit": "张三"}),
        (f"{YEAR}/publish", {"disputes_until": LATER, "results": [{"unit": QUEUE, "figures": {"reports": 3}}]}),
    ],
)
async def test_what_cannot_be_is_refused_with_422(body, path: str, sent: Any):
    await body.post(f"{YEAR}/open")
    answer = await body.post(path, json=sent)
    assert (answer.status_code, slug(answer)) == (422, "invalid-request")


async def test_a_retry_with_the_same_key_is_the_same_request(body, log: FakeLog):
    key = {"Idempotency-Key": "k-1"}
    first = (await body.post("/v1/supervisions", json=ISSUE, headers=key)).json()
    again = (await body.post("/v1/supervisions", json=ISSUE, headers=key)).json()
    assert first == again and len(log.all(APPRAISAL_COMMANDS)) == 1
    other = await body.post("/v1/supervisions", json={**ISSUE, "kind": "circular"}, headers=key)
    assert (other.status_code, slug(other)) == (422, "reference-reused")


async def test_what_is_not_decided_yet_is_202_and_never_without_the_log(body, log: FakeLog, memory: MemoryIdempotency):
    log.told = None
    answer = await body.post("/v1/data-requests", json=ASK)
    (entry,) = log.all(APPRAISAL_COMMANDS)
    envelope = decode(APPRAISAL_COMMANDS, entry.value)
    assert answer.status_code == 202 and answer.headers["location"] == f"/v1/data-requests/{envelope.data.data.request_id}"
    assert (envelope.actor, entry.key) == ("officer:coordinator-1", envelope.data.about.encode())
    log.away = True
    assert slug(await body.post("/v1/data-requests", json=ASK)) == "log-unavailable"
    memory.away = True
    assert (await body.post("/v1/data-requests", json=ASK)).status_code == 503


@pytest.mark.parametrize(
    "path", ["/v1/appraisals/1999", "/v1/appraisals/20x5", YEAR, "/v1/supervisions/x", "/v1/data-requests/x"]
)
async def test_what_is_not_there_is_404(body, path: str):
    assert (await body.get(path)).status_code == 404


async def test_an_institution_tells_of_a_campaign_corrects_it_and_takes_it_back(client: Client, log: FakeLog):
    bank, other = client("bank-001"), client("bank-002")
    told = (await bank.post("/v1/campaigns", json={"held_at": "2026-02-20T02:00:00Z", "people_reached": 900})).json()
    where = f"/v1/campaigns/{told['campaign_id']}"
    assert (await bank.get(where)).json() == told
    assert (await other.get(where)).status_code == 404
    assert (
        await other.post(f"{where}/correct", json={"held_at": "2026-02-20T02:00:00Z", "people_reached": 1})
    ).status_code == 404
    corrected = (await bank.post(f"{where}/correct", json={"held_at": "2026-02-20T02:00:00Z", "people_reached": 800})).json()
    assert (corrected["revision"], corrected["people_reached"]) == (2, 800)
    assert (await bank.post(f"{where}/withdraw")).json()["withdrawn"] is True
    future = await bank.post("/v1/campaigns", json={"held_at": "2026-05-20T02:00:00Z", "people_reached": 900})
    assert (future.status_code, slug(future)) == (422, "invalid-request")
    assert decode(APPRAISAL_COMMANDS, log.all(APPRAISAL_COMMANDS)[0].value).actor == "institution:bank-001"


def test_tokens_of_the_coordination_body_are_minted(home):
    assert mint("coordinator-1", home=home, profile="unit")
