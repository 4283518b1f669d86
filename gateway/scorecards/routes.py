"""Routes of scorecards: statistics of institutions for their regulator, figures of member units for the coordination body.

Invariant: the two are separate (Arts. 7, 45), and neither names a person, subject or case. An institution sees its own row and an
officer those of his units, as in the whole card: without the others, their total and their ranking.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field
from starlette.responses import Response

from gateway.http.call import Call
from gateway.http.caller import Role
from gateway.http.endpoint import Endpoint
from gateway.http.problem_sets import QUERY
from gateway.http.problems import Problem
from gateway.http.request_body import RequestQuery, read_query
from gateway.http.responses import dumped
from gateway.http.roles import CARD_READERS
from gateway.scorecards.service import ScorecardService
from gateway.security.audit import accessed
from gateway.settings import GatewaySettings
from schemas.common import Name
from schemas.scorecards import LAYOUTS, CardKind, CardRow, Period, Rank, Scorecard
from stream_processors.domain.scorecards import ranking, to_csv
from stream_processors.domain.scorecards.export import PERCENTILES

_WHOLE = {CardKind.INSTITUTION: Role.REGULATOR, CardKind.UNIT: Role.COORDINATOR}
"""Roles that see all rows of a scorecard."""
_CSV = "text/csv"


class CardQuery(RequestQuery):
    """`period`: a month as `2026-11` (or a day or year, as the operator sets). `rank_by`: a count, a ratio or a time
    (`time_report.p90`) that ranks the parties. `format`: replaces `Accept`."""

    period: Period
    party: Name | None = None
    rank_by: str | None = Field(default=None, max_length=80)
    order: Literal["highest", "lowest"] = "highest"
    format: Literal["json", "csv"] | None = None


class ScorecardOut(BaseModel):
    """`is_final`: whether the period has ended; the figures of a running one still change. Counts from 1 to `threshold - 1` are
    small: `suppressed` lists the members that a row does not show. `permille` are ratios; times are in seconds, within
    `error_percent`."""

    kind: CardKind
    period: Period
    is_final: bool
    threshold: int
    error_percent: int
    rows: tuple[CardRow, ...]
    total: CardRow | None = None
    ranking: tuple[Rank, ...] | None = None


class _View(NamedTuple):
    """The part of a card that a caller may see."""

    sees_all: bool
    mine: Callable[[str], bool]


async def get_institutions(call: Call) -> Response:
    """Returns the statistics of institutions in a period for the regulator: reports and their delay, duties in time, late and
    missing, precision, orders, money stopped. An institution gets its own row."""
    return await _answer_card(call, CardKind.INSTITUTION)


async def get_units(call: Call) -> Response:
    """Returns the figures of member units in a period for the coordination body: cases, acknowledgement and disposal in time,
    missed deadlines, answered letters, submitted data. An officer gets the rows of the queues in his token."""
    return await _answer_card(call, CardKind.UNIT)


async def _answer_card(call: Call, kind: CardKind) -> Response:
    query, cards = _read_card_query(call, kind), call.find_service(ScorecardService)
    view = _view_of(call, kind)
    if query.party is not None and not view.mine(query.party):
        raise Problem("forbidden", "you may see your own figures only")
    if query.rank_by is not None and not view.sees_all:
        raise Problem("forbidden", "a ranking shows the figures of others, which you may not see")
    scorecard = await cards.card(kind, query.period)
    rows = tuple(row for row in scorecard.rows if view.mine(row.party) and query.party in (None, row.party))
    accessed(call.caller, "scorecard", kind=kind.value, period=query.period, rows=len(rows))
    shown = scorecard.model_copy(update={"rows": rows})
    if query.format == "csv" or (query.format is None and _CSV in call.request.headers.get("accept", "")):
        return _as_csv(shown, total=view.sees_all)
    ranks = None
    if query.rank_by is not None:
        all_ranks = ranking(scorecard, query.rank_by, highest_first=query.order == "highest")
        ranks = tuple(rank for rank in all_ranks if query.party in (None, rank.party))
    members = {name: getattr(shown, name) for name in ("kind", "period", "threshold", "error_percent", "rows")}
    over = query.period < cards.running()
    return dumped(
        ScorecardOut.model_construct(**members, is_final=over, total=scorecard.total if view.sees_all else None, ranking=ranks)
    )


def _as_csv(card: Scorecard, *, total: bool) -> Response:
    headers = {"content-disposition": f'attachment; filename="{card.kind.value}s-{card.period}.csv"'}
    return Response(to_csv(card, total=total), 200, headers, f"{_CSV}; charset=utf-8")


def _view_of(call: Call, kind: CardKind) -> _View:
    caller = call.caller
    if caller.role is _WHOLE[kind]:
        return _View(True, lambda party: True)
    if kind is CardKind.UNIT:
        return _View(False, caller.may_work_on)
    return _View(False, lambda party: party == caller.subject)


def _read_card_query(call: Call, kind: CardKind) -> CardQuery:
    """The query, for a card that exists."""
    query = read_query(call, CardQuery)
    settings, cards = call.find_service(GatewaySettings), call.find_service(ScorecardService)
    if not _is_one(query.period) or len(query.period) != cards.length:
        raise _refuse_query("period", f"send one {settings.scorecards_period} of the calendar, for example {cards.running()}")
    if settings.scorecards_only_over and query.period >= cards.running():
        raise _refuse_query("period", "the scorecard is available after the end of the period")
    if query.rank_by is not None and query.rank_by not in _FIGURES[kind]:
        raise _refuse_query("rank_by", "the scorecard has no such figure")
    return query


def _refuse_query(name: str, detail: str) -> Problem:
    return Problem("invalid-request", f"/{name}: {detail}", errors=[{"pointer": f"/{name}", "detail": detail}])


def _is_one(period: str) -> bool:
    """Whether the calendar has the period."""
    try:
        date.fromisoformat(f"{period}-01-01"[:10])
    except ValueError:
        return False
    return True


def _list_figures(kind: CardKind) -> frozenset[str]:
    layout = LAYOUTS[kind]
    counts = [figure for family in layout.families for figure in family.figures]
    times = [f"{time.name}.{percent}" for time in layout.times for percent in PERCENTILES]
    return frozenset([*counts, *(ratio.name for ratio in layout.ratios), *times])


_FIGURES = {kind: _list_figures(kind) for kind in CardKind}
ENDPOINTS = [
    Endpoint(
        "GET",
        "/v1/scorecards/institutions",
        get_institutions,
        CARD_READERS[CardKind.INSTITUTION],
        "Retrieve the statistics of institutions",
        query=CardQuery,
        answer=ScorecardOut,
        alternate_media=_CSV,
        problems=QUERY,
    ),
    Endpoint(
        "GET",
        "/v1/scorecards/units",
        get_units,
        CARD_READERS[CardKind.UNIT],
        "Retrieve the figures of member units",
        query=CardQuery,
        answer=ScorecardOut,
        alternate_media=_CSV,
        problems=QUERY,
    ),
]
