"""Scorecards over HTTP: who sees which, what is hidden, ranking, CSV, and what is asked wrongly."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.scorecards.service import ScorecardService
from schemas.scorecards import CardKind
from stream_processors.domain.scorecards import from_csv
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import QUEUE, T0, FakeViews

INSTITUTIONS, UNITS = "/v1/scorecards/institutions", "/v1/scorecards/units"
MONTH = {"period": "2026-02"}
OTHER = "financial-regulator-630200"


@pytest.fixture(autouse=True)
def books(views: FakeViews, services: Any) -> FakeViews:
    services.cards = ScorecardService(views, threshold=5, period="month", kept_s=5, now=lambda: T0)
    few = {"warnings": 3, "confirmed": 10, "false_positive": 10}
    views.books[CardKind.INSTITUTION, "2026-02"] = {
        "bank-001": {"reports_telecom_fraud": 40, "time_report:030": 40, **few},
        "bank-002": {"reports_telecom_fraud": 20, "confirmed": 40, "false_positive": 10, "warnings": 30},
        "bank-003": {"confirmed": 30, "false_positive": 10, "warnings": 9},
    }
    views.books[CardKind.UNIT, "2026-02"] = {QUEUE: {"cases": 50}, OTHER: {"cases": 20}}
    return views


async def test_the_regulator_sees_the_whole_card_without_small_counts(client: Client):
    told = (await client("regulator-1").get(INSTITUTIONS, params=MONTH)).json()
    assert told["is_final"] and told["threshold"] == 5
    rows = {row["party"]: row for row in told["rows"]}
    assert sorted(rows) == ["bank-001", "bank-002", "bank-003"]
    assert rows["bank-001"]["counts"]["reports"] == 40 and "warnings" in rows["bank-001"]["suppressed"]
    assert "warnings" in rows["bank-003"]["suppressed"], "else the total would tell it"
    assert told["total"]["counts"]["reports"] == 60
    assert rows["bank-001"]["permille"]["precision"] == 500
    assert rows["bank-003"]["counts"]["reports"] == 0, "who reported nothing is to be seen"


async def test_an_institution_sees_its_own_row_as_it_stands_in_the_whole_card(client: Client):
    whole = (await client("regulator-1").get(INSTITUTIONS, params=MONTH)).json()
    told = (await client("bank-003").get(INSTITUTIONS, params=MONTH)).json()
    assert told["rows"] == [row for row in whole["rows"] if row["party"] == "bank-003"]
    assert "total" not in told
    assert (await client("bank-003").get(INSTITUTIONS, params={**MONTH, "party": "bank-001"})).status_code == 403
    assert (await client("bank-003").get(INSTITUTIONS, params={**MONTH, "rank_by": "reports"})).status_code == 403
    lines = from_csv((await client("bank-003").get(INSTITUTIONS, params={**MONTH, "format": "csv"})).content)
    assert [line["party"] for line in lines] == ["bank-003"]


async def test_units_are_the_coordination_bodys_and_an_officer_sees_his_own(client: Client):
    told = (await client("coordinator-1").get(UNITS, params=MONTH)).json()
    assert [row["party"] for row in told["rows"]] == [OTHER, QUEUE] and told["total"]["counts"]["cases"] == 70
    own = (await client("officer-1", queues=[OTHER]).get(UNITS, params=MONTH)).json()
    assert [row["party"] for row in own["rows"]] == [OTHER] and "total" not in own


@pytest.mark.parametrize(
    "path, subject",
    [
        (INSTITUTIONS, "coordinator-1"),
        (INSTITUTIONS, "officer-1"),
        (INSTITUTIONS, "operator-1"),
        (UNITS, "regulator-1"),
        (UNITS, "bank-001"),
    ],
)
async def test_the_two_kinds_are_kept_apart(client: Client, path: str, subject: str):
    answer = await client(subject).get(path, params=MONTH)
    assert (answer.status_code, answer.json()["type"]) == (403, "urn:liandong:problem:forbidden")


async def test_parties_are_ranked_by_a_figure_that_is_shown(client: Client):
    asked = {**MONTH, "rank_by": "precision"}
    ranks = (await client("regulator-1").get(INSTITUTIONS, params=asked)).json()["ranking"]
    assert [(one["rank"], one["party"], one["value"]) for one in ranks] == [
        (1, "bank-002", 800), (2, "bank-003", 750), (3, "bank-001", 500),
    ]  # fmt: skip
    lowest = (await client("regulator-1").get(INSTITUTIONS, params={**asked, "order": "lowest", "party": "bank-001"})).json()
    assert lowest["ranking"] == [{"rank": 1, "party": "bank-001", "value": 500}]
    hidden = (await client("regulator-1").get(INSTITUTIONS, params={**MONTH, "rank_by": "warnings"})).json()["ranking"]
    assert "bank-001" not in {one["party"] for one in hidden}


@pytest.mark.parametrize("how", [{"params": {"format": "csv"}}, {"headers": {"accept": "text/csv"}}])
async def test_a_card_is_a_table_for_a_spreadsheet(client: Client, how: dict[str, Any]):
    answer = await client("regulator-1").get(INSTITUTIONS, **{**how, "params": {**MONTH, **how.get("params", {})}})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="institutions-2026-02.csv"'
    assert answer.content.startswith(b"\xef\xbb\xbf")
    lines = from_csv(answer.content)
    assert [line["party"] for line in lines] == ["bank-001", "bank-002", "bank-003", "total"]
    assert lines[0]["warnings"] == "*" and lines[0]["reports"] == "40"


@pytest.mark.parametrize(
    "asked",
    [{}, {"period": "2026"}, {"period": "2026-02-01"}, {"period": "2026-13"}, {"period": "0000-01"}, {"period": "٢٠٢٦-٠٢"},
     {"period": "2026-02", "rank_by": "cases"}, {"period": "2026-02", "colour": "red"}, {"period": "2026-02", "format": "xls"}],
)  # fmt: skip
async def test_what_is_asked_wrongly_is_told_with_its_place(client: Client, asked: dict[str, str]):
    answer = await client("regulator-1").get(INSTITUTIONS, params=asked)
    assert (answer.status_code, answer.json()["type"]) == (422, "urn:liandong:problem:invalid-request")
    assert answer.json()["errors"][0]["pointer"].startswith("/")


async def test_a_running_period_says_so_or_is_kept_back(client: Client, services: Any):
    running = {"period": "2026-03"}
    assert (await client("regulator-1").get(INSTITUTIONS, params=running)).json()["is_final"] is False
    services.settings = services.settings.model_copy(update={"scorecards_only_over": True})
    assert (await client("regulator-1").get(INSTITUTIONS, params=running)).status_code == 422
    assert (await client("regulator-1").get(INSTITUTIONS, params=MONTH)).status_code == 200


async def test_while_views_are_rebuilt_there_is_no_card(client: Client, views: FakeViews):
    views.rebuilding = True
    answer = await client("regulator-1").get(INSTITUTIONS, params=MONTH)
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:liandong:problem:views-rebuilding")


async def test_a_card_is_computed_once_in_a_few_seconds(client: Client, views: FakeViews):
    bank = client("bank-001")
    before = (await bank.get(INSTITUTIONS, params=MONTH)).json()
    views.books[CardKind.INSTITUTION, "2026-02"]["bank-001"]["reports_telecom_fraud"] = 99
    assert (await bank.get(INSTITUTIONS, params=MONTH)).json() == before
