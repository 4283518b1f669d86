"""Scorecards: statistics of institutions, and figures of member units. What a fact carries, the cells it adds to, the card.

Two kinds are kept apart (Arts. 7, 45): institutions are the regulator's, units (agencies) the coordination body's; no figure has
the same name in both. Invariant: counts, sums, times and names of parties only; nothing here names a person, subject or case.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, NamedTuple

from pydantic import Field, StringConstraints

from schemas.common import AmountMinor, Currency, Instant, Name, PartyId, Stored

Period = Annotated[str, StringConstraints(pattern=r"^\d{4}(-\d{2}(-\d{2})?)?$")]
"""A day, month or year of China's time: `2026-03-02`, `2026-03`, `2026`."""


class CardKind(StrEnum):
    """INSTITUTION: statistics for the regulator (Arts. 21, 22). UNIT: the assessment of member units (Arts. 45 to 47)."""

    INSTITUTION = "institution"
    UNIT = "unit"


class Family(NamedTuple):
    """A count and the parts that it is the sum of; without parts it is counted itself. `money`: sums in fen of what it counts."""

    name: str
    parts: tuple[str, ...] = ()
    money: tuple[str, ...] = ()

    @property
    def figures(self) -> tuple[str, ...]:
        return (self.name, *self.parts, *self.money)


class Ratio(NamedTuple):
    """Two counts of one family."""

    name: str
    part: str
    whole: str


class Time(NamedTuple):
    """How long what a family counts took: shown only where all of that family is."""

    name: str
    of: str


def _duty(name: str) -> Family:
    return Family(f"{name}_due", (f"{name}_in_time", f"{name}_late", f"{name}_missing"))


def _outcomes(name: str) -> tuple[str, ...]:
    return tuple(f"{name}_{how}" for how in ("in_time", "late", "refused", "failed", "missing", "open"))


class Layout(NamedTuple):
    """What a card of one kind shows, in this order. New figures go to the end of their list: columns are stable."""

    families: tuple[Family, ...]
    ratios: tuple[Ratio, ...]
    times: tuple[Time, ...]


LAYOUTS: dict[CardKind, Layout] = {
    CardKind.INSTITUTION: Layout(
        (
            Family("reports", ("reports_telecom_fraud", "reports_illegal_finance", "reports_organized_crime")),
            Family("reports_withdrawn"),
            Family("reports_repeated"),
            Family("reports_faulty"),
            Family("disposed", ("confirmed", "false_positive", "insufficient")),
            _duty("report"),
            _duty("warn"),
            _duty("block"),
            Family("orders", _outcomes("orders")),
            Family("stops", (), ("stopped_minor",)),
            Family("freezes", (), ("frozen_minor",)),
            Family("returns", (), ("returned_minor",)),
            Family("blocks", (), ("blocked_minor",)),
            Family("warnings"),
            Family("campaigns"),
            Family("campaign_reached"),
            _duty("suspicious_report"),
        ),
        (
            Ratio("precision", "confirmed", "disposed"),
            Ratio("reports_in_time", "report_in_time", "report_due"),
            Ratio("warned_in_time", "warn_in_time", "warn_due"),
            Ratio("blocked_in_time", "block_in_time", "block_due"),
            Ratio("orders_executed_in_time", "orders_in_time", "orders"),
            Ratio("suspicious_reports_in_time", "suspicious_report_in_time", "suspicious_report_due"),
        ),
        (
            Time("time_report", "reports"),
            Time("time_warn", "warn_due"),
            Time("time_block", "block_due"),
            Time("time_order", "orders"),
        ),
    ),
    CardKind.UNIT: Layout(
        (
            Family("cases"),
            Family("cases_emptied"),
            Family(
                "cases_disposed",
                ("cases_confirmed", "cases_false_positive", "cases_insufficient", "cases_transferred", "cases_otherwise"),
            ),
            _duty("acknowledge"),
            _duty("dispose"),
            _duty("notice"),
            Family("letters", _outcomes("letters")),
            Family("data", ("data_in_time", "data_late", "data_concealed", "data_omitted", "data_refused", "data_open")),
        ),
        (
            Ratio("acknowledged_in_time", "acknowledge_in_time", "acknowledge_due"),
            Ratio("disposed_in_time", "dispose_in_time", "dispose_due"),
            Ratio("letters_answered_in_time", "letters_in_time", "letters"),
            Ratio("data_handed_in_in_time", "data_in_time", "data"),
        ),
        (Time("time_acknowledge", "acknowledge_due"), Time("time_dispose", "cases_disposed")),
    ),
}


class Cell(NamedTuple):
    """Where an addition goes. A time's bucket is a figure of its own: `time_report:017`."""

    kind: CardKind
    party: str
    period: str
    figure: str


class Add(NamedTuple):
    """Adding is commutative: the view is the sum, in any order."""

    cell: Cell
    n: int


class CaseCore(Stored):
    """What the case itself counts. `unit` is its queue; `institutions` reported its live signals, empty unless it is disposed."""

    unit: Name
    opened_at: Instant
    emptied: bool = False
    disposed_at: Instant | None = None
    disposition: Name | None = None
    institutions: tuple[PartyId, ...] = ()


class ClockFigures(Stored):
    """One running of a duty's clock. `party` owes it, since it was started. `late`: what stopped the clock was done late."""

    name: Name
    run: int
    party: Name
    state: Name
    started_at: Instant
    due_at: Instant
    stopped_at: Instant | None = None
    late: bool | None = None


class OrderFigures(Stored):
    """An order at its recipient. `held_minor`: the most that it held; `paid_minor`: what it returned. `late`: its answer came
    after its time; `overdue`: that time ran out before any answer came."""

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
    """A measure that an institution took by itself. `amount_minor`: what it blocked."""

    measure_id: Name
    institution: PartyId
    kind: Name
    at: Instant
    amount_minor: AmountMinor | None = None
    currency: Currency | None = None


class CampaignFigures(Stored):
    """An educational campaign (Art. 22): how many persons it reached, as the institution says."""

    campaign_id: Name
    institution: PartyId
    at: Instant
    reached: int = Field(ge=0, le=10**9)
    withdrawn: bool = False


Finding = Literal["concealed", "omitted", "refused"]
"""瞒报、漏报、拒报 (Art. 46(5))."""


class DataFigures(Stored):
    """Assessment data that a unit was to hand in by `due_at`."""

    request_id: Name
    unit: Name
    due_at: Instant
    handed_in_at: Instant | None = None
    finding: Finding | None = None
    withdrawn: bool = False


class Figures(Stored):
    """What counts, at one moment. In a fact: only what the fact changed."""

    core: CaseCore | None = None
    clocks: tuple[ClockFigures, ...] = ()
    orders: tuple[OrderFigures, ...] = ()
    measures: tuple[MeasureFigures, ...] = ()
    campaigns: tuple[CampaignFigures, ...] = ()
    data: tuple[DataFigures, ...] = ()


class Counted(Stored):
    """What a fact must carry, so that what it corrects can be taken back from it alone: the changed parts, before and after."""

    before: Figures
    after: Figures


class Percentiles(Stored):
    """Seconds, each within `Scorecard.error_percent` of the exact one. Times over 400 days count as 400 days."""

    p50_s: int
    p90_s: int
    p99_s: int


class CardRow(Stored):
    """One party's figures, or the total's. `hidden` figures are in none of the others; a ratio or time that is missing has no
    data, or hangs on something hidden."""

    party: str
    counts: dict[str, int]
    hidden: tuple[str, ...] = ()
    permille: dict[str, int] = {}
    times: dict[str, Percentiles] = {}


class Scorecard(Stored):
    """A period's card, parties in order of name. A count from 1 to `threshold - 1` is small: never shown, nor to be computed."""

    kind: CardKind
    period: Period
    threshold: int
    error_percent: int
    rows: tuple[CardRow, ...]
    total: CardRow


class Rank(Stored):
    """A party's place by one figure; equal values share it."""

    place: int
    party: str
    value: int


class Sample(NamedTuple):
    """A metric's sample, as data. The family is declared in the file of metrics."""

    metric: str
    labels: tuple[tuple[str, str], ...]
    value: float
