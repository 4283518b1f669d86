"""Views of a case: the whole case for its officers, its own part for an institution.

Invariant: an institution reads the number of others, never their names, and of officers only their orders.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from gateway.cases.responses import CaseOut, LinksOut, case_out
from gateway.orders.responses import (
    ClockOut,
    MeasureOut,
    ObjectionOut,
    OrderOut,
    TaskOut,
    Teller,
    clock_out,
    own_clocks,
    own_objections,
    own_orders,
    own_tasks,
    words,
)
from gateway.security.auth import Caller
from schemas.cases.case import Case
from schemas.common import Instant
from schemas.security import Sealer
from stream_processors.views.allowed_actions import case_moves, has_leads, others, phase_of, visible_signals


class OwnSignalOut(BaseModel):
    signal_id: str
    kind: str
    occurred_at: Instant
    accepted_at: Instant


class OwnCaseOut(BaseModel):
    """A case as an institution sees it: `others` counts the other institutions that report its subject. `signals`: the newest of
    its own. For leads of organized crime neither is shown, nor the time of opening."""

    case_id: str
    opened_at: Instant | None
    merged_into: str | None = None
    others: int
    signals: list[OwnSignalOut]
    measures: list[MeasureOut]
    orders: list[OrderOut]
    tasks: list[TaskOut]
    objections: list[ObjectionOut]
    clocks: list[ClockOut]
    links: LinksOut


def officers_case(case: Case, sealer: Sealer, caller: Caller, now: datetime) -> CaseOut:
    """Returns all of it; `moves` are the actions that the state of the case allows now."""
    teller = Teller(sealer, caller)
    loop = {
        "phase": phase_of(case, now),
        "moves": words(case_moves(case, now)),
        "clocks": [clock_out(clock) for clock in case.clocks],
        "measures": [teller.measure(measure, case) for measure in case.measures],
        "orders": [teller.order(order, case) for order in case.orders],
        "tasks": [teller.task(task) for task in case.tasks],
        "objections": [teller.objection(objection, case) for objection in case.objections],
        "transfers": [teller.transfer(transfer, case) for transfer in case.transfers],
    }
    return case_out(case, sealer, now, complete=True).model_copy(update=loop)


def own_case(case: Case, sealer: Sealer, caller: Caller) -> OwnCaseOut:
    """Returns the institution's own part of the case."""
    teller, institution = Teller(sealer, caller), caller.subject
    signals = {signal.signal_id: signal for signal in reversed(visible_signals(case)) if signal.institution == institution}
    shown = ("signal_id", "kind", "occurred_at", "accepted_at")
    return OwnCaseOut(
        case_id=case.case_id,
        opened_at=_opened_at(case),
        merged_into=case.merged_into,
        others=others(case, institution),
        signals=[OwnSignalOut(**{name: getattr(signal, name) for name in shown}) for signal in reversed(signals.values())],
        measures=[teller.measure(measure, case) for measure in case.measures if measure.institution == institution],
        orders=[teller.order(order, case) for order in own_orders(case, institution)],
        tasks=[teller.task(task) for task in own_tasks(case, institution)],
        objections=[teller.objection(objection, case) for objection in own_objections(case, institution)],
        clocks=[clock_out(clock) for clock in own_clocks(case, institution)],
        links=LinksOut(self=f"/v1/cases/{case.case_id}"),
    )


def _opened_at(case: Case) -> datetime | None:
    """The time of opening that an institution may know: for leads of organized crime there is none."""
    if not has_leads(case):
        return case.opened_at
    return min((signal.accepted_at for signal in visible_signals(case)), default=None)
