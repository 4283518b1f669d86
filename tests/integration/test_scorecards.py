"""Scorecards and the appraisal over real processes: what was sent is counted, a year is locked, a lost Redis changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from deploy.local.stack import Stack
from deploy.local.tokens import mint, scrape_headers
from deploy.verify.run import compare_with_rebuilt, settings_of
from deploy.verify.wait_idle import wait_quiet
from schemas.security.signing import Ed25519Verifier, public_keys, public_path
from stream_processors.domain.scorecards import from_csv
from stream_processors.domain.scorecards.contributions import CHINA
from tests.unit.gateway.fakes import QUEUE, lines, ndjson, signal

pytestmark = pytest.mark.integration
WAIT_S = 60
BANKS = ("bank-001", "bank-002", "bank-003")
TOLD = 'liandong_institution_figure_records{figure="reports",institution="total"} 60.0'
ENV = {"LIANDONG_SCORECARDS_KEPT_S": "0"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("scorecards")
    with Stack("scorecards", home=home, env=ENV, backoff_max_s=0.5, kafka_heap_mb=256) as found:
        yield found


@pytest.fixture
def as_(stack: Stack) -> Iterator[Callable[..., httpx.Client]]:
    made: list[httpx.Client] = []

    def client(subject: str, **claims: Any) -> httpx.Client:
        token = mint(subject, home=Path(stack.places.home), profile=stack.profile, **claims)
        made.append(httpx.Client(base_url=stack.gateway_url, timeout=30, headers={"authorization": f"Bearer {token}"}))
        return made[-1]

    yield client
    for one in made:
        one.close()


def until(what: str, found: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        try:
            if value := found():
                return value
        except (httpx.HTTPError, KeyError):
            pass
        time.sleep(0.2)
    raise AssertionError(f"not within {WAIT_S} s: {what}")


def moment(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def test_what_was_sent_is_counted_and_a_lost_redis_changes_nothing(stack: Stack, as_: Callable[..., httpx.Client]) -> None:
    for who in BANKS:
        bodies = [signal(f"{who}-{n}", occurred_at=moment(-300), narrative=f"{who} {n}") for n in range(20)]
        answer = as_(who).post("/v1/signals/batch", content=ndjson(*bodies), headers={"content-type": "application/x-ndjson"})
        assert {line["status"] for line in lines(answer)} == {202}
    assert as_("bank-001").post("/v1/campaigns", json={"held_at": moment(-60), "people_reached": 900}).status_code == 200
    period = {"period": (datetime.now(UTC) + CHINA).date().isoformat()[:7]}

    def card() -> dict[str, Any]:
        return as_("regulator-1").get("/v1/scorecards/institutions", params=period).json()

    before = until("all reports counted", lambda: (found := card())["total"]["counts"]["reports"] == 60 and found)
    assert [row["counts"]["reports"] for row in before["rows"]] == [20, 20, 20]
    p50 = before["rows"][0]["durations"]["time_report"]["p50_s"]
    assert 280 <= p50 <= 400, "five minutes, within the error and the time that the test took"
    own = as_("bank-002").get("/v1/scorecards/institutions", params={**period, "format": "csv"})
    assert [line["reports"] for line in from_csv(own.content)] == ["20"]
    scraping = scrape_headers(stack.places.root)
    until("the metrics", lambda: TOLD in httpx.get(f"{stack.gateway_url}/metrics", headers=scraping).text)
    redis.Redis.from_url(stack.redis_url).flushall()
    assert until("the card after a rebuild", lambda: card() == before)
    asyncio.run(wait_quiet(settings_of(stack), timeout_s=WAIT_S))
    differing = {one.stage: one.differing for one in asyncio.run(compare_with_rebuilt(settings_of(stack))) if not one.same}
    assert differing == {}


def test_a_year_is_published_disputed_ruled_and_locked(stack: Stack, as_: Callable[..., httpx.Client]) -> None:
    body, unit, year = as_("coordinator-1"), as_("officer-1", queues=[QUEUE]), "/v1/appraisals/2025"
    asked = body.post(
        "/v1/data-requests", json={"unit": QUEUE, "due_at": moment(86_400), "document_number": "海平办〔2026〕7号"}
    ).json()
    handed = unit.post(f"/v1/data-requests/{asked['request_id']}/submit", json={"document_number": "B-1"}).json()
    assert handed["state"] == "submitted"
    assert body.post(f"{year}/open").json()["state"] == "open"
    results = [{"unit": QUEUE, "figures": {"cases": 312, "acknowledge_late": 19}}]
    published = body.post(f"{year}/publish", json={"disputes_until": moment(4), "results": results}).json()
    assert published["state"] == "published"
    claim = {"unit": QUEUE, "figure": "acknowledge_late", "claimed_value": 12, "ground": "system_down"}
    (dispute,) = unit.post(f"{year}/disputes", json=claim).json()["disputes"]
    body.post(f"{year}/disputes/{dispute['dispute_id']}/decide", json={"ruling": "upheld", "ruled_value": 12})
    locked = until("the lock", lambda: (found := body.post(f"{year}/lock").json()).get("state") == "locked" and found)
    assert locked["verified"] is True and locked["results"][0]["figures"]["acknowledge_late"] == 12
    keys = public_keys(public_path(Path(stack.places.home) / stack.profile / "signing.json"))
    assert Ed25519Verifier(keys)(locked["lock"]["signature"])
    refused = body.post(f"{year}/publish", json={"disputes_until": moment(60), "results": results})
    assert refused.status_code == 409
