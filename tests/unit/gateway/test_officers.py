"""Queues and cases: an officer sees his queues, takes the next case, and the log decides what became of each move."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.http.problem_table import TYPE_PREFIX
from gateway.services import Services
from schemas.cases.case import ActionKind, CaseStatus
from schemas.codec import decode
from schemas.common import from_ms
from schemas.signals.events import EventFact
from schemas.topics import CASE_COMMANDS
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import QUEUE, T0, FakeLog, FakeViews, MemoryIdempotency, a_case


@pytest.fixture
def case(services: Services):
    def build(n: int = 1, **changes):
        return a_case(services.tokenizer, services.sealer, n, **changes)

    return build


@pytest.fixture
def put(views: FakeViews, case):
    def put(*numbers: int, **changes) -> None:
        for n in numbers:
            views.cases[f"case-{n}"] = case(n, **changes)

    return put


def slug(response) -> str:
    return response.json()["type"].removeprefix(TYPE_PREFIX)


def actions(log: FakeLog) -> list:
    return [decode(CASE_COMMANDS, entry.value) for entry in log.all(CASE_COMMANDS)]


async def test_an_officer_sees_the_depths_of_his_queues_only(client: Client, put):
    put(1, 2)
    put(3, queue="financial-regulator-630200")
    mine = await client("officer-1", queues=["public-security-*"]).get("/v1/queues")
    assert mine.json() == {"queues": [{"queue": QUEUE, "depth": 2, "severities": {"high": 2}}]}
    assert len((await client("officer-2").get("/v1/queues")).json()["queues"]) == 2


async def test_a_list_is_worst_first_and_pages_without_gaps_or_repeats(client: Client, put):
    for n in range(1, 24):
        put(n, score=40 + n % 5)
    officer, seen, cursor = client("officer-1"), [], None
    while True:
        page = (
            await officer.get(f"/v1/queues/{QUEUE}/cases", params={"limit": 5, **({"cursor": cursor} if cursor else {})})
        ).json()
        seen += [(one["score"], one["case_id"]) for one in page["cases"]]
        cursor = page.get("next_cursor")
        if cursor is None:
            break
    assert len(set(seen)) == len(seen) == 23
    assert [score for score, _ in seen] == sorted((score for score, _ in seen), reverse=True)


async def test_filters_narrow_a_list(client: Client, put, views: FakeViews):
    put(1, score=80)
    put(2, score=50, institution="bank-009")
    put(3, score=70, status=CaseStatus.CLAIMED, holder="officer-2", lease_until=from_ms(4_000_000_000_000))
    put(4, score=60, status=CaseStatus.CLAIMED, holder="officer-2", lease_until=T0)
    officer = client("officer-1")

    async def found(**query) -> list[str]:
        return [one["case_id"] for one in (await officer.get(f"/v1/queues/{QUEUE}/cases", params=query)).json()["cases"]]

    assert await found() == ["case-1", "case-3", "case-4", "case-2"]
    assert await found(severity="medium") == ["case-2"]
    assert await found(institution="bank-009") == ["case-2"]
    assert await found(min_score=70) == ["case-1", "case-3"]
    assert await found(status="claimed") == await found(holder="officer-2") == ["case-3"]
    assert await found(status="open") == ["case-1", "case-4", "case-2"]
    assert await found(kind="illegal_finance") == []


async def test_the_address_of_a_list_is_its_saved_filter(client: Client, put, case, views: FakeViews):
    later = from_ms(4_000_000_000_000)
    put(1, score=80)
    put(2, score=70, status=CaseStatus.CLAIMED, holder="officer-1", lease_until=later)
    put(3, score=60, status=CaseStatus.CLAIMED, holder="officer-2", lease_until=later, changed_at=T0 + timedelta(hours=2))
    elsewhere = case(4, score=50)
    signals = tuple(signal.model_copy(update={"region": "630222"}) for signal in elsewhere.signals)
    views.cases["case-4"] = elsewhere.model_copy(update={"signals": signals})

    async def found(officer: str, query: str) -> list[str]:
        answer = await client(officer).get(f"/v1/queues/{QUEUE}/cases?{query}")
        assert answer.status_code == 200, answer.text
        return [one["case_id"] for one in answer.json()["cases"]]

    assert await found("officer-1", "mine=true") == ["case-2"]
    assert await found("officer-2", "mine=true") == ["case-3"]
    assert await found("officer-1", "region=630222") == ["case-4"]
    assert await found("officer-1", "region=6302&min_score=70") == ["case-1", "case-2"]
    assert await found("officer-1", "since=2026-03-02T17:00:00%2B08:00") == ["case-3"]
    assert await found("officer-1", "since=2026-03-02T08:00:00Z&mine=false") == ["case-1", "case-2", "case-3", "case-4"]


@pytest.mark.parametrize(
    "query",
    [
        *("limit=0", "limit=201", "limit=x", "nothing=1", "severity=none", "cursor=abc", "cursor=%00.x", "cursor=W10.x"),
        *("region=63020", "region=../..", "since=now", "since=2026-03-02T08:00:00", "mine=perhaps"),
    ],
)
async def test_a_query_that_is_not_valid_is_422(client: Client, query: str):
    answer = await client("officer-1").get(f"/v1/queues/{QUEUE}/cases?{query}")
    assert (answer.status_code, slug(answer)) == (422, "invalid-request")


async def test_a_cursor_of_another_queue_is_refused(client: Client, put):
    put(1, 2)
    cursor = (await client("officer-1").get(f"/v1/queues/{QUEUE}/cases?limit=1")).json()["next_cursor"]
    other = await client("officer-1").get("/v1/queues/public-security-630203/cases", params={"cursor": cursor})
    assert slug(other) == "invalid-request"


async def test_a_queue_that_is_not_ones_own_is_403_and_its_cases_do_not_exist(client: Client, put, log: FakeLog):
    put(1)
    stranger = client("officer-9", queues=["financial-regulator-630200"])
    assert slug(await stranger.get(f"/v1/queues/{QUEUE}/cases")) == "forbidden"
    assert slug(await stranger.post(f"/v1/queues/{QUEUE}/next")) == "forbidden"
    assert slug(await stranger.get("/v1/cases/case-1")) == "unknown-case"
    assert slug(await stranger.post("/v1/cases/case-1/claim", json={"revision": 1})) == "unknown-case"
    assert not log.all(CASE_COMMANDS)


async def test_one_case_has_its_readable_values_and_its_signals(client: Client, put):
    put(1)
    body = (await client("officer-1").get("/v1/cases/case-1")).json()
    assert body["primary_subject"]["value"] == body["signals"][0]["subjects"][0]["value"] == "622202100100001"
    assert body["signals"][0]["narrative"] == "冒充公安"


async def test_an_officer_reads_what_happened_and_which_end_a_subject_is(
    client: Client, put, views: FakeViews, services: Services
):
    put(1)
    case = views.cases["case-1"]
    signal = case.signals[0]
    name = services.sealer.seal("金富通", f"{signal.signal_id}/event.name")
    event = EventFact(type="app", at=T0, name_sealed=name)
    payee = signal.subjects[0].model_copy(update={"event_role": "payee"})
    more = {"event": event, "subjects": (payee,), "stage": "paid", "typology": "romance", "loss_minor": 7}
    views.cases["case-1"] = case.model_copy(update={"signals": (signal.model_copy(update=more),)})
    found = (await client("officer-1").get("/v1/cases/case-1")).json()["signals"][0]
    assert found["event"]["name"] == "金富通" and "name_sealed" not in found["event"]
    assert found["subjects"][0]["event_role"] == "payee"
    assert (found["stage"], found["typology"], found["loss_minor"]) == ("paid", "romance", 7)


async def test_who_reads_a_case_or_a_list_is_recorded_without_its_values(client: Client, put, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO, "liandong.audit")
    put(1)
    officer = client("officer-1")
    await officer.get(f"/v1/queues/{QUEUE}/cases")
    await officer.get("/v1/cases/case-1")
    await officer.get("/v1/cases/case-9")
    audited = [json.loads(record.message) for record in caplog.records if record.name == "liandong.audit"]
    assert [(one["who"], one["what"], one["queue"]) for one in audited] == [
        ("officer-1", "list", QUEUE),
        ("officer-1", "case", QUEUE),
    ]
    assert audited[0]["found"] == 1 and audited[1]["case"] == "case-1"
    assert "6222" not in caplog.text


async def test_a_value_whose_key_is_gone_is_no_error(client: Client, put, views: FakeViews):
    put(1)
    case = views.cases["case-1"]
    views.cases["case-1"] = case.model_copy(update={"primary_signal_id": "sig-moved"})
    answer = await client("officer-1").get("/v1/cases/case-1")
    assert answer.status_code == 200 and answer.json()["primary_subject"].get("value") is None


async def test_next_gives_the_worst_case_that_nobody_holds(client: Client, put):
    put(1, score=90, status=CaseStatus.CLAIMED, holder="officer-2", lease_until=from_ms(4_000_000_000_000))
    put(2, score=50)
    put(3, score=80)
    taken = (await client("officer-1").post(f"/v1/queues/{QUEUE}/next")).json()
    assert (taken["case_id"], taken["holder"], taken["status"], taken["revision"]) == ("case-3", "officer-1", "claimed", 2)
    assert taken["signals"]


async def test_next_takes_a_case_whose_lease_has_run_out_and_then_there_is_none(client: Client, put, views: FakeViews):
    put(1, status=CaseStatus.CLAIMED, holder="officer-2", lease_until=T0 - timedelta(seconds=1))
    officer = client("officer-1")
    assert (await officer.post(f"/v1/queues/{QUEUE}/next", json={"lease_s": 60})).json()["case_id"] == "case-1"
    views.cases["case-1"] = views.cases["case-1"].model_copy(update={"lease_until": from_ms(4_000_000_000_000)})
    assert (await officer.post(f"/v1/queues/{QUEUE}/next")).status_code == 204


async def test_next_goes_on_when_another_officer_was_faster(client: Client, put, views: FakeViews, log: FakeLog):
    put(1, score=90)
    put(2, score=80)

    def told(topic, entry):
        if decode(CASE_COMMANDS, entry.value).data.case_id == "case-1":
            views.cases["case-1"] = views.cases["case-1"].model_copy(update={"revision": 7})
        views.apply(topic, entry)

    log.told = told
    assert (await client("officer-1").post(f"/v1/queues/{QUEUE}/next")).json()["case_id"] == "case-2"


async def test_many_officers_at_once_get_one_case_each(client: Client, put, views: FakeViews):
    put(*range(1, 7))
    views.now = datetime.now(UTC)
    answers = await asyncio.gather(*(client(f"officer-{n}").post(f"/v1/queues/{QUEUE}/next") for n in range(6)))
    got = [answer.json()["case_id"] for answer in answers if answer.status_code == 200]
    assert len(got) == len(set(got)) == 6


async def test_next_with_a_key_gives_the_same_case_again(client: Client, put, log: FakeLog, views: FakeViews):
    views.now = datetime.now(UTC)
    put(1, score=90)
    put(2, score=80)
    headers = {"Idempotency-Key": "take-1"}
    officer = client("officer-1")
    first = (await officer.post(f"/v1/queues/{QUEUE}/next", headers=headers)).json()
    again = (await officer.post(f"/v1/queues/{QUEUE}/next", headers=headers)).json()
    assert first == again and len(log.all(CASE_COMMANDS)) == 1
    assert (await officer.post(f"/v1/queues/{QUEUE}/next", headers={"Idempotency-Key": "take-2"})).json()["case_id"] == "case-2"


async def test_next_with_a_key_neither_shows_nor_takes_what_went_to_another_unit(
    client: Client, put, log: FakeLog, views: FakeViews
):
    views.now = datetime.now(UTC)
    put(1, score=90)
    officer, headers = client("officer-1", queues=[QUEUE]), {"Idempotency-Key": "take-1"}
    assert (await officer.post(f"/v1/queues/{QUEUE}/next", headers=headers)).status_code == 200
    views.cases["case-1"] = views.cases["case-1"].model_copy(update={"queue": "public-security-630203"})
    assert (await officer.post(f"/v1/queues/{QUEUE}/next", headers=headers)).status_code == 404
    put(2, score=90)
    real, headers = log.append, {"Idempotency-Key": "take-2"}

    async def broken(topic: Any, entries: Any) -> Any:
        return [RuntimeError("the broker is away") for _ in entries]

    log.append = broken
    assert (await officer.post(f"/v1/queues/{QUEUE}/next", headers=headers)).status_code == 503
    log.append = real
    views.cases["case-2"] = views.cases["case-2"].model_copy(update={"queue": "public-security-630203"})
    assert (await officer.post(f"/v1/queues/{QUEUE}/next", headers=headers)).status_code == 404
    assert views.cases["case-2"].holder is None


async def test_a_retry_is_not_appended_again_once_the_broker_took_it(client: Client, put, log: FakeLog, views: FakeViews):
    """The first one may be refused before it is visible; the second must not be right then."""
    views.now = datetime.now(UTC)
    put(1)
    log.told = lambda *_: None  # nothing becomes of it yet
    headers, officer = {"Idempotency-Key": "claim-1"}, client("officer-1")
    for _ in range(2):
        assert (await officer.post("/v1/cases/case-1/claim", json={"revision": 1}, headers=headers)).status_code == 202
    assert len(log.all(CASE_COMMANDS)) == 1


async def test_next_with_a_key_gives_the_same_case_again_when_the_gateway_has_forgotten_it(
    client: Client, put, log: FakeLog, views: FakeViews, memory: MemoryIdempotency
):
    views.now = datetime.now(UTC)
    put(1, score=90)
    put(2, score=80)
    officer, headers = client("officer-1"), {"Idempotency-Key": "take-1"}
    first = (await officer.post(f"/v1/queues/{QUEUE}/next", headers=headers)).json()
    memory.texts.clear()
    again = (await officer.post(f"/v1/queues/{QUEUE}/next", headers=headers)).json()
    assert (again["case_id"], len(actions(log))) == (first["case_id"], 1)


async def test_next_with_a_key_waits_for_what_was_asked_with_it_before_redis_was_emptied(
    client: Client, put, log: FakeLog, views: FakeViews, memory: MemoryIdempotency, services: Services
):
    """Else the key would take a second case while the first claim is still on its way."""
    views.now = datetime.now(UTC)
    put(1, score=90)
    officer, headers = client("officer-1"), {"Idempotency-Key": "take-1"}
    waiting: list[Any] = []
    log.told = lambda *record: waiting.append(record)
    assert (await officer.post(f"/v1/queues/{QUEUE}/next", headers=headers)).status_code == 202
    memory.texts.clear()
    put(2, score=99)

    async def caught_up() -> None:
        for record in waiting:
            views.apply(*record)
        waiting.clear()

    services.case_commands.caught_up = caught_up
    again = await officer.post(f"/v1/queues/{QUEUE}/next", headers=headers)
    assert (again.status_code, again.json()["case_id"], len(actions(log))) == (200, "case-1", 1)
    assert views.cases["case-2"].holder is None


async def test_a_key_of_one_case_is_not_used_for_another_though_the_gateway_has_forgotten_it(
    client: Client, put, log: FakeLog, views: FakeViews, memory: MemoryIdempotency
):
    views.now = datetime.now(UTC)
    put(1, score=90)
    put(2, score=80)
    officer, headers = client("officer-1"), {"Idempotency-Key": "claim-1"}
    assert (await officer.post("/v1/cases/case-1/claim", json={"revision": 1}, headers=headers)).status_code == 200
    memory.texts.clear()
    answer = await officer.post("/v1/cases/case-2/claim", json={"revision": 1}, headers=headers)
    assert (slug(answer), len(actions(log))) == ("reference-reused", 1)


async def test_the_moves_of_a_case_from_claim_to_disposal(client: Client, put, log: FakeLog, services: Services):
    put(1)
    one, two = client("officer-1"), client("officer-2")
    claimed = (await one.post("/v1/cases/case-1/claim", json={"revision": 1, "lease_s": 120})).json()
    renewed = (await one.post("/v1/cases/case-1/renew", json={"lease_s": 300})).json()
    handed = (await one.post("/v1/cases/case-1/hand-over", json={"revision": 3, "to_officer": "officer-2"})).json()
    note = {"revision": 4, "disposition": "confirmed", "note": "账户已冻结"}
    disposed = (await two.post("/v1/cases/case-1/dispose", json=note)).json()
    assert [one["revision"] for one in (claimed, renewed, handed, disposed)] == [2, 3, 4, 5]
    assert (handed["holder"], disposed["status"], disposed["note"]) == ("officer-2", "disposed", "账户已冻结")
    written = actions(log)
    assert [one.data.kind for one in written] == [ActionKind.CLAIM, ActionKind.RENEW, ActionKind.HAND_OVER, ActionKind.DISPOSE]
    assert {one.actor for one in written} == {"officer:officer-1", "officer:officer-2"}
    assert {entry.key for entry in log.all(CASE_COMMANDS)} == {b"case-1"}
    assert "账户".encode() not in log.all(CASE_COMMANDS)[-1].value


async def test_release_gives_a_case_back_without_a_body(client: Client, put):
    put(1, status=CaseStatus.CLAIMED, holder="officer-1", lease_until=from_ms(4_000_000_000_000))
    body = (await client("officer-1").post("/v1/cases/case-1/release")).json()
    assert body["status"] == "open" and body.get("holder") is None


async def test_a_stale_revision_is_409_with_the_present_one(client: Client, put):
    put(1, revision=5)
    answer = await client("officer-1").post("/v1/cases/case-1/claim", json={"revision": 4})
    assert (answer.status_code, slug(answer), answer.json()["revision"]) == (409, "stale-revision", 5)


@pytest.mark.parametrize(
    ("state", "move", "body", "expected"),
    [
        (
            {"status": CaseStatus.CLAIMED, "holder": "officer-2", "lease_until": from_ms(4_000_000_000_000)},
            "claim",
            {"revision": 1},
            "held-by-other",
        ),
        ({"status": CaseStatus.CLAIMED, "holder": "officer-2", "lease_until": T0}, "renew", {}, "not-holder"),
        ({"status": CaseStatus.DISPOSED}, "claim", {"revision": 1}, "case-disposed"),
        ({}, "release", {}, "transition-not-allowed"),
    ],
)
async def test_a_refused_move_has_the_name_that_track_gave_it(client: Client, put, state, move, body, expected):
    put(1, **state)
    answer = await client("officer-1").post(f"/v1/cases/case-1/{move}", json=body)
    assert (answer.status_code, slug(answer)) == (409, expected)


@pytest.mark.parametrize(
    ("move", "body"),
    [
        ("claim", {}),
        ("claim", {"revision": 0}),
        ("claim", {"revision": 2**60}),
        ("hand-over", {"revision": 1}),
        ("hand-over", {"revision": 1, "to_officer": "Not An Id"}),
        ("dispose", {"revision": 1, "disposition": "maybe"}),
        ("renew", {"more": 1}),
    ],
)
async def test_a_move_that_is_not_valid_is_422_and_appends_nothing(client: Client, put, log: FakeLog, move, body):
    put(1)
    answer = await client("officer-1").post(f"/v1/cases/case-1/{move}", json=body)
    assert (answer.status_code, slug(answer)) == (422, "invalid-request") and not log.all(CASE_COMMANDS)


async def test_a_move_with_a_key_is_made_once_and_another_one_under_it_is_refused(client: Client, put, log: FakeLog):
    put(1, 2)
    officer, headers = client("officer-1"), {"Idempotency-Key": "k"}
    first = await officer.post("/v1/cases/case-1/claim", json={"revision": 1}, headers=headers)
    again = await officer.post("/v1/cases/case-1/claim", json={"revision": 1}, headers=headers)
    other = await officer.post("/v1/cases/case-2/claim", json={"revision": 1}, headers=headers)
    assert first.json() == again.json() and slug(other) == "reference-reused" and len(log.all(CASE_COMMANDS)) == 1
    assert (await client("officer-2").post("/v1/cases/case-2/claim", json={"revision": 1}, headers=headers)).status_code == 200


async def test_an_undecided_move_is_202_with_a_link_that_tells_later(client: Client, put, log: FakeLog, views: FakeViews):
    put(1)
    log.told = None
    officer = client("officer-1")
    answer = await officer.post("/v1/cases/case-1/claim", json={"revision": 1})
    assert answer.status_code == 202 and answer.json()["status"] == "pending"
    where = answer.headers["location"]
    assert (await officer.get(where)).json()["status"] == "pending"
    assert (await client("officer-2").get(where)).status_code == 404
    views.apply(CASE_COMMANDS, log.all(CASE_COMMANDS)[0])
    assert (await officer.get(where)).json() | {"links": 0} == {
        "action_id": where.rpartition("/")[2],
        "status": "applied",
        "case_id": "case-1",
        "kind": "claim",
        "revision": 2,
        "links": 0,
    }
    assert (await client("officer-2").get(where)).status_code == 404
    assert (await officer.get("/v1/actions/act-nothing")).status_code == 404


async def test_a_broker_that_is_away_gives_503_and_no_outcome(client: Client, put, log: FakeLog):
    put(1)
    log.fails_after = 0
    answer = await client("officer-1").post("/v1/cases/case-1/claim", json={"revision": 1})
    assert (answer.status_code, slug(answer)) == (503, "log-unavailable")


async def test_views_that_are_rebuilt_give_503(client: Client, put, views: FakeViews):
    put(1)
    views.rebuilding = True
    officer = client("officer-1")
    urls = ["/v1/queues", f"/v1/queues/{QUEUE}/cases", "/v1/cases/case-1", "/v1/actions/act-1"]
    answers = [await officer.get(url) for url in urls] + [
        await officer.post("/v1/cases/case-1/release"),
        await officer.post(f"/v1/queues/{QUEUE}/next"),
    ]
    assert {(answer.status_code, slug(answer)) for answer in answers} == {(503, "views-rebuilding")}
