"""`/metrics` of the gateway: what the views count, told only while they are whole; and no sender can make series."""

from __future__ import annotations

import random
from collections.abc import Callable

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.ops.exporter import KEPT_S, Exporter
from gateway.scorecards.service import ScorecardService
from schemas.cases.case import CaseStatus
from schemas.scorecards import CardKind
from stream_processors.domain.scorecards import series
from tests.unit.gateway.fakes import QUEUE, T0, FakeViews, a_case, ndjson, signal

Client = Callable[..., httpx.AsyncClient]
Row = tuple[tuple[str, str], ...]


class Ticking:
    """A monotonic clock that the test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def rows(text: str, name: str) -> dict[tuple[str, ...], float]:
    """Label values, in the order of their names, to the value."""
    return {
        tuple(sample.labels[key] for key in sorted(sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


def exporter_of(views: FakeViews, labels_limit: int, clock: Ticking, parties: int = 5) -> Exporter:
    cards = ScorecardService(views, threshold=5, period="month", kept_s=0, now=lambda: T0)
    return Exporter(views, labels_limit, cards, parties, clock)


async def read(exporter: Exporter) -> str:
    return (await exporter.text()).decode()


async def test_cases_are_told_by_queue_severity_and_status_with_the_oldest_time(services, views: FakeViews, clock: Ticking):
    for n, status in enumerate((CaseStatus.OPEN, CaseStatus.OPEN, CaseStatus.CLAIMED, CaseStatus.DISPOSED), 1):
        case = a_case(services.tokenizer, services.sealer, n, status=status)
        views.cases[case.case_id] = case
    text = await read(exporter_of(views, 10, clock))
    assert rows(text, "liandong_queue_cases") == {(QUEUE, "high", "open"): 2, (QUEUE, "high", "claimed"): 1}
    oldest = rows(text, "liandong_queue_oldest_timestamp_seconds")
    assert oldest[QUEUE, "high", "open"] == views.cases["case-1"].opened_at.timestamp()
    assert rows(text, "liandong_views_up") == {(): 1}


async def test_facts_are_told_by_institution_and_actions_by_kind(views: FakeViews, clock: Ticking):
    views.counted = {
        "assessed:bank-001": 7,
        "duplicate_content:bank-002": 2,
        "action_applied:join": 5,
        "action_refused:unreadable": 1,
    }
    text = await read(exporter_of(views, 10, clock))
    assert rows(text, "liandong_signals_total") == {("bank-001", "assessed"): 7, ("bank-002", "duplicate_content"): 2}
    assert rows(text, "liandong_actions_total") == {("join", "applied"): 5, ("unreadable", "refused"): 1}


async def test_while_views_are_rebuilt_nothing_of_them_is_told_and_after_it_they_go_on(views: FakeViews, clock: Ticking):
    views.counted = {"assessed:bank-001": 7}
    exporter = exporter_of(views, 10, clock)
    before = await read(exporter)
    views.rebuilding, clock.now = True, KEPT_S
    text = await read(exporter)
    assert rows(text, "liandong_views_up") == {(): 0}
    assert "liandong_signals_total{" not in text and "liandong_queue_cases{" not in text
    assert "liandong_gateway_accepted_total" in text
    views.rebuilding, clock.now = False, 2 * KEPT_S
    after = await read(exporter)
    assert rows(after, "liandong_signals_total") == rows(before, "liandong_signals_total")


async def test_the_views_are_read_once_in_a_few_seconds_however_often_it_is_asked(views: FakeViews, clock: Ticking):
    exporter = exporter_of(views, 10, clock)
    await exporter.text()
    views.counted = {"assessed:bank-001": 1}
    assert "bank-001" not in await read(exporter)
    clock.now = KEPT_S
    assert "bank-001" in await read(exporter)


async def test_over_the_limit_institutions_are_other_and_no_series_ever_goes_back(views: FakeViews, clock: Ticking):
    exporter, draw = exporter_of(views, 3, clock), random.Random(4)
    views.counted = {f"assessed:bank-{n}": n for n in range(10)}
    last: dict[tuple[str, ...], float] = {}
    for _ in range(20):
        found = rows(await read(exporter), "liandong_signals_total")
        assert {who for who, _ in found} <= {"bank-9", "bank-8", "bank-7", "other"}, "the largest keep their names"
        assert sum(found.values()) == sum(views.counted.values())
        assert all(found[key] >= n for key, n in last.items())
        last = found
        for _ in range(5):
            who = f"assessed:bank-{draw.randrange(40)}"
            views.counted[who] = views.counted.get(who, 0) + draw.randrange(50)
        clock.now += KEPT_S


async def test_queues_over_the_limit_are_other(services, views: FakeViews, clock: Ticking):
    for n in range(1, 6):
        case = a_case(services.tokenizer, services.sealer, n, queue=f"queue-{n}")
        views.cases[case.case_id] = case
    found = rows(await read(exporter_of(views, 2, clock)), "liandong_queue_cases")
    assert len(found) == 3 and found["other", "high", "open"] == 3


async def test_the_running_month_s_figures_are_told_without_small_ones_and_of_as_many_parties_as_allowed(
    views: FakeViews, clock: Ticking
):
    figures = {"reports_telecom_fraud": 40, "confirmed": 30, "warn_in_time": 12, "stops": 7, "stopped_minor": 900_00}
    views.books[CardKind.INSTITUTION, "2026-03"] = {f"bank-{n}": {**figures, "warnings": 2} for n in range(9)}
    views.books[CardKind.UNIT, "2026-03"] = {QUEUE: {"cases": 50, "time_acknowledge:030": 50, "acknowledge_in_time": 50}}
    text = await read(exporter_of(views, 10, clock, 3))
    counts = rows(text, "liandong_institution_figure_records")
    assert counts["reports", "bank-0"] == 40 and counts["reports", "total"] == 360
    assert {party for _, party in counts} == {"bank-0", "bank-1", "bank-2", "total"}
    assert ("warnings", "bank-0") not in counts, "a small count"
    assert rows(text, "liandong_institution_figure_fen")["stopped_minor", "bank-2"] == 900_00
    assert rows(text, "liandong_unit_figure_records")["acknowledge_in_time", QUEUE] == 50
    assert len(rows(text, "liandong_unit_time_seconds")) == 6
    told = sum(len(rows(text, f"liandong_institution_{name}")) for name in ("figure_records", "figure_fen", "time_seconds"))
    assert told <= series(CardKind.INSTITUTION, 3)


async def test_a_sender_with_a_valid_token_cannot_make_series(client: Client):
    """References, kinds, regions, subjects, paths, methods, headers, queues, case ids: whatever is invented, the series are
    those that were there."""
    bank, officer = client("bank-001"), client("officer-wang", queues=[QUEUE])
    draw = random.Random(7)

    async def storm(n: int) -> None:
        invented = f"x{draw.getrandbits(64):x}{n}"
        await bank.post("/v1/signals", json=signal(invented, narrative=invented))
        await bank.post("/v1/signals", json=signal(invented, kind=invented))
        await bank.post("/v1/signals", json=signal(invented, region=invented), headers={"Idempotency-Key": invented})
        await bank.post("/v1/signals/batch", content=ndjson(signal(invented), invented.encode(), {"kind": invented}),
                        headers={"content-type": "application/x-ndjson"})  # fmt: skip
        await bank.post("/v1/signals", content=invented, headers={"content-type": f"text/{invented}"})
        await bank.get(f"/v1/signals/{invented}")
        await bank.get(f"/v1/{invented}/{n}?{invented}=1")
        await bank.request(invented.upper()[:12], f"/{invented}")
        await officer.get(f"/v1/queues/{invented}/cases?severity={invented}")
        await officer.post(f"/v1/queues/{invented}/next")
        await officer.post(f"/v1/cases/{invented}/claim", json={"revision": n + 1})
        await officer.get(f"/v1/actions/{invented}")

    async def names() -> set[tuple[str, Row]]:
        text = (await client("operator-1").get("/metrics")).text
        return {
            (sample.name, tuple(sorted(sample.labels.items())))
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    await storm(0)
    before = await names()
    for n in range(1, 40):
        await storm(n)
    assert await names() == before
    assert len(before) < 2000
