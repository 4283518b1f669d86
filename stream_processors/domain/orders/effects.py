"""Effects of events on an order: its new fields, notifications, deadlines, and consequences for another order.

Invariant: an order holds money only from its execution to its end; every effect that ends one sets its held amount to zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from schemas.deadlines import Length
from schemas.notices import NotificationKind
from schemas.orders.kinds import HOLDS, PAYS_BACK, REPLACING, OrderKind
from schemas.orders.order import LIVE, UNDONE, Order, OrderEventKind, OrderState, RefusalReason
from stream_processors.domain.notifications.notification import Data, NotificationDraft
from stream_processors.domain.orders.step import Follow, OrderEffects, OrderStep, is_done, is_part, is_unlifted
from stream_processors.domain.state_machine import DeadlineStart, DeadlineStop, iso

Effect = Callable[[OrderStep], OrderEffects]
LIFT_CLOCK = "order_lift"
"""Runs from a hold that crossed with its release until the institution confirms that the hold is lifted."""
APPROVAL_CLOCK = "order_approval"
"""Runs while an order awaits dual approval."""


def drafted(step: OrderStep) -> OrderEffects:
    """Issued, or first shown to a second person if the amount requires it."""
    if not step.order.dual_approval:
        return issued(step)
    changes = {"state": OrderState.AWAITING_APPROVAL}
    notifications = (_notify_agency(step, "order_approval_required"),)
    return OrderEffects(changes, notifications, (DeadlineStart(APPROVAL_CLOCK, step.order.order_id),))


def approved(step: OrderStep) -> OrderEffects:
    effects = issued(step)
    stops = (DeadlineStop(APPROVAL_CLOCK, step.order.order_id),)
    return effects._replace(changes={**effects.changes, "approved_by": step.actor.id}, stops=stops)


def issued(step: OrderStep) -> OrderEffects:
    """Its deadlines begin; the deadline to answer begins when it may be carried out. A release, unless partial, ends unexecuted
    orders at once: the order, or a return of its money."""
    order, rules, about = step.order, step.rules, step.order.order_id
    within, notice_clock = (rules.answer_within, rules.public_notice_deadline) if rules else (None, None)
    notice_until = step.notice_until
    waits_until = notice_until if notice_until is not None and notice_until > step.now else None
    answer_by = order.answer_by or (_answered_by(step, within, waits_until) if within else None)
    valid_until = step.ends(step.now, rules.length) if rules and rules.length else None
    changes = {"state": OrderState.ISSUED, "issued_at": step.now, "answer_by": answer_by, "valid_until": valid_until}
    part = is_part(order.kind, order.amount_minor, step.target)
    if part != order.partial:
        changes["partial"] = part
    if notice_until is not None:
        changes |= {"public_notice_until": notice_until, "public_notice_deadline": notice_clock}
    dues = ((order.validity_deadline, valid_until), (order.answer_deadline, answer_by), (notice_clock, waits_until))
    starts = tuple(DeadlineStart(name, about, due) for name, due in dues if name and due)
    if order.verify_deadline:
        starts = (*starts, DeadlineStart(order.verify_deadline, about))
    release = order.kind is OrderKind.RELEASE
    template = "order_partially_released" if part else "order_released" if release else "order_issued"
    data = _facts_of(order, answer_by=answer_by, public_notice_until=notice_until)
    notification = _notify_party(
        step, order.recipient, NotificationKind.RELEASE if release else NotificationKind.ORDER, template, data
    )
    target = step.target
    ended = [target] if target is not None else []
    ended += [
        other for other in step.others if other.kind in PAYS_BACK | REPLACING and other.related_order_id == order.related_order_id
    ]
    return OrderEffects(changes, (notification,), starts, (), _end_undone(ended) if release and not part else ())


def _answered_by(step: OrderStep, within: Length, waits_until: datetime | None) -> datetime:
    return step.ends(step.now, within) if waits_until is None else step.ends_behind(waits_until, within)


def dropped(step: OrderStep) -> OrderEffects:
    stops = (DeadlineStop(APPROVAL_CLOCK, step.order.order_id),)
    template = "order_rejected" if step.event.kind is OrderEventKind.REJECT else "order_withdrawn"
    return OrderEffects({"state": OrderState.WITHDRAWN, "ended_at": step.now}, (_notify_agency(step, template),), (), stops)


def delivered(step: OrderStep) -> OrderEffects:
    return OrderEffects({"state": OrderState.DELIVERED, "delivered_at": step.now})


def verified(step: OrderStep) -> OrderEffects:
    order = step.order
    stops = (DeadlineStop(order.verify_deadline, order.order_id),) if order.verify_deadline else ()
    return OrderEffects({"state": OrderState.VERIFIED, "verified_at": step.now, **_mark_received(step)}, stops=stops)


def mismatched(step: OrderStep) -> OrderEffects:
    """Not stopped; the agency learns at once which fields differ."""
    fields = tuple(field for field in step.order.verify_fields if field in step.event.mismatched_fields)
    effects = _not_done(step, OrderState.REFUSED, "order_mismatch", fields=", ".join(fields))
    return effects._replace(changes={**effects.changes, "refusal_reason": RefusalReason.MISMATCH, "mismatched_fields": fields})


def refused(step: OrderStep) -> OrderEffects:
    return _not_done(step, OrderState.REFUSED, "order_refused", reason=step.event.reason or RefusalReason.OTHER)


def failed(step: OrderStep) -> OrderEffects:
    return _not_done(step, OrderState.FAILED, "order_failed", reason=step.event.reason or RefusalReason.OTHER)


def executed(step: OrderStep) -> OrderEffects:
    """Executed. A lasting effect starts at the time of execution."""
    order, event, rules, about = step.order, step.event, step.rules, step.order.order_id
    length = rules.length if rules else None
    until = step.ends(step.done_at, length) if length else order.valid_until
    amount = event.amount_minor or 0
    changes: dict[str, Any] = {
        "state": OrderState.EXECUTED,
        "executed_at": step.done_at,
        "valid_until": until,
        "answer_sealed": event.text_sealed,
        **_mark_received(step),
        **_mark_late(step),
    }
    if order.kind in HOLDS:
        changes["held_minor"] = amount
    if order.kind in PAYS_BACK:
        changes["paid_minor"] = amount
    if order.preserve_records and rules and rules.preserve_records:
        changes["preserve_records_until"] = step.ends(step.done_at, rules.preserve_records)
    starts = (DeadlineStart(order.validity_deadline, about, until),) if order.validity_deadline and until else ()
    notifications = (_notify_agency(step, "order_executed", amount_minor=amount, until=iso(until)),)
    return OrderEffects(changes, notifications, starts, _stop_clocks(order, answered=True), _what_follows(step))


def crossed(step: OrderStep) -> OrderEffects:
    """It was executed after its end, because the notice of its end had not arrived yet. Nothing may stay held, so the notice is
    repeated. A paid return is with the victim: the freeze holds less by that amount."""
    order = step.order
    if order.kind in PAYS_BACK:
        amount, target = step.event.amount_minor or 0, step.target
        frozen = target is not None and is_done(target) and target.held_minor >= amount
        changes = {"executed_at": step.done_at, "paid_minor": amount, **_mark_received(step), **_mark_late(step)}
        heard = _notify_agency(step, "order_paid_after_end", amount_minor=amount)
        return OrderEffects(changes, (heard,), (), (), _what_follows(step) if frozen else ())
    again = _notify_party(step, order.recipient, NotificationKind.RELEASE, "order_lift_required", _facts_of(order))
    # What was said to be lifted before it was carried out says nothing of what is held now.
    changes = {"executed_at": step.done_at, "lifted_at": None, **_mark_received(step), **_mark_late(step)}
    notifications = (again, _notify_agency(step, "order_executed_after_end"))
    return OrderEffects(changes, notifications, (DeadlineStart(LIFT_CLOCK, order.order_id),))


def lifted(step: OrderStep) -> OrderEffects:
    stops = (DeadlineStop(LIFT_CLOCK, step.order.order_id),)
    return OrderEffects({"lifted_at": step.done_at}, (_notify_agency(step, "order_lifted"),), (), stops)


def renewed(step: OrderStep) -> OrderEffects:
    """One more length from the last end."""
    order, rules = step.order, step.rules
    assert order.valid_until is not None and rules is not None and rules.length is not None
    until = step.ends_behind(order.valid_until, rules.length)
    changes = {"state": OrderState.RENEWED, "renewals": order.renewals + 1, "valid_until": until}
    notification = _notify_party(step, order.recipient, NotificationKind.ORDER, "order_renewed", _facts_of(order, until=until))
    name = order.validity_deadline or rules.validity_deadline
    stops = (DeadlineStop(name, order.order_id),)
    return OrderEffects(changes, (notification,), (DeadlineStart(name, order.order_id, until),), stops)


def expired(step: OrderStep) -> OrderEffects:
    order = step.order
    notification = _notify_party(step, order.recipient, NotificationKind.RELEASE, "order_expired", _facts_of(order))
    returns = (other for other in step.others if other.kind in PAYS_BACK and other.related_order_id == order.order_id)
    both = (notification, _notify_agency(step, "order_expired"))
    return OrderEffects(_end_order(step, OrderState.EXPIRED), both, (), _stop_clocks(order, answered=False), _end_undone(returns))


def near_expiry(step: OrderStep) -> OrderEffects:
    """The agency may renew it or let it end; the recipient must lift it in time."""
    order = step.order
    data = _facts_of(order, until=order.valid_until)
    parties = (order.agency, order.recipient)
    return OrderEffects(
        {},
        tuple(
            _notify_party(step, recipient, NotificationKind.EXPIRY_WARNING, "order_expires_soon", data) for recipient in parties
        ),
    )


def overdue(step: OrderStep) -> OrderEffects:
    reminder = _notify_party(step, step.order.recipient, NotificationKind.ORDER, "order_answer_overdue", _facts_of(step.order))
    notifications = (_notify_agency(step, "order_answer_overdue"), reminder)
    return OrderEffects({"overdue": True}, notifications)


def released(step: OrderStep) -> OrderEffects:
    """Ended by another order. If it was executed, the execution of that order confirms the lift; if not, the release does. The
    recipient of a replaced stop, or of an order that ends with its related one (a return, a replacing freeze), is notified here.
    """
    order, changes = step.order, _end_order(step, OrderState.RELEASED)
    if is_done(order):
        return OrderEffects({**changes, "lifted_at": step.now}, (), (), _stop_clocks(order, answered=False))
    replaced = step.event.kind is OrderEventKind.SUPERSEDE
    template = "order_superseded" if replaced else "order_withdrawn"
    notifications = (_notify_party(step, order.recipient, NotificationKind.RELEASE, template, _facts_of(order)),)
    own = any(other.order_id == step.actor.id and other.related_order_id == order.order_id for other in step.others)
    return OrderEffects(changes, notifications if replaced or not own else (), (), _stop_clocks(order, answered=False))


def paid_back(step: OrderStep) -> OrderEffects:
    """A returned amount is not held any more; if it was all, the order has ended."""
    order = step.order
    still_held = order.held_minor - (step.event.amount_minor or 0)
    if still_held:
        return OrderEffects({"held_minor": still_held})
    return OrderEffects(
        {**_end_order(step, OrderState.RELEASED), "lifted_at": step.now}, (), (), _stop_clocks(order, answered=False)
    )


def lowered(step: OrderStep) -> OrderEffects:
    """A part was released: it holds the rest until the same end."""
    return OrderEffects({"held_minor": step.order.held_minor - (step.event.amount_minor or 0)})


def _end_undone(orders: Iterable[Order]) -> tuple[Follow, ...]:
    """Ends the orders that were not executed yet."""
    return tuple(Follow(order.order_id, OrderEventKind.RELEASE) for order in orders if order.state in UNDONE)


def _what_follows(step: OrderStep) -> tuple[Follow, ...]:
    """The effect of an executed order on its related one."""
    target = step.target
    if target is None:
        return ()
    if step.order.kind in PAYS_BACK:
        return (Follow(target.order_id, OrderEventKind.PAY_BACK, step.event.amount_minor),)
    if step.order.kind in REPLACING and target.state in LIVE:
        return (Follow(target.order_id, OrderEventKind.SUPERSEDE),)
    return _of_release(step.order, target) if step.order.kind is OrderKind.RELEASE else ()


def _of_release(release: Order, target: Order) -> tuple[Follow, ...]:
    """A lasting order ends in part or in full; an ended one is confirmed as lifted, unless only a part of it is."""
    if release.partial and is_part(release.kind, release.amount_minor, target):
        return (Follow(target.order_id, OrderEventKind.LOWER, release.amount_minor),)
    if is_done(target):
        return (Follow(target.order_id, OrderEventKind.RELEASE),)
    return (Follow(target.order_id, OrderEventKind.LIFT),) if is_unlifted(target) and not release.partial else ()


def _not_done(step: OrderStep, state: OrderState, template: str, **data: str) -> OrderEffects:
    changes = {
        **_end_order(step, state),
        "refusal_reason": step.event.reason,
        "answer_sealed": step.event.text_sealed,
        **_mark_received(step),
        **_mark_late(step),
    }
    return OrderEffects(changes, (_notify_agency(step, template, **data),), (), _stop_clocks(step.order, answered=True))


def _end_order(step: OrderStep, state: OrderState) -> dict[str, Any]:
    return {"state": state, "ended_at": step.now, "held_minor": 0}


def _mark_received(step: OrderStep) -> dict[str, Any]:
    """An answer proves receipt, even if the delivery was not recorded yet."""
    return {} if step.order.delivered_at else {"delivered_at": step.now}


def _mark_late(step: OrderStep) -> dict[str, Any]:
    return {"late": step.order.answer_by is not None and step.now > step.order.answer_by}


def _stop_clocks(order: Order, *, answered: bool) -> tuple[DeadlineStop, ...]:
    """All of the order's deadlines end. A comparison that was no longer needed at the end is not late, and neither is a public
    notice."""
    ends = (
        (order.validity_deadline, False),
        (order.answer_deadline, False),
        (order.verify_deadline, not answered),
        (order.public_notice_deadline, True),
    )
    return tuple(DeadlineStop(name, order.order_id, called_off) for name, called_off in ends if name)


def _notify_party(step: OrderStep, recipient: str, kind: NotificationKind, template: str, data: Data) -> NotificationDraft:
    order = step.order
    return NotificationDraft(recipient, kind, template, data, order_id=order.order_id, subject=order.subject)


def _notify_agency(step: OrderStep, template: str, **more: int | str) -> NotificationDraft:
    data = {"kind": step.order.kind.value, "recipient": step.order.recipient, **more}
    return _notify_party(step, step.order.agency, NotificationKind.FEEDBACK, template, data)


def _facts_of(order: Order, **times: Any) -> dict[str, int | str]:
    """The values of the recipient's sentence; the order goes with it, including a sealed basis."""
    data: dict[str, int | str] = {"kind": order.kind.value, "basis": order.basis}
    if order.related_order_id:
        data["related_order_id"] = order.related_order_id
    if order.amount_minor is not None and order.currency:
        data |= {"amount_minor": order.amount_minor, "currency": order.currency}
    return data | {name: iso(moment) for name, moment in times.items() if moment is not None}
