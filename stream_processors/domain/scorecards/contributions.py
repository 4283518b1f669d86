"""The contribution of a fact to the scorecards' cells. Pure: from the fact alone, so the view can be projected in any order.

Everything counts in the period in which it began: a report at its LogAppendTime, a case at its opening, a disposal at its
decision, a deadline at its due time, an order at its issue. So numerator and denominator of a ratio cover the same items, and
later knowledge corrects the earlier figure. Invariant: the sum over all facts equals the count of the last state of each item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, MutableMapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from schemas.common import is_unit
from schemas.orders.kinds import ORDER_KINDS, PAYS_BACK, kinds_where
from schemas.scorecards import (
    Add,
    CampaignFigures,
    CardKind,
    CaseCore,
    CountedFigures,
    DataFigures,
    DeadlineFigures,
    FigureCell,
    Figures,
    MeasureFigures,
    OrderFigures,
)
from schemas.signals.assessed import AssessedSignal, AssessOutcome
from schemas.signals.retraction import FOREVER, Contribution
from schemas.signals.submission import PUBLIC, SignalKind
from stream_processors.domain.scorecards.buckets import bucket, names
from stream_processors.domain.scorecards.changes import INSTITUTION_DUTIES, UNIT_DUTIES

CHINA = timedelta(hours=8)
"""China has one legal time, without summer time since 1991. The day of a statistic is a day of this time."""
CNY = "CNY"
INSTITUTION, UNIT = CardKind.INSTITUTION, CardKind.UNIT


class Carries(Protocol):
    """A `CaseChange` with its change to the figures; None: nothing, as in every redelivery and refusal."""

    @property
    def figure_changes(self) -> CountedFigures | None: ...


class Leaf(NamedTuple):
    """An addition to the cells of one figure, in the day, the month and the year of an instant."""

    kind: CardKind
    party: str
    at: datetime
    figure: str
    n: int = 1


def contributions(fact: AssessedSignal | CountedFigures | Carries) -> list[Add]:
    """Each cell once, and only if its sum changes."""
    if isinstance(fact, AssessedSignal):
        return _sum_leaves(signal_leaves(fact))
    change = fact if isinstance(fact, CountedFigures) else fact.figure_changes
    return _sum_leaves(change_leaves(change)) if change is not None else []


def fold(cells: MutableMapping[FigureCell, int], adds: Iterable[Add]) -> None:
    """Adds up. A cell at 0 is dropped, so equal figures are equal mappings."""
    for cell, n in adds:
        total = cells.get(cell, 0) + n
        if total:
            cells[cell] = total
        else:
            cells.pop(cell, None)


def periods(at: datetime) -> tuple[str, str, str]:
    """Day, month and year of an instant in UTC, in China's time."""
    day = (at + CHINA).isoformat()[:10]
    return day, day[:7], day[:4]


def _sum_leaves(leaves: Iterable[Leaf]) -> list[Add]:
    net: dict[FigureCell, int] = {}
    for kind, party, at, figure, n in leaves:
        for period in periods(at):
            cell = FigureCell(kind, party, period, figure)
            net[cell] = net.get(cell, 0) + n
    return [Add(cell, n) for cell, n in net.items() if n]


def _time_leaf(kind: CardKind, party: str, at: datetime, time: str, took: timedelta, n: int = 1) -> Leaf:
    return Leaf(kind, party, at, names(time)[bucket(int(took.total_seconds()))], n)


_RECEIVED = {
    AssessOutcome.DUPLICATE_REFERENCE: "reports_repeated",
    AssessOutcome.DUPLICATE_CONTENT: "reports_repeated",
    AssessOutcome.CONFLICT: "reports_faulty",
    AssessOutcome.REFUSED: "reports_faulty",
}


def signal_leaves(fact: AssessedSignal) -> Iterator[Leaf]:
    """Of a signal or a retraction, or of a view of one (state/record_views.py). A tip counts for nobody, because the public is no
    institution (Art. 48)."""
    for withdrawn in fact.retracted_contributions:
        yield from _uncount_report(withdrawn, fact)
    party = fact.institution
    if party is None or party == PUBLIC or fact.trust == "low":
        return
    if fact.outcome is AssessOutcome.ASSESSED:
        yield from _count_report(party, fact.kind, fact.accepted_at, fact.detected_at or fact.occurred_at, 1)
    elif (figure := _RECEIVED.get(fact.outcome)) is not None:
        yield Leaf(INSTITUTION, party, fact.accepted_at, figure)


_REPORTS = {kind: f"reports_{kind.value}" for kind in SignalKind}


def _count_report(party: str, kind: SignalKind | None, at: datetime, noticed_at: datetime | None, n: int) -> Iterator[Leaf]:
    if kind is not None:
        yield Leaf(INSTITUTION, party, at, _REPORTS[kind], n)
    if noticed_at is not None:
        yield _time_leaf(INSTITUTION, party, at, "time_report", at - noticed_at, n)


def _uncount_report(withdrawn: Contribution, fact: AssessedSignal) -> Iterator[Leaf]:
    """Removes the report from the period in which it counted, which it must name; otherwise the old figure stays."""
    if withdrawn.trust == "low" or withdrawn.institution == PUBLIC:
        return
    if withdrawn.accepted_at is not None:
        yield from _count_report(withdrawn.institution, withdrawn.kind, withdrawn.accepted_at, withdrawn.known_at, -1)
    if fact.below_version == FOREVER:
        yield Leaf(INSTITUTION, withdrawn.institution, withdrawn.accepted_at or fact.accepted_at, "reports_withdrawn")


def change_leaves(change: CountedFigures) -> Iterator[Leaf]:
    """Of a fact's changes, or a view of them: subtracts the old parts and adds the new ones."""
    for leaf in _list_leaves(change.before):
        yield leaf._replace(n=-leaf.n)
    yield from _list_leaves(change.after)


def _list_leaves(figures: Figures) -> Iterator[Leaf]:
    if figures.case is not None:
        yield from _count_core(figures.case)
    for name, leaves in _PARTS:
        for part in getattr(figures, name):
            yield from leaves(part)


_FINDINGS = ("confirmed", "false_positive", "insufficient")


def _count_core(core: CaseCore) -> Iterator[Leaf]:
    yield Leaf(UNIT, core.unit, core.opened_at, "cases_emptied" if core.emptied else "cases")
    if core.disposed_at is None:
        return
    how = core.disposition or ""
    yield Leaf(UNIT, core.unit, core.disposed_at, f"cases_{how}" if how in (*_FINDINGS, "transferred") else "cases_otherwise")
    yield _time_leaf(UNIT, core.unit, core.disposed_at, "time_dispose", core.disposed_at - core.opened_at)
    # What was passed on is no finding about a report yet: the next unit's disposal is.
    for institution in core.institutions if how in _FINDINGS else ():
        yield Leaf(INSTITUTION, institution, core.disposed_at, how)


def _count_clock(clock: DeadlineFigures) -> Iterator[Leaf]:
    kind = UNIT if clock.name in UNIT_DUTIES else INSTITUTION
    duty = UNIT_DUTIES.get(clock.name) or INSTITUTION_DUTIES[clock.name]
    if clock.state == "fired":
        yield Leaf(kind, clock.party, clock.due_at, f"{duty}_missing")
    elif clock.state == "stopped" and clock.stopped_at is not None:
        late = clock.stopped_at > clock.due_at if clock.late is None else clock.late
        yield Leaf(kind, clock.party, clock.due_at, f"{duty}_late" if late else f"{duty}_in_time")
        if duty in _TIMED:
            yield _time_leaf(kind, clock.party, clock.due_at, f"time_{duty}", clock.stopped_at - clock.started_at)


_TIMED = frozenset({"acknowledge", "warn", "block"})
_MONEY = {spec.kind.value: spec.figures for spec in ORDER_KINDS.values() if spec.figures is not None}
_COUNTS_FOR_UNITS = kinds_where(lambda spec: spec.counts_for_units)
"""Art. 48: the supervision letter is the only order to a unit that counts for the unit."""
_REFUSED = {"refused": "refused", "failed": "failed"}
_UNSENT = ("awaiting_approval", "withdrawn")


def _count_order(order: OrderFigures) -> Iterator[Leaf]:
    """A letter to a unit counts for the unit; everything sent to an institution, letters too, counts among its orders."""
    outcome = _outcome_of(order)
    at = order.issued_at
    if outcome is None or at is None:
        return
    if is_unit(order.recipient):
        if order.kind in _COUNTS_FOR_UNITS:
            yield Leaf(UNIT, order.recipient, at, f"letters_{outcome}")
        return
    yield Leaf(INSTITUTION, order.recipient, at, f"orders_{outcome}")
    if order.executed_at is None:
        return
    yield _time_leaf(INSTITUTION, order.recipient, at, "time_order", order.executed_at - at)
    if (figures := _MONEY.get(order.kind)) is None:
        return
    if order.kind in PAYS_BACK:
        yield from _count_money(order.recipient, at, *figures, order.paid_minor, order.currency)
    elif order.held_minor:  # what was carried out after its end held nothing
        yield from _count_money(order.recipient, at, *figures, order.held_minor, order.currency)


def _outcome_of(order: OrderFigures) -> str | None:
    """None: nobody was notified, or it was lifted before its deadline; neither concerns the recipient."""
    if order.state in _UNSENT:
        return None
    if order.executed_at is not None:
        return "late" if order.late or order.overdue else "in_time"
    if order.state in _REFUSED:
        return _REFUSED[order.state]
    if order.overdue or order.state == "expired":
        return "missing"
    return None if order.state == "released" else "open"


MOST_MINOR = 10**13
"""100 billion yuan. A larger item is a mistake in somebody's units, and a few thousand of them would overflow a sum."""


def _count_money(party: str, at: datetime, count: str, money: str, minor: int | None, currency: str | None) -> Iterator[Leaf]:
    """Sums are in yuan; other currencies are in the count only."""
    yield Leaf(INSTITUTION, party, at, count)
    if minor and currency == CNY:
        yield Leaf(INSTITUTION, party, at, money, min(minor, MOST_MINOR))


def _count_measure(measure: MeasureFigures) -> Iterator[Leaf]:
    if measure.kind == "warned":
        yield Leaf(INSTITUTION, measure.institution, measure.recorded_at, "warnings")
    elif measure.kind == "blocked":
        yield from _count_money(
            measure.institution, measure.recorded_at, "blocks", "blocked_minor", measure.amount_minor, measure.currency
        )


def _count_campaign(campaign: CampaignFigures) -> Iterator[Leaf]:
    if not campaign.withdrawn:
        yield Leaf(INSTITUTION, campaign.institution, campaign.held_at, "campaigns")
        yield Leaf(INSTITUTION, campaign.institution, campaign.held_at, "campaign_reached", campaign.people_reached)


def _count_data(data: DataFigures) -> Iterator[Leaf]:
    if not data.withdrawn:
        handed_in = data.submitted_at
        how = "open" if handed_in is None else "late" if handed_in > data.due_at else "in_time"
        yield Leaf(UNIT, data.unit, data.due_at, f"data_{data.finding or how}")


_PARTS: tuple[tuple[str, Callable[[Any], Iterator[Leaf]]], ...] = (
    ("deadlines", _count_clock),
    ("orders", _count_order),
    ("measures", _count_measure),
    ("campaigns", _count_campaign),
    ("data", _count_data),
)
