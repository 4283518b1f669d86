"""Views of a case: the whole case for its officers, its own part for an institution.

Invariant: an institution reads the number of others, never their names, and of officers only their orders.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from gateway.http.caller import Caller
from gateway.http.responses import LinksOut, copy_fields, words
from gateway.rendering.case_parts import (
    AppealOut,
    CaseRenderer,
    DeadlineOut,
    DissuasionOut,
    MeasureOut,
    OrderOut,
    deadline_out,
    own_appeals,
    own_deadlines,
    own_dissuasions,
    own_orders,
)
from gateway.rendering.cases import CaseOut, case_out
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
    """A case as an institution sees it: `other_institutions` counts the other institutions that report its subject. `signals`:
    the newest of its own. For leads of organized crime neither is shown, nor the time of opening."""

    case_id: str
    opened_at: Instant | None
    merged_into: str | None = None
    other_institutions: int
    signals: list[OwnSignalOut]
    measures: list[MeasureOut]
    orders: list[OrderOut]
    dissuasions: list[DissuasionOut]
    appeals: list[AppealOut]
    deadlines: list[DeadlineOut]
    links: LinksOut


def officers_case(case: Case, sealer: Sealer, caller: Caller, now: datetime) -> CaseOut:
    """Returns all of it; `allowed_transitions` are the actions that the state of the case allows now."""
    teller = CaseRenderer(sealer, caller)
    loop = {
        "phase": phase_of(case, now),
        "allowed_transitions": words(case_moves(case, now)),
        "deadlines": [deadline_out(clock) for clock in case.deadlines],
        "measures": [teller.measure(measure, case) for measure in case.measures],
        "orders": [teller.order(order, case) for order in case.orders],
        "dissuasions": [teller.dissuasion(dissuasion) for dissuasion in case.dissuasions],
        "appeals": [teller.appeal(appeal, case) for appeal in case.appeals],
        "transfers": [teller.transfer(transfer, case) for transfer in case.transfers],
    }
    return case_out(case, sealer, now, complete=True).model_copy(update=loop)


def own_case(case: Case, sealer: Sealer, caller: Caller) -> OwnCaseOut:
    """Returns the institution's own part of the case."""
    teller, institution = CaseRenderer(sealer, caller), caller.subject
    signals = {signal.signal_id: signal for signal in reversed(visible_signals(case)) if signal.institution == institution}
    return OwnCaseOut(
        case_id=case.case_id,
        opened_at=_opened_at(case),
        merged_into=case.merged_into,
        other_institutions=others(case, institution),
        signals=[OwnSignalOut(**copy_fields(OwnSignalOut, signal)) for signal in reversed(signals.values())],
        measures=[teller.measure(measure, case) for measure in case.measures if measure.institution == institution],
        orders=[teller.order(order, case) for order in own_orders(case, institution)],
        dissuasions=[teller.dissuasion(dissuasion) for dissuasion in own_dissuasions(case, institution)],
        appeals=[teller.appeal(appeal, case) for appeal in own_appeals(case, institution)],
        deadlines=[deadline_out(clock) for clock in own_deadlines(case, institution)],
        links=LinksOut(self=f"/v1/cases/{case.case_id}"),
    )


def _opened_at(case: Case) -> datetime | None:
    """The time of opening that an institution may know: for leads of organized crime there is none."""
    if not has_leads(case):
        return case.opened_at
    return min((signal.accepted_at for signal in visible_signals(case)), default=None)
