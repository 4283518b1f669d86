"""Orders and measures in their case: permitted actors, and the effect of a disposal on all orders. Pure.

domain/orders/order_book.py decides on the order itself, domain/measures.py on the measure. Invariant: only the holder of a case
may request something new; every officer of the unit may undo something at any time, because somebody waits for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple

from schemas.cases.case import Case, CaseStatus, Disposition
from schemas.deadlines import DeadlineName, DeadlineState, Length
from schemas.ids import ORDER, name_of
from schemas.notices import Notification, NotificationKind
from schemas.orders.kinds import ABOUT_ANOTHER, REVERSIBLE, OrderKind
from schemas.orders.order import LIVE, Order, OrderDraft, OrderEvent, OrderEventKind, OrderState
from stream_processors.domain import measures
from stream_processors.domain.cases import deadlines as case_clocks
from stream_processors.domain.cases.state import state_of
from stream_processors.domain.cases.step import CaseEffects, CaseStep
from stream_processors.domain.deadlines import calendar as calendars
from stream_processors.domain.orders import order_book as orders
from stream_processors.domain.orders.order import acting
from stream_processors.domain.orders.order_book import OrdersChange
from stream_processors.domain.orders.step import is_unlifted
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import ActorRole, DeadlineStart, DeadlineStop, Ends, party

SENDS_ON = "stage:deliver"
"""The stage that forwards actions on a merged case to the case that absorbed it."""
_TO_RECIPIENT = frozenset({NotificationKind.ORDER, NotificationKind.RELEASE})
"""Only the recipient of the order may do these, which may be the unit that had the case before."""


def ends_of(step: CaseStep) -> Ends:
    """The ends of lengths and deadlines of the policy by the place's calendar."""

    def ends(began: datetime, length: Length | DeadlineName) -> datetime:
        if isinstance(length, Length):
            return calendars.add(began, length, working=length.unit == "working_days", calendar=step.calendar).at
        rule = step.policy.deadlines.rule(length, step.case.severity)
        assert rule is not None  # the policy names no clock that it does not have
        return calendars.add(began, rule.length, working=rule.working, calendar=step.calendar).at

    return ends


def add_measure(step: CaseStep) -> CaseEffects | Refusal:
    """An institution's measure joins the case that it reported to, or got an order in. A measure for a case that was merged
    meanwhile is forwarded by a stage; it was accepted, so it counts as the institution's here, too."""
    measure, who = step.action.measure, party(step.actor)
    assert measure is not None
    sent_on = step.actor == SENDS_ON
    if not sent_on and (who.role != ActorRole.INSTITUTION or who.id != measure.institution):
        return Refusal("forbidden", "only the institution that took a measure may report it")
    if not sent_on and who.id not in concerned(step.case):
        return Refusal("unknown-case", f"there is no case {step.case.case_id}")  # as of one that does not exist
    theirs = tuple(
        clock
        for clock in step.case.deadlines
        if clock.about == measure.institution and clock.state is not DeadlineState.CANCELLED
    )
    due_at = {clock.name: clock.due_at for clock in theirs}
    running = frozenset(clock.name for clock in theirs if clock.state in case_clocks.RUNNING)
    change = measures.add(measures=step.case.measures, measure=measure, due_at=due_at, running=running, now=step.now)
    if change.refused is not None:
        return change.refused
    if change.echo:
        return CaseEffects({})
    return CaseEffects(
        {"measures": change.measures}, starts=() if _nothing_owed(step.case) else change.starts, stops=change.stops
    )


def _nothing_owed(case: Case) -> bool:
    """Whether the institutions' duties were cancelled: nobody reports the case any more, or it was a false alarm."""
    over = case.status in (CaseStatus.DISPOSED, CaseStatus.CLOSED)
    return case.status is CaseStatus.RETRACTED or (over and case.disposition is Disposition.FALSE_POSITIVE)


def concerned(case: Case) -> set[str]:
    """The institutions involved in the case: they report it, or got an order or a request in it."""
    ordered = {order.recipient for order in case.orders if order.issued_at is not None}
    return {*case.institutions, *ordered, *(reach.party for dissuasion in case.dissuasions for reach in dissuasion.reachable_by)}


def move_order(step: CaseStep) -> CaseEffects | Refusal:
    """An event of one order."""
    event, case = step.action.order, step.case
    assert event is not None
    refusal = _check_officer(step, event)
    if refusal is not None:
        return refusal
    change = decided(step, case.orders, event)
    return change.refused if change.refused is not None else _effects_of(change)


def decided(step: CaseStep, current: tuple[Order, ...], event: OrderEvent) -> OrdersChange:
    """Decides on the event. Notifications of a unit go to the one that has the case now, not to the one that ordered."""
    named = event.model_copy(update={"event_id": step.action.action_id})
    change = orders.decide(
        orders=current,
        event=named,
        actor=step.actor,
        rules=step.policy.orders,
        now=step.now,
        ends=ends_of(step),
        elsewhere=step.elsewhere,
    )
    here = {"recipient": step.case.queue}
    before = {order.agency for order in change.orders} - {step.case.queue}
    moved = [notice.recipient in before and notice.kind not in _TO_RECIPIENT for notice in change.notices]
    readdressed = tuple(
        notice.model_copy(update=here) if is_moved else notice for notice, is_moved in zip(change.notices, moved, strict=True)
    )
    return change._replace(notices=readdressed) if before else change


def _effects_of(change: OrdersChange) -> CaseEffects:
    return CaseEffects({"orders": change.orders}, change.notices, change.starts, change.stops)


def _check_officer(step: CaseStep, event: OrderEvent) -> Refusal | None:
    """An officer of the unit in charge who requests something new must hold the case. An order must name its own case."""
    case, draft = step.case, event.draft
    if draft is not None and draft.case_id != case.case_id:
        return Refusal("unknown-case", "the order belongs to another case")
    if acting(step.actor, event).role != ActorRole.OFFICER:
        return None
    if case.status is CaseStatus.MERGED:
        return Refusal("transition-not-allowed", f"this case was merged into {case.merged_into}; issue the order there")
    if event.kind is not OrderEventKind.ISSUE or (draft is not None and draft.kind in ABOUT_ANOTHER):
        return None
    if case.holder != step.action.officer or state_of(case, step.now) != CaseStatus.CLAIMED:
        return Refusal("not-holder", "claim the case first; only its holder may issue orders")
    return None


class Undone(NamedTuple):
    changes: dict[str, Any]
    notices: tuple[Notification, ...] = ()
    starts: tuple[DeadlineStart, ...] = ()
    stops: tuple[DeadlineStop, ...] = ()


def undo_all(step: CaseStep, only: Iterable[str] = ()) -> Undone:
    """Reverses every lasting order (of those named in `only`, if any): an order that nobody was notified of is withdrawn, any
    other gets a release, including one that expired without a confirmed lift. An order that is already being released stays as it
    is."""
    selected = set(only)
    current, total = step.case.orders, Undone({})
    for number, order in enumerate(step.case.orders):
        if selected and order.order_id not in selected:
            continue
        event = _event_that_undoes(order, name_of(ORDER, order.case_id, f"{step.action.action_id}.{number}"))
        change = decided(step, current, event) if event is not None else None
        if change is not None and change.refused is None:
            current = change.orders
            notices = (*total.notices, *change.notices)
            total = Undone({"orders": current}, notices, (*total.starts, *change.starts), (*total.stops, *change.stops))
    return total


def _event_that_undoes(order: Order, name: str) -> OrderEvent | None:
    if order.state is OrderState.AWAITING_APPROVAL and order.kind is not OrderKind.RELEASE:
        return OrderEvent.trusted(event_id=name, order_id=order.order_id, kind=OrderEventKind.WITHDRAW)
    ran_out = order.state is OrderState.EXPIRED and is_unlifted(order)
    if order.kind not in REVERSIBLE or not (order.state in LIVE or ran_out):
        return None
    draft = OrderDraft.trusted(
        order_id=name,
        kind=OrderKind.RELEASE,
        case_id=order.case_id,
        agency=order.agency,
        recipient=order.recipient,
        related_order_id=order.order_id,
    )
    return OrderEvent.trusted(event_id=name, order_id=name, kind=OrderEventKind.ISSUE, draft=draft)
