"""Taking a signal back and correcting it over REST: one's own only, once, before or after it has come."""

from __future__ import annotations

import json

import pytest

from gateway.services import Services
from schemas.codec import decode
from schemas.signals.retraction import FOREVER
from schemas.topics import RETRACTIONS, SUBMITTED
from stream_processors.views.receipts import Receipt
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import T0, FakeLog, FakeViews, MemoryIdempotency, ndjson, signal
from tests.unit.gateway.test_signals import slug

WHY = {"reason": "客户核实为本人操作"}
BY_REFERENCE = {"reference": "ref-1", **WHY}


async def _sent(client: Client, institution: str = "bank-001", **changes: object) -> str:
    answer = await client(institution).post("/v1/signals", json=signal(**changes))
    assert answer.status_code == 202
    return str(answer.json()["signal_id"])


async def test_a_retraction_is_in_the_log_under_its_signal_and_its_reason_is_sealed(
    client: Client, log: FakeLog, services: Services
):
    name = await _sent(client)
    answer = await client().post(f"/v1/signals/{name}/retraction", json=WHY)
    assert answer.status_code == 202
    (entry,) = log.all(RETRACTIONS)
    envelope = decode(RETRACTIONS, entry.value)
    one = envelope.data
    assert (entry.key, one.signal_id, one.institution, one.below_version) == (name.encode(), name, "bank-001", FOREVER)
    assert (envelope.actor, envelope.subject, one.forwarded) == ("institution:bank-001", name, False)
    assert services.sealer.unseal(one.reason_sealed, f"{name}/retraction") == WHY["reason"]
    assert WHY["reason"].encode() not in entry.value
    assert answer.json()["signal_id"] == name
    assert services.places.open(answer.json()["receipt"]).topic == RETRACTIONS.name
    assert answer.headers["location"] == f"/v1/signals/{name}"


async def test_by_reference_it_may_come_before_its_signal(client: Client, log: FakeLog):
    told = (await client().post("/v1/retractions", json=BY_REFERENCE)).json()
    assert told["signal_id"] == await _sent(client)
    assert len(log.all(RETRACTIONS)) == len(log.all(SUBMITTED)) == 1


async def test_both_ways_are_one_retraction_and_the_same_body_gets_the_same_receipt(client: Client, log: FakeLog):
    name = await _sent(client)
    first = await client().post("/v1/retractions", json=BY_REFERENCE)
    for again in (
        await client().post("/v1/retractions", json=BY_REFERENCE),
        await client().post(f"/v1/signals/{name}/retraction", json=WHY),
    ):
        assert (again.status_code, again.json()) == (202, first.json())
        assert again.headers["idempotency-replayed"] == "true"
    assert len(log.all(RETRACTIONS)) == 1
    assert slug(await client().post("/v1/retractions", json={**BY_REFERENCE, "reason": "another"})) == "reference-reused"


async def test_the_signal_and_its_retraction_have_receipts_of_their_own(client: Client, services: Services):
    name = await _sent(client)
    await client().post("/v1/retractions", json=BY_REFERENCE)
    again = await client().post("/v1/signals", json=signal())
    assert (again.json()["signal_id"], services.places.open(again.json()["receipt"]).topic) == (name, SUBMITTED.name)


@pytest.mark.parametrize("body", [WHY, BY_REFERENCE])
async def test_anothers_signal_does_not_exist(client: Client, log: FakeLog, views: FakeViews, body: dict[str, str]):
    name = await _sent(client, "bank-001")
    views.receipts["sig-assessed"] = _receipt("sig-assessed", "bank-001")
    tries = [await client("bank-002").post(f"/v1/signals/{one}/retraction", json=body) for one in (name, "sig-assessed", "sig-x")]
    assert {(slug(one), one.text) for one in tries} == {("not-found", tries[0].text)}
    assert log.all(RETRACTIONS) == []


async def test_by_the_same_reference_another_institution_takes_back_a_signal_of_its_own(client: Client):
    name = await _sent(client, "bank-001")
    other = (await client("bank-002").post("/v1/retractions", json=BY_REFERENCE)).json()
    assert other["signal_id"] != name


async def test_a_signal_that_only_the_views_know_is_taken_back(client: Client, views: FakeViews):
    views.receipts["sig-old"] = _receipt("sig-old", "bank-001")
    assert (await client().post("/v1/signals/sig-old/retraction", json=WHY)).status_code == 202


async def test_with_its_reference_no_view_is_asked(client: Client, views: FakeViews, memory: MemoryIdempotency):
    name = await _sent(client)
    memory.held.clear()
    views.rebuilding = True
    assert slug(await client().post(f"/v1/signals/{name}/retraction", json=WHY)) == "views-rebuilding"
    assert (await client().post(f"/v1/signals/{name}/retraction", json=BY_REFERENCE)).status_code == 202


BAD = [{}, {"reason": ""}, {"reason": "x" * 1001}, {"reason": "x", "more": 1}, {"reason": "\ud800"}, []]


@pytest.mark.parametrize("body", BAD)
@pytest.mark.parametrize("path", ["/v1/retractions", "/v1/signals/sig-x/retraction"])
async def test_a_bad_body_is_refused(client: Client, log: FakeLog, body: object, path: str):
    raw = json.dumps({"reference": "r", **body} if isinstance(body, dict) and path == "/v1/retractions" else body)
    answer = await client().post(path, content=raw.encode(), headers={"content-type": "application/json"})
    assert answer.status_code in (404, 422) and slug(answer) in ("invalid-request", "not-found")
    assert log.all(RETRACTIONS) == []


async def test_without_the_brokers_word_there_is_no_receipt_and_the_retry_gets_one(client: Client, log: FakeLog):
    log.uncertain = True
    assert slug(await client().post("/v1/retractions", json=BY_REFERENCE)) == "log-unavailable"
    log.uncertain = False
    assert (await client().post("/v1/retractions", json=BY_REFERENCE)).status_code == 202


async def test_only_institutions_take_back(client: Client):
    for role in ("officer", "operator"):
        answer = await client("somebody", role=role).post("/v1/retractions", json=BY_REFERENCE)
        assert (answer.status_code, slug(answer)) == (403, "forbidden")


async def test_a_correction_is_a_newer_version_of_the_same_signal(client: Client, log: FakeLog):
    name = await _sent(client)
    better = signal(version=2, amount={"minor": 5})
    answer = await client().post(f"/v1/signals/{name}/correction", json=better)
    assert (answer.status_code, answer.json()["signal_id"]) == (202, name)
    first, second = (decode(SUBMITTED, entry.value).data for entry in log.all(SUBMITTED))
    assert (first.signal_id, first.version, second.signal_id, second.version) == (name, 1, name, 2)
    assert (await client().post("/v1/signals", json=better)).json() == answer.json(), "a version may come as any signal does"
    assert slug(await client().post("/v1/signals", json=signal(version=2, amount={"minor": 6}))) == "reference-reused"
    assert (await client().post("/v1/signals", json=signal())).json()["receipt"] != answer.json()["receipt"]


async def test_a_correction_needs_a_higher_version_and_the_signals_own_reference(client: Client, log: FakeLog):
    name = await _sent(client)
    low = await client().post(f"/v1/signals/{name}/correction", json=signal())
    assert (slug(low), low.json()["errors"][0]["pointer"]) == ("invalid-signal", "/version")
    for who, body in (("bank-001", signal("ref-2", version=2)), ("bank-002", signal(version=2))):
        assert slug(await client(who).post(f"/v1/signals/{name}/correction", json=body)) == "not-found"
    assert slug(await client().post(f"/v1/signals/{name}/correction", json=signal(version=17))) == "invalid-signal"
    assert len(log.all(SUBMITTED)) == 1


async def test_the_versions_of_a_batch_are_signals_of_their_own(client: Client, log: FakeLog):
    lines = ndjson(signal(), signal(version=2, region="630203"), signal(version=2, region="630203"), signal(version=2))
    answer = await client().post("/v1/signals/batch", content=lines, headers={"content-type": "application/x-ndjson"})
    statuses = [json.loads(line)["status"] for line in answer.content.splitlines()]
    assert (statuses, len(log.all(SUBMITTED))) == ([202, 202, 202, 422], 2)


async def test_the_sender_reads_that_it_was_taken_back(client: Client, views: FakeViews):
    gone = {"outcome": "retracted", "retracted_at": T0, "version": 2}
    views.receipts["sig-1"] = _receipt("sig-1", "bank-001").model_copy(update=gone)
    told = (await client().get("/v1/signals/sig-1")).json()
    assert (told["outcome"], told["retracted_at"], told["version"]) == ("retracted", "2026-03-02T08:00:00Z", 2)


def _receipt(name: str, institution: str) -> Receipt:
    return Receipt(
        signal_id=name,
        outcome="assessed",
        accepted_at=T0,
        assessed_at=T0,
        institution=institution,
        score=50,
        severity="medium",
    )
