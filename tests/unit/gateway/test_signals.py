"""One signal over REST: accepted once, answered the same ever after, refused with a reason, never a false 202."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack

import pytest

from gateway.http.problem_table import TYPE_PREFIX
from gateway.services import Services
from schemas.codec import decode
from schemas.signals.assessed import AssessOutcome
from schemas.topics import SUBMITTED
from stream_processors.views.receipts import Receipt
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import T0, FakeLog, FakeViews, MemoryIdempotency, ndjson, signal


def slug(response) -> str:
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == response.status_code
    return body["type"].removeprefix(TYPE_PREFIX)


async def test_an_accepted_signal_is_in_the_log_under_its_subject_and_its_sender(client: Client, log: FakeLog):
    answer = await client("bank-001").post("/v1/signals", json=signal())
    assert answer.status_code == 202
    (entry,) = log.all(SUBMITTED)
    envelope = decode(SUBMITTED, entry.value)
    assert entry.key == envelope.data.primary.token.encode()
    assert (envelope.actor, envelope.source) == ("institution:bank-001", "/gateway")
    assert envelope.id == envelope.subject == envelope.data.signal_id == answer.json()["signal_id"]
    assert b"6222" not in entry.value and "冒充".encode() not in entry.value


async def test_the_receipt_tells_the_brokers_time_and_to_the_operator_the_place(client: Client, services: Services):
    body = (await client().post("/v1/signals", json=signal())).json()
    assert body["status"] == "accepted"
    assert body["accepted_at"] == "2026-03-02T08:00:00.001Z"
    place = services.places.open(body["receipt"])
    assert (place.topic, place.offset) == (SUBMITTED.name, 0)
    assert body["links"]["self"] == f"/v1/signals/{body['signal_id']}"


async def test_the_same_body_again_gets_the_same_receipt_and_nothing_is_appended(client: Client, log: FakeLog):
    first = await client().post("/v1/signals", json=signal())
    again = await client().post("/v1/signals", json=signal())
    assert (again.status_code, again.json()) == (202, first.json())
    assert again.headers["idempotency-replayed"] == "true" and "idempotency-replayed" not in first.headers
    assert len(log.all(SUBMITTED)) == 1


async def test_the_same_body_in_another_spelling_is_the_same_body(client: Client, log: FakeLog):
    first = await client().post("/v1/signals", json=signal())
    spelt = signal(occurred_at="2026-03-02T07:58:00Z")
    spelt["indicators"][1]["value"] = "+86 138 0000 1234"
    assert (await client().post("/v1/signals", json=spelt)).json() == first.json()
    assert len(log.all(SUBMITTED)) == 1


async def test_another_body_under_the_same_reference_is_refused(client: Client, log: FakeLog):
    await client().post("/v1/signals", json=signal())
    other = await client().post("/v1/signals", json=signal(narrative="another"))
    assert (other.status_code, slug(other)) == (422, "reference-reused")
    assert len(log.all(SUBMITTED)) == 1


async def test_two_institutions_may_use_one_reference(client: Client, log: FakeLog):
    answers = [await client(name).post("/v1/signals", json=signal()) for name in ("bank-001", "bank-002")]
    assert [answer.status_code for answer in answers] == [202, 202]
    assert answers[0].json()["signal_id"] != answers[1].json()["signal_id"]


async def test_an_idempotency_key_stands_in_for_a_reference(client: Client, log: FakeLog, services: Services):
    headers = {"Idempotency-Key": "k-1"}
    first = await client().post("/v1/signals", json=signal(None), headers=headers)
    again = await client().post("/v1/signals", json=signal(None), headers=headers)
    other = await client().post("/v1/signals", json=signal(None, region="630203"), headers=headers)
    assert first.status_code == 202 and again.json() == first.json() and slug(other) == "reference-reused"
    (entry,) = log.all(SUBMITTED)
    written = decode(SUBMITTED, entry.value).data
    assert services.sealer.unseal(written.reference_sealed, f"{written.signal_id}/reference") == "key:k-1"
    assert b"k-1" not in entry.value


async def test_a_reference_is_sealed_in_the_log_and_a_repeat_is_known_all_the_same(client: Client, log: FakeLog):
    body = signal("WANG-XIAOMING-13800001234")
    first, again = [await client().post("/v1/signals", json=body) for _ in range(2)]
    assert (first.status_code, again.json()) == (202, first.json())
    (entry,) = log.all(SUBMITTED)
    assert b"XIAOMING" not in entry.key + entry.value


async def test_without_reference_and_key_the_answer_says_to_give_one(client: Client):
    answer = await client().post("/v1/signals", json=signal(None))
    assert (answer.status_code, slug(answer)) == (422, "reference-missing")
    assert "Idempotency-Key" in answer.json()["detail"]


async def test_with_both_the_reference_names_the_signal_and_both_are_remembered(client: Client, log: FakeLog):
    headers = {"Idempotency-Key": "k-1"}
    first = await client().post("/v1/signals", json=signal("a"), headers=headers)
    by_reference = await client().post("/v1/signals", json=signal("a"))
    other_reference = await client().post("/v1/signals", json=signal("b"), headers=headers)
    new_key = await client().post("/v1/signals", json=signal("a"), headers={"Idempotency-Key": "k-2"})
    with_new_key = await client().post("/v1/signals", json=signal("c"), headers={"Idempotency-Key": "k-2"})
    assert by_reference.json() == new_key.json() == first.json()
    assert slug(other_reference) == slug(with_new_key) == "reference-reused"
    assert len(log.all(SUBMITTED)) == 1
    assert (await client().post("/v1/signals", json=signal("b"))).status_code == 202


@pytest.mark.parametrize("key", ["", "with space", "x" * 125, "ключ".encode()])
async def test_a_key_that_cannot_be_a_reference_is_refused(client: Client, key: str | bytes):
    answer = await client().post("/v1/signals", json=signal(None), headers=[(b"idempotency-key", key)])  # type: ignore[list-item]
    assert (answer.status_code, slug(answer)) == (422, "reference-missing")


async def test_of_many_at_once_one_is_appended_and_the_others_wait_or_get_its_receipt(client: Client, log: FakeLog):
    log.gate = asyncio.Event()
    sender = client()
    first = asyncio.create_task(sender.post("/v1/signals", json=signal()))
    await asyncio.sleep(0.05)
    second = await sender.post("/v1/signals", json=signal())
    assert (second.status_code, slug(second), second.headers["retry-after"]) == (409, "request-in-progress", "1")
    log.gate.set()
    assert (await first).status_code == 202
    assert (await sender.post("/v1/signals", json=signal())).json() == (await first).json()
    answers = await asyncio.gather(*(sender.post("/v1/signals", json=signal("race")) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {202, 409} and len(log.all(SUBMITTED)) == 2


async def test_a_broker_that_is_away_gives_503_and_the_retry_is_not_in_flight(client: Client, log: FakeLog):
    log.fails_after = 0
    answer = await client().post("/v1/signals", json=signal(), headers={"Idempotency-Key": "k"})
    assert (answer.status_code, slug(answer)) == (503, "log-unavailable") and int(answer.headers["retry-after"]) > 0
    log.fails_after = None
    assert (await client().post("/v1/signals", json=signal(), headers={"Idempotency-Key": "k"})).status_code == 202


async def test_without_a_connection_nothing_is_tried(client: Client, log: FakeLog):
    log.away = True
    answer = await client().post("/v1/signals", json=signal())
    assert (answer.status_code, slug(answer), log.appends) == (503, "log-unavailable", 0)


async def test_a_lost_acknowledgement_is_no_receipt_and_the_retry_is_appended_under_the_same_id(client: Client, log: FakeLog):
    log.uncertain = True
    answer = await client().post("/v1/signals", json=signal())
    assert answer.status_code == 503 and "nothing counts twice" in answer.json()["detail"]
    log.uncertain = False
    again = await client().post("/v1/signals", json=signal())
    assert again.status_code == 202
    assert {decode(SUBMITTED, entry.value).id for entry in log.all(SUBMITTED)} == {again.json()["signal_id"]}


async def test_redis_away_gives_503_before_anything_is_appended(client: Client, log: FakeLog, memory: MemoryIdempotency):
    memory.away = True
    answer = await client().post("/v1/signals", json=signal())
    assert (answer.status_code, slug(answer), log.appends) == (503, "state-unavailable", 0)


async def test_redis_lost_after_the_append_is_still_202_because_it_is_in_the_log(client: Client, memory: MemoryIdempotency):
    memory.fails_finish = True
    assert (await client().post("/v1/signals", json=signal())).status_code == 202


async def test_too_far_behind_gives_503(client: Client, services: Services, log: FakeLog):
    services.lag.set(services.settings.lag_limit + 1)
    answer = await client().post("/v1/signals", json=signal())
    assert (answer.status_code, slug(answer), log.appends) == (503, "overloaded", 0)


async def test_whoever_floods_waits_from_half_of_the_limit_on_and_the_others_do_not(client: Client, services: Services):
    flooding, other = client("bank-001"), client("bank-002")
    assert (await flooding.post("/v1/signals", json=signal("first"))).status_code == 202
    services.lag.set(services.settings.lag_limit // 2 + 1)
    answer = await flooding.post("/v1/signals", json=signal("second"))
    assert (answer.status_code, slug(answer)) == (503, "overloaded") and "Retry-After" in answer.headers
    assert (await other.post("/v1/signals", json=signal("third"))).status_code == 202
    services.lag.set(services.settings.lag_limit // 2)
    assert (await flooding.post("/v1/signals", json=signal("second"))).status_code == 202


async def test_no_more_batches_are_read_at_once_than_the_limit(client: Client, services: Services):
    headers, limit = {"content-type": "application/x-ndjson"}, services.settings.batches_limit
    with ExitStack() as others:
        for n in range(limit - 1):
            others.enter_context(services.admission.batch(f"bank-{100 + n}"))
        for _ in range(2):
            answer = await client().post("/v1/signals/batch", content=ndjson(signal("r-1")), headers=headers)
            assert answer.status_code == 200, "each gives its place back"
        with services.admission.batch("bank-099"):
            answer = await client().post("/v1/signals/batch", content=ndjson(signal("r-1")), headers=headers)
            assert (answer.status_code, slug(answer)) == (503, "overloaded") and "Retry-After" in answer.headers
            assert "of your institution" not in answer.json()["detail"]


async def test_one_institution_does_not_take_the_places_of_all_batches(client: Client, services: Services):
    headers, limit = {"content-type": "application/x-ndjson"}, services.settings.batches_per_institution_limit
    assert limit < services.settings.batches_limit
    with ExitStack() as own:
        for _ in range(limit):
            own.enter_context(services.admission.batch("bank-001"))
        answer = await client("bank-001").post("/v1/signals/batch", content=ndjson(signal("r-1")), headers=headers)
        assert (answer.status_code, slug(answer)) == (503, "overloaded") and "Retry-After" in answer.headers
        assert f"{limit} batches of your institution" in answer.json()["detail"]
        other = await client("bank-002").post("/v1/signals/batch", content=ndjson(signal("r-1")), headers=headers)
        assert other.status_code == 200
    answer = await client("bank-001").post("/v1/signals/batch", content=ndjson(signal("r-1")), headers=headers)
    assert answer.status_code == 200 and not services.admission._batches, "nothing is kept of who sends no more"


async def test_no_more_wait_for_a_slow_broker_than_the_limit(services: Services, client: Client, log: FakeLog):
    services.admission._in_flight_limit, log.gate = 3, asyncio.Event()
    sender = client()
    waiting = [asyncio.create_task(sender.post("/v1/signals", json=signal(f"r-{n}"))) for n in range(3)]
    await asyncio.sleep(0.1)
    answer = await sender.post("/v1/signals", json=signal("one-more"))
    assert (answer.status_code, slug(answer)) == (503, "overloaded")
    log.gate.set()
    assert [one.status_code for one in await asyncio.gather(*waiting)] == [202] * 3
    assert (await sender.post("/v1/signals", json=signal("one-more"))).status_code == 202


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"{}", {"content-type": "text/plain"}, (415, "unsupported-media-type")),
        (b"{}", {"content-type": ""}, (415, "unsupported-media-type")),
        (b"{}", {"content-encoding": "gzip"}, (415, "unsupported-media-type")),
        (b"", {}, (422, "invalid-signal")),
        (b"\xff\xfe", {}, (422, "invalid-signal")),
        (b'{"kind": NaN}', {}, (422, "invalid-signal")),
        (b'{"amount": {"minor": ' + b"9" * 5000 + b"}}", {}, (422, "invalid-signal")),
        (json.dumps(signal(narrative="a\0b")).encode(), {}, (202, None)),
        (json.dumps(signal()).replace("\\u5192", "\\ud800").encode(), {}, (422, "invalid-signal")),
        (b"[" * 100_000, {}, (413, "body-too-large")),
        (b"[" * 1000, {}, (422, "json-too-deep")),
        (b'{"a":' * 17 + b"1" + b"}" * 17, {}, (422, "json-too-deep")),
        (b'{"kind": "' + b"[" * 1000 + b'"}', {}, (422, "invalid-signal")),
        (json.dumps(signal(institution="bank-002")).encode(), {}, (422, "invalid-signal")),
    ],
)
async def test_what_a_sender_does_wrong_is_told(client: Client, body: bytes, headers: dict[str, str], expected: tuple):
    answer = await client().post("/v1/signals", content=body, headers={"content-type": "application/json", **headers})
    assert answer.status_code == expected[0]
    assert expected[1] is None or slug(answer) == expected[1]


async def test_the_faults_of_a_body_are_pointed_at_and_its_values_not_repeated(client: Client):
    body = signal(region="999999", indicators=[{"kind": "phone", "value": "secret-number"}])
    answer = await client().post("/v1/signals", json=body)
    assert {"/region", "/indicators/0/value"} <= {fault["pointer"] for fault in answer.json()["errors"]}
    assert "secret" not in answer.text and "999999" not in answer.text


async def test_a_fault_in_an_event_is_pointed_at_where_it_stands_in_the_body(client: Client):
    ends = {part: {"kind": "phone", "value": f"secret-{part}"} for part in ("caller", "callee")}
    event = {"type": "call", **ends}
    answer = await client().post("/v1/signals", json=signal(event=event, indicators=[]))
    assert {fault["pointer"] for fault in answer.json()["errors"]} == {"/event/caller/value", "/event/callee/value"}
    missing = await client().post("/v1/signals", json=signal(event={**event, "callee": None}))
    assert {fault["pointer"] for fault in missing.json()["errors"]} == {"/event/callee"}
    unknown = await client().post("/v1/signals", json=signal(event={"type": "secret"}))
    assert unknown.json()["errors"][0]["pointer"] == "/event"
    assert "secret" not in answer.text + unknown.text


async def test_a_signal_is_no_echo_of_itself(client: Client):
    own = signal("r-1", derived_from="bank-001/r-1")
    answer = await client().post("/v1/signals", json=own)
    assert (answer.status_code, slug(answer)) == (422, "invalid-signal")
    assert (await client().post("/v1/signals", json=signal("r-1", derived_from="bank-002/r-1"))).status_code == 202


async def test_half_a_character_in_the_name_of_an_app_is_the_senders_fault(client: Client):
    raw = json.dumps(signal(event={"type": "app", "package": "com.example.a", "name": "\ud800"})).encode()
    answer = await client().post("/v1/signals", content=raw, headers={"content-type": "application/json"})
    assert (answer.status_code, slug(answer)) == (422, "invalid-signal")


async def test_what_looks_odd_is_told_with_the_receipt_and_its_value_is_not(client: Client):
    event = {"type": "site", "url": "https://pay.secret-host.invalid/x"}
    odd = signal(
        event=event, indicators=[{"kind": "phone", "value": "13800001234"}, {"kind": "card", "value": "6222021234567890"}]
    )
    answer = await client().post("/v1/signals", json=odd)
    assert answer.status_code == 202
    found = [(one["pointer"], one["code"]) for one in answer.json()["advisories"]]
    assert found == [("/event/url", "suffix_unknown"), ("/indicators/1", "luhn_failed")]
    assert "6222021234567890" not in answer.text and "secret-host" not in answer.text
    again = await client().post("/v1/signals", json=odd)
    assert again.json() == answer.json()
    assert "advisories" not in (await client().post("/v1/signals", json=signal("plain"))).json()


async def test_a_body_without_a_length_is_bounded_too(client: Client):
    async def endless():
        while True:
            yield b" " * 10_000

    answer = await client().post("/v1/signals", content=endless(), headers={"content-type": "application/json"})
    assert slug(answer) == "body-too-large"


async def test_an_accepted_signal_is_pending_at_once_and_another_institutions_does_not_exist(client: Client):
    where = (await client("bank-001").post("/v1/signals", json=signal())).json()["links"]["self"]
    mine, others = await client("bank-001").get(where), await client("bank-002").get(where)
    assert mine.json() | {"accepted_at": "x"} == {
        "signal_id": where.rpartition("/")[2],
        "status": "accepted",
        "pending": True,
        "accepted_at": "x",
    }
    assert (others.status_code, slug(others)) == (404, "not-found")


async def test_the_receipt_tells_the_outcome_and_nothing_of_the_officers(client: Client, views: FakeViews):
    views.receipts["sig-1"] = Receipt(
        signal_id="sig-1",
        outcome=AssessOutcome.ASSESSED,
        accepted_at=T0,
        assessed_at=T0,
        institution="bank-001",
        score=81,
        severity="critical",
        queues=("public-security-630202",),
        cases=("case-1",),
        policy="p",
    )
    body = (await client("bank-001").get("/v1/signals/sig-1")).json()
    assert (body["pending"], body["outcome"], body["severity"], body["routed"]) == (False, "assessed", "critical", True)
    assert "case-1" not in str(body) and "public-security" not in str(body) and "score" not in body
    assert (await client("bank-002").get("/v1/signals/sig-1")).status_code == 404


async def test_while_the_views_are_rebuilt_receipts_are_503(client: Client, views: FakeViews):
    views.rebuilding = True
    answer = await client().get("/v1/signals/sig-1")
    assert (answer.status_code, slug(answer)) == (503, "views-rebuilding") and answer.headers["retry-after"]
    assert (await client().post("/v1/signals", json=signal())).status_code == 202
