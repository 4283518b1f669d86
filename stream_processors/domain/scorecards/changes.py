"""The countable parts of a case's change before and after, for the scorecards. Pure.

Invariant: an item that drops off a bounded list keeps its last count: only the content of the case after the change is compared.
So a removal must be explicit (a state, `withdrawn`), never an omission.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from schemas.cases.case import CaseStatus
from schemas.deadlines import DeadlineState
from schemas.scorecards import CaseCore, CountedFigures, DeadlineFigures, Figures, MeasureFigures, OrderFigures

UNIT_DUTIES = {
    "acknowledge": "acknowledge",
    "dispose": "dispose",
    "written_notice": "notice",
    "appeal": "notice",
    "release": "notice",
}
"""Deadlines that the unit of the case owes -> the duty that each one measures."""
INSTITUTION_DUTIES = {"report": "report", "warn": "warn", "block": "block", "suspicious_report": "suspicious_report"}
"""Deadlines that the institution they concern owes. Other deadlines (how long a stop holds) are nobody's duty."""


class DeadlineLike(Protocol):
    """`state`: open, fired, stopped (done, in time or late), cancelled. `about`: the institution, for its duty."""

    @property
    def name(self) -> str: ...
    @property
    def run(self) -> int: ...
    @property
    def about(self) -> str | None: ...
    @property
    def state(self) -> str: ...
    @property
    def started_at(self) -> datetime: ...
    @property
    def due_at(self) -> datetime: ...
    @property
    def stopped_at(self) -> datetime | None: ...
    @property
    def fired_at(self) -> datetime | None: ...
    @property
    def late(self) -> bool | None: ...


class OrderLike(Protocol):
    """`executed_at`: when it was carried out or answered; `late`, `overdue`: by its deadline."""

    @property
    def order_id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def recipient(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def issued_at(self) -> datetime | None: ...
    @property
    def executed_at(self) -> datetime | None: ...
    @property
    def late(self) -> bool: ...
    @property
    def overdue(self) -> bool: ...
    @property
    def held_minor(self) -> int: ...
    @property
    def paid_minor(self) -> int: ...
    @property
    def currency(self) -> str | None: ...


class MeasureLike(Protocol):
    @property
    def measure_id(self) -> str: ...
    @property
    def institution(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def recorded_at(self) -> datetime: ...
    @property
    def amount_minor(self) -> int | None: ...
    @property
    def currency(self) -> str | None: ...


class CaseLike(Protocol):
    """A case with its orders, deadlines and measures."""

    @property
    def queue(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def opened_at(self) -> datetime: ...
    @property
    def disposed_at(self) -> datetime | None: ...
    @property
    def disposition(self) -> str | None: ...
    @property
    def institutions(self) -> tuple[str, ...]: ...
    @property
    def deadlines(self) -> Sequence[DeadlineLike]: ...
    @property
    def orders(self) -> Sequence[OrderLike]: ...
    @property
    def measures(self) -> Sequence[MeasureLike]: ...


def counted(before: CaseLike | None, after: CaseLike, elsewhere: Sequence[MeasureLike] = ()) -> CountedFigures | None:
    """The countable part of a change's fact. None if nothing countable changed, as with most joins. `elsewhere`: measures handed
    over by another case, which counted there."""
    was = figures_of(before) if before is not None else Figures.trusted()
    if elsewhere:
        handed = tuple(_copy_fields(MeasureFigures, measure) for measure in elsewhere)
        was = was.model_copy(update={"measures": (*was.measures, *handed)})
    now = figures_of(after)
    return difference(was, now)


def difference(was: Figures, now: Figures) -> CountedFigures | None:
    """The parts of `now` that changed. Campaigns and appraisal data come here directly."""
    old: dict[str, Any] = {}
    new: dict[str, Any] = {}
    if was.case != now.case:
        old["case"], new["case"] = was.case, now.case
    for name, key in _KEYS.items():
        previous = {key(part): part for part in getattr(was, name)}
        items = [_at_most(previous.get(key(part)), part) for part in getattr(now, name)]
        new[name] = tuple(part for part in items if previous.get(key(part)) != part)
        old[name] = tuple(previous[key(part)] for part in new[name] if key(part) in previous)
    if not any(new.values()):
        return None
    return CountedFigures.trusted(before=Figures.trusted(**old), after=Figures.trusted(**new))


_KEYS: dict[str, Callable[[Any], Any]] = {
    "deadlines": lambda clock: (clock.name, clock.run),
    "orders": lambda order: order.order_id,
    "measures": lambda measure: measure.measure_id,
    "campaigns": lambda campaign: campaign.campaign_id,
    "data": lambda request: request.request_id,
}


def _at_most(was: Any, now: Any) -> Any:
    """An order that holds less than before (released, expired, paid back) did stop the earlier amount."""
    if isinstance(now, OrderFigures) and was is not None and now.held_minor < was.held_minor:
        return now.model_copy(update={"held_minor": was.held_minor})
    return now


def figures_of(case: CaseLike) -> Figures:
    """All countable parts of a case."""
    return Figures.trusted(
        case=_core_of(case),
        deadlines=tuple(figures for clock in case.deadlines if (figures := _clock_figures(clock, case)) is not None),
        orders=tuple(_copy_fields(OrderFigures, order) for order in case.orders),
        measures=tuple(_copy_fields(MeasureFigures, measure) for measure in case.measures),
    )


def _core_of(case: CaseLike) -> CaseCore:
    # A case that was opened again keeps its disposition to be read; it counts no more until the next one.
    disposed = case.status in (CaseStatus.DISPOSED, CaseStatus.CLOSED)
    return CaseCore.trusted(
        unit=case.queue,
        opened_at=case.opened_at,
        emptied=case.status == CaseStatus.RETRACTED,
        disposed_at=case.disposed_at if disposed else None,
        disposition=str(case.disposition) if disposed else None,
        institutions=tuple(case.institutions) if disposed else (),
    )


def _clock_figures(clock: DeadlineLike, case: CaseLike) -> DeadlineFigures | None:
    if clock.name in UNIT_DUTIES:
        # A case that changes its unit takes running clocks along, unless the clock says whose it is.
        party = getattr(clock, "unit", None) or case.queue
    elif clock.name in INSTITUTION_DUTIES and clock.about:
        party = clock.about
    else:
        return None
    return DeadlineFigures.trusted(
        name=clock.name,
        run=clock.run,
        party=party,
        state=DeadlineState.FIRED if _missed_for_good(clock, case) else str(clock.state),
        started_at=clock.started_at,
        due_at=clock.due_at,
        stopped_at=clock.stopped_at,
        late=clock.late,
    )


def _missed_for_good(clock: DeadlineLike, case: CaseLike) -> bool:
    """A missed deadline stays missed after a transfer, a merge or the party's departure (marked late). It is cleared only if the
    case was a false alarm or has no signals left."""
    if clock.state != DeadlineState.CANCELLED or clock.fired_at is None or case.status == CaseStatus.RETRACTED:
        return False
    return clock.late is True or clock.name in UNIT_DUTIES or case.status == CaseStatus.MERGED


def _copy_fields(model: type[Any], source: object) -> Any:
    return model.trusted(**{name: getattr(source, name) for name in model.model_fields})
