"""Scorecards: statistics of institutions and figures of member units. The countable parts of a fact, the cells, the card.

The two kinds are separate (Arts. 7, 45): institutions are for the regulator, units (agencies) for the coordination body, and no
figure has the same name in both. Invariant: only counts, sums, times and names of parties; no person, subject or case.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, StringConstraints

from schemas.common import AmountMinor, Currency, Instant, Name, PartyId, Stored

Period = Annotated[str, StringConstraints(pattern=r"^\d{4}(-\d{2}(-\d{2})?)?$")]
"""A day, month or year of China's time: `2026-03-02`, `2026-03`, `2026`."""


class CardKind(StrEnum):
    """INSTITUTION: statistics for the regulator (Arts. 21, 22). UNIT: the appraisal of member units (Arts. 45 to 47)."""

    INSTITUTION = "institution"
    UNIT = "unit"


class FigureFamily(NamedTuple):
    """A count and its parts; without parts the count itself. `money`: sums in fen of the counted items."""

    name: str
    parts: tuple[str, ...] = ()
    money: tuple[str, ...] = ()

    @property
    def figures(self) -> tuple[str, ...]:
        return (self.name, *self.parts, *self.money)


class FigureRatio(NamedTuple):
    """Two counts of one family."""

    name: str
    part: str
    whole: str


class FigureTime(NamedTuple):
    """Duration of the items of a family, shown only if the whole family is."""

    name: str
    of: str


def _duty(name: str) -> FigureFamily:
    return FigureFamily(f"{name}_due", (f"{name}_in_time", f"{name}_late", f"{name}_missing"))


def _outcomes(name: str) -> tuple[str, ...]:
    return tuple(f"{name}_{how}" for how in ("in_time", "late", "refused", "failed", "missing", "open"))


class Layout(NamedTuple):
    """Figures of a card of one kind, in order. New figures go to the end of their list, so that columns stay stable."""

    families: tuple[FigureFamily, ...]
    ratios: tuple[FigureRatio, ...]
    times: tuple[FigureTime, ...]


LAYOUTS: dict[CardKind, Layout] = {
    CardKind.INSTITUTION: Layout(
        (
            FigureFamily("reports", ("reports_telecom_fraud", "reports_illegal_finance", "reports_organized_crime")),
            FigureFamily("reports_withdrawn"),
            FigureFamily("reports_repeated"),
            FigureFamily("reports_faulty"),
            FigureFamily("disposed", ("confirmed", "false_positive", "insufficient")),
            _duty("report"),
            _duty("warn"),
            _duty("block"),
            FigureFamily("orders", _outcomes("orders")),
            FigureFamily("stops", (), ("stopped_minor",)),
            FigureFamily("freezes", (), ("frozen_minor",)),
            FigureFamily("returns", (), ("returned_minor",)),
            FigureFamily("blocks", (), ("blocked_minor",)),
            FigureFamily("warnings"),
            FigureFamily("campaigns"),
            FigureFamily("campaign_reached"),
            _duty("suspicious_report"),
        ),
        (
            FigureRatio("precision", "confirmed", "disposed"),
            FigureRatio("reports_in_time", "report_in_time", "report_due"),
            FigureRatio("warned_in_time", "warn_in_time", "warn_due"),
            FigureRatio("blocked_in_time", "block_in_time", "block_due"),
            FigureRatio("orders_executed_in_time", "orders_in_time", "orders"),
            FigureRatio("suspicious_reports_in_time", "suspicious_report_in_time", "suspicious_report_due"),
        ),
        (
            FigureTime("time_report", "reports"),
            FigureTime("time_warn", "warn_due"),
            FigureTime("time_block", "block_due"),
            FigureTime("time_order", "orders"),
        ),
    ),
    CardKind.UNIT: Layout(
        (
            FigureFamily("cases"),
            FigureFamily("cases_emptied"),
            FigureFamily(
                "cases_disposed",
                ("cases_confirmed", "cases_false_positive", "cases_insufficient", "cases_transferred", "cases_otherwise"),
            ),
            _duty("acknowledge"),
            _duty("dispose"),
            _duty("notice"),
            FigureFamily("letters", _outcomes("letters")),
            FigureFamily("data", ("data_in_time", "data_late", "data_concealed", "data_omitted", "data_refused", "data_open")),
        ),
        (
            FigureRatio("acknowledged_in_time", "acknowledge_in_time", "acknowledge_due"),
            FigureRatio("disposed_in_time", "dispose_in_time", "dispose_due"),
            FigureRatio("letters_answered_in_time", "letters_in_time", "letters"),
            FigureRatio("data_handed_in_in_time", "data_in_time", "data"),
        ),
        (FigureTime("time_acknowledge", "acknowledge_due"), FigureTime("time_dispose", "cases_disposed")),
    ),
}


class FigureCell(NamedTuple):
    """The target of an addition. The bucket of a time is a figure of its own: `time_report:017`."""

    kind: CardKind
    party: str
    period: str
    figure: str


class Add(NamedTuple):
    """Adding is commutative: the view is the sum in any order."""

    cell: FigureCell
    n: int


class CaseCore(Stored):
    """Countable members of a case. `unit` is its queue; `institutions` reported its live signals, empty before its disposal."""

    unit: Name
    opened_at: Instant
    emptied: bool = False
    disposed_at: Instant | None = None
    disposition: Name | None = None
    institutions: tuple[PartyId, ...] = ()


class DeadlineFigures(Stored):
    """One run of a duty's deadline. `party` has owed it since its start. `late`: the act that stopped it was late."""

    name: Name
    run: int
    party: Name
    state: Name
    started_at: Instant
    due_at: Instant
    stopped_at: Instant | None = None
    late: bool | None = None


class OrderFigures(Stored):
    """An order at its recipient. `held_minor`: the most that it held; `paid_minor`: the amount returned. `late`: answered after
    its deadline; `overdue`: the deadline ended before any answer."""

    order_id: Name
    kind: Name
    recipient: Name
    state: Name
    issued_at: Instant | None = None
    executed_at: Instant | None = None
    late: bool = False
    overdue: bool = False
    held_minor: AmountMinor = 0
    paid_minor: AmountMinor = 0
    currency: Currency | None = None


class MeasureFigures(Stored):
    """A measure that an institution took by itself. `amount_minor`: the blocked amount."""

    measure_id: Name
    institution: PartyId
    kind: Name
    recorded_at: Instant
    amount_minor: AmountMinor | None = None
    currency: Currency | None = None


class CampaignFigures(Stored):
    """An educational campaign (Art. 22): the number of persons reached, as the institution reports."""

    campaign_id: Name
    institution: PartyId
    held_at: Instant
    people_reached: int = Field(ge=0, le=10**9)
    withdrawn: bool = False


Finding = Literal["concealed", "omitted", "refused"]
"""瞒报、漏报、拒报 (Art. 46(5))."""


class DataFigures(Stored):
    """Appraisal data that a unit had to submit by `due_at`."""

    request_id: Name
    unit: Name
    due_at: Instant
    submitted_at: Instant | None = None
    finding: Finding | None = None
    withdrawn: bool = False


class Figures(Stored):
    """Countable parts at one moment. A fact contains only those that it changed."""

    case: CaseCore | None = None
    deadlines: tuple[DeadlineFigures, ...] = ()
    orders: tuple[OrderFigures, ...] = ()
    measures: tuple[MeasureFigures, ...] = ()
    campaigns: tuple[CampaignFigures, ...] = ()
    data: tuple[DataFigures, ...] = ()


class CountedFigures(Stored):
    """The changed parts before and after, which a fact carries so that a correction needs nothing else."""

    before: Figures
    after: Figures


class Percentiles(Stored):
    """Seconds, each within `Scorecard.error_percent` of the exact value. Times over 400 days count as 400 days."""

    p50_s: int
    p90_s: int
    p99_s: int


class CardRow(Stored):
    """The figures of one party, or the total. `suppressed` figures appear in none of the others. A missing ratio or time has no
    data or depends on a hidden figure."""

    party: str
    counts: dict[str, int]
    suppressed: tuple[str, ...] = ()
    permille: dict[str, int] = {}
    durations: dict[str, Percentiles] = {}


class Scorecard(Stored):
    """The card of a period, parties in order of name. Counts from 1 to `threshold - 1` are never shown and cannot be computed."""

    kind: CardKind
    period: Period
    threshold: int
    error_percent: int
    rows: tuple[CardRow, ...]
    total: CardRow


class Rank(Stored):
    """The rank of a party by one figure; equal values share it."""

    rank: int
    party: str
    value: int


class Sample(NamedTuple):
    """A sample of a metric as data. The metrics file declares the family."""

    metric: str
    labels: tuple[tuple[str, str], ...]
    value: float
