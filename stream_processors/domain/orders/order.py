"""Effects of events on an order: a transition table, guards and effects. Pure.

Invariant: an order is carried out at most once; a refused event changes nothing; only the recipient answers: an institution, or
for a letter a unit, for which an officer acts.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from schemas.common import is_unit
from schemas.notices import Notification
from schemas.orders.kinds import (
    ABOUT_ANOTHER,
    HOLDS,
    LETTERS,
    PAID_FROM,
    PAYS_BACK,
    REPLACEABLE,
    REVERSIBLE,
    TAKEDOWNS,
    OrderKind,
)
from schemas.orders.order import HISTORY_KEPT, UNDONE, Order, OrderDraft, OrderEvent, OrderMoved, OrderState
from schemas.orders.order import OrderEventKind as E
from schemas.orders.policy import KindRules, OrderRules
from schemas.refunds import NOTICED
from stream_processors.domain.orders import effects, guards
from stream_processors.domain.orders.step import Follow, OrderEffects, OrderStep, is_part, make_notices
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import (
    NONE,
    ActorRole,
    DeadlineStart,
    DeadlineStop,
    Ends,
    Party,
    Table,
    Transition,
    allow,
    party,
)

S = OrderState
_OFFICER = frozenset({ActorRole.OFFICER})
_RECIPIENT = frozenset({ActorRole.INSTITUTION, ActorRole.UNIT})
_CLOCK = frozenset({ActorRole.STAGE})
_ORDER = frozenset({ActorRole.ORDER})


Row = Transition[Order, OrderStep, OrderEffects, None]


def _is_compared(order: Order) -> bool:
    return bool(order.verify_fields)


def _is_not_compared(order: Order) -> bool:
    return not order.verify_fields


def _has_end(order: Order) -> bool:
    return order.valid_until is not None


def _is_answered(order: Order) -> bool:
    return order.answer_by is not None


def _can_end(order: Order) -> bool:
    return order.kind in REVERSIBLE


def _can_be_called_off(order: Order) -> bool:
    """Only before execution. A return ends with the freeze that it was to be paid from."""
    return order.kind in REVERSIBLE or order.kind in PAYS_BACK


def _can_be_replaced(order: Order) -> bool:
    return order.kind in REPLACEABLE


def _holds_money(order: Order) -> bool:
    return order.kind in HOLDS


def _is_paid_from(order: Order) -> bool:
    return order.kind in PAID_FROM


_may_issue = guards.all_of(
    guards.offered,
    guards.about_another,
    guards.says_what_its_kind_needs,
    guards.has_its_notice,
    guards.only_the_traced,
    guards.held_once,
    guards.under_the_cap,
)
_may_approve = guards.all_of(guards.other_person, _may_issue)
_may_execute = guards.all_of(guards.in_time, guards.done_when_it_could_be, guards.notice_has_ended, guards.what_was_done)
_may_renew = guards.all_of(guards.offered, guards.in_time, guards.other_person_renews, guards.renewable, guards.under_the_cap)
_may_lift = guards.all_of(guards.not_lifted, guards.done_when_it_could_be)
_crossing = guards.all_of(guards.once, guards.done_when_it_could_be, guards.paid_what_was_ordered)
_in_time_compared = guards.all_of(guards.in_time, guards.compared)

_execute: Row = Row((S.EXECUTED,), effects.executed, _RECIPIENT, _may_execute)
_refuse: Row = Row((S.REFUSED,), effects.refused, _RECIPIENT, guards.gives_a_reason)
_fail: Row = Row((S.FAILED,), effects.failed, _RECIPIENT, guards.gives_a_reason)
_verify: Row = Row((S.VERIFIED,), effects.verified, _RECIPIENT, _in_time_compared, _is_compared)
_mismatch: Row = Row((S.REFUSED,), effects.mismatched, _RECIPIENT, guards.names_a_field, _is_compared)
_expire: Row = Row((S.EXPIRED,), effects.expired, _CLOCK, guards.run_out, _has_end)
_release: Row = Row((S.RELEASED,), effects.released, _ORDER, allow, _can_end)
_supersede: Row = Row((S.RELEASED,), effects.released, _ORDER, allow, _can_be_replaced)
_renew: Row = Row((S.RENEWED,), effects.renewed, _OFFICER, _may_renew, _has_end)
_DONE = (S.EXECUTED, S.RENEWED)
_ROWS: dict[tuple[str, str], Row] = {
    (NONE, E.ISSUE): Row((S.ISSUED, S.AWAITING_APPROVAL), effects.drafted, _OFFICER, _may_issue),
    (S.AWAITING_APPROVAL, E.APPROVE): Row((S.ISSUED,), effects.approved, _OFFICER, _may_approve),
    (S.AWAITING_APPROVAL, E.REJECT): Row((S.WITHDRAWN,), effects.dropped, _OFFICER, guards.other_person),
    (S.AWAITING_APPROVAL, E.WITHDRAW): Row((S.WITHDRAWN,), effects.dropped, _OFFICER),
    (S.AWAITING_APPROVAL, E.SUPERSEDE): Row((S.WITHDRAWN,), effects.dropped, _ORDER, allow, _can_be_replaced),
    (S.ISSUED, E.DELIVER): Row((S.DELIVERED,), effects.delivered, _CLOCK | _RECIPIENT),
    **{(state, E.VERIFY): _verify for state in (S.ISSUED, S.DELIVERED)},
    **{(state, E.MISMATCH): _mismatch for state in (S.ISSUED, S.DELIVERED)},
    **{(state, E.EXECUTE): _execute._replace(when=_is_not_compared) for state in (S.ISSUED, S.DELIVERED)},
    (S.VERIFIED, E.EXECUTE): _execute,
    **{(state, E.REFUSE): _refuse for state in UNDONE},
    **{(state, E.FAIL): _fail for state in UNDONE},
    **{(state, E.OVERDUE): Row((state,), effects.overdue, _CLOCK, guards.answer_is_due, _is_answered) for state in UNDONE},
    **{(state, E.EXPIRE): _expire for state in (*UNDONE, *_DONE)},
    **{(state, E.RELEASE): _release._replace(when=_can_be_called_off) for state in UNDONE},
    **{(state, E.RELEASE): _release for state in _DONE},
    **{(state, E.SUPERSEDE): _supersede for state in (*UNDONE, *_DONE)},
    **{(state, E.RENEW): _renew for state in _DONE},
    **{(state, E.NEAR_EXPIRY): Row((state,), effects.near_expiry, _CLOCK, guards.still_lasts, _has_end) for state in _DONE},
    **{
        (state, E.PAY_BACK): Row((state, S.RELEASED), effects.paid_back, _ORDER, guards.frozen_enough, _is_paid_from)
        for state in _DONE
    },
    **{(state, E.LOWER): Row((state,), effects.lowered, _ORDER, guards.frozen_enough, _holds_money) for state in _DONE},
    (S.RELEASED, E.EXECUTE): Row((S.RELEASED,), effects.crossed, _RECIPIENT, _crossing, _can_be_called_off),
    (S.EXPIRED, E.EXECUTE): Row((S.EXPIRED,), effects.crossed, _RECIPIENT, _crossing, _can_end),
    **{
        (state, E.LIFT): Row((state,), effects.lifted, _RECIPIENT | _ORDER, _may_lift, _can_end)
        for state in (S.RELEASED, S.EXPIRED)
    },
}
TABLE = Table("order", _ROWS)
"""An answer may arrive before the record of its delivery. An order that was carried out after its end (the two crossed) keeps its
state and holds nothing, and its recipient is notified again. Money that was paid back meanwhile is no longer held."""


class OrderChange(NamedTuple):
    """`order` is None when the event was refused; `follows` are events of other orders, to be applied with this one."""

    order: Order | None
    notices: tuple[Notification, ...] = ()
    starts: tuple[DeadlineStart, ...] = ()
    stops: tuple[DeadlineStop, ...] = ()
    follows: tuple[Follow, ...] = ()
    refused: Refusal | None = None


def acting(actor: str, event: OrderEvent) -> Party:
    """The actor. An officer who answers a letter acts as the unit of the event, and in no other way as that."""
    who = party(actor)
    return Party(ActorRole.UNIT, event.unit) if who.role == ActorRole.OFFICER and event.unit is not None else who


def unit_of(order: Order) -> str | None:
    """The unit whose officers may answer it: the recipient of a letter. Everything else is for institutions."""
    return order.recipient if order.kind in LETTERS and order.issued_at is not None and is_unit(order.recipient) else None


def decide(
    *,
    order: Order | None,
    event: OrderEvent,
    actor: str,
    rules: OrderRules,
    now: datetime,
    ends: Ends,
    others: tuple[Order, ...] = (),
    elsewhere: int = 0,
) -> OrderChange:
    """Decides on the event. `actor`: `officer:...`, `institution:...`, `stage:...`; `others`: the case's other orders;
    `elsewhere`: how often the same was ordered about the account in other cases."""
    who = acting(actor, event)
    if order is None and (event.kind is not E.ISSUE or event.draft is None):
        return OrderChange(None, refused=Refusal("unknown-order", f"the case has no order {event.order_id}"))
    of_kind = rules.kinds.get(order.kind if order else event.draft.kind if event.draft else OrderKind.RELEASE)
    thing = order or _draft_order(event.draft, who, of_kind, now, others, ends)
    if who.role == ActorRole.INSTITUTION and who.id != thing.recipient:
        return OrderChange(None, refused=Refusal("not-recipient", "only the institution that received the order may answer it"))
    if who.role == ActorRole.UNIT and who.id != unit_of(thing):
        return OrderChange(None, refused=Refusal("not-recipient", "officers may answer letters to their unit only"))
    state = order.state if order else NONE
    step = OrderStep(thing, event, who, of_kind, now, ends, others, elsewhere)
    outcome = TABLE.apply(state, event.kind, step, thing=thing, roles={who.role})
    return OrderChange(None, refused=outcome) if isinstance(outcome, Refusal) else _apply_effects(step, outcome, actor)


def _apply_effects(step: OrderStep, outcome: OrderEffects, actor: str) -> OrderChange:
    state = outcome.changes.get("state", step.order.state)
    moved = OrderMoved.trusted(at=step.now, actor=actor, event=step.event.kind, state=state)
    history = (*step.order.history[1 - HISTORY_KEPT :], moved)
    changed = step.order.model_copy(update={**outcome.changes, "history": history})
    return OrderChange(
        changed,
        make_notices(changed, step.event, outcome.notifications, step.now),
        outcome.starts,
        outcome.stops,
        outcome.follows,
    )


def _draft_order(
    draft: OrderDraft | None, who: Party, rules: KindRules | None, now: datetime, others: tuple[Order, ...], ends: Ends
) -> Order:
    """The order as it would be. A release or return has the subject of its target."""
    assert draft is not None
    target = next((other for other in others if other.order_id == draft.related_order_id), None)
    takes = target is not None and draft.kind in ABOUT_ANOTHER
    least = rules.dual_approval_from_minor if rules else None
    amount = draft.amount_minor
    if target and amount is None and draft.kind is OrderKind.RELEASE:
        amount = target.held_minor or target.amount_minor
    return Order.trusted(
        order_id=draft.order_id,
        kind=draft.kind,
        case_id=draft.case_id,
        agency=draft.agency,
        recipient=draft.recipient,
        state=OrderState.AWAITING_APPROVAL,
        issued_by=who.id,
        drafted_at=now,
        basis=rules.basis if rules and draft.basis_sealed is None else "",
        basis_sealed=draft.basis_sealed,
        subject=target.subject if takes and target and draft.subject is None else draft.subject,
        verify=draft.verify,
        verify_fields=rules.verify if rules else (),
        amount_minor=amount,
        traced_minor=draft.traced_minor,
        currency=target.currency if takes and target and draft.currency is None else draft.currency,
        dual_approval=least is not None and (amount or 0) >= least,
        related_order_id=draft.related_order_id,
        text_sealed=draft.text_sealed,
        validity_deadline=rules.validity_deadline if rules else None,
        answer_deadline=rules.answer_deadline if rules else None,
        verify_deadline=rules.verify_deadline if rules else None,
        answer_by=draft.answer_by,
        preserve_records=bool(rules and rules.preserve_records and draft.kind in TAKEDOWNS),
        method=draft.method if draft.kind in PAYS_BACK else None,
        public_notice_until=_end_of_notice(draft, rules, now, ends),
        partial=is_part(draft.kind, amount, target),
    )


def _end_of_notice(draft: OrderDraft, rules: KindRules | None, now: datetime, ends: Ends) -> datetime | None:
    """The end of a public notice that was given before the order."""
    if draft.method not in NOTICED or draft.public_notice_at is None or rules is None or rules.public_notice_deadline is None:
        return None
    return ends(min(draft.public_notice_at, now), rules.public_notice_deadline)
