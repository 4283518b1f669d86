"""Notifications about a changed case: feedback, early warnings, retracted signals. Pure.

Feedback can be read with the signal at any time (domain/notifications/feedback.py); it is sent only if the outcome, the actions
or the amount changed. Invariant: a party that acted on a signal, or was warned, is notified of its retraction; nobody learns
whose signal it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import sha256

from schemas.cases.case import ActionKind, Case
from schemas.measures import MeasureKind
from schemas.notices import Notification
from schemas.orders.kinds import ORDER_KINDS
from schemas.orders.order import Order, OrderState
from stream_processors.domain.cases.step import CaseStep
from stream_processors.domain.notifications.early_warning import early_warning
from stream_processors.domain.notifications.feedback import Handling, feedback
from stream_processors.domain.notifications.imitation import impersonation
from stream_processors.domain.notifications.notification import NotificationDraft, to_notification
from stream_processors.domain.notifications.reversals import Executed, taken_back
from stream_processors.domain.orders.step import is_unlifted
from stream_processors.domain.signals.leads import is_lead, visible_reporters

_STANDS = frozenset({OrderState.EXECUTED, OrderState.RENEWED})
_OVER = frozenset({OrderState.EXPIRED, OrderState.RELEASED})


def tell_of_change(before: Case | None, after: Case, step: CaseStep) -> tuple[Notification, ...]:
    """The notices that follow from the change itself, whatever caused it."""
    notifications: list[NotificationDraft] = []
    kind = step.action.kind
    if kind in (ActionKind.JOIN, ActionKind.ABSORB):
        holders = frozenset() if before is None else frozenset(executed.institution for executed in list_executed(before))
        notifications += early_warning(before, after, holders=holders)
    if before is not None:
        was, now = handling(before), handling(after)
        if (
            before.disposition != after.disposition
            or _what_was_done(was) != _what_was_done(now)
            or _is_judged_anew(before, after)
        ):
            notifications += feedback(before, after, was=was, handling=now)
        if kind is ActionKind.RETRACT:
            notifications += _taken_back(before, after, step)
    signal = step.action.signal if kind is ActionKind.JOIN else None
    owners = () if signal is None else impersonation(signal, before, step.policy, step.now)
    return (*make_notices(notifications, step), *owners)


def _what_was_done(handled: Handling) -> tuple[object, ...]:
    return handled.acts, handled.saved_minor


def _taken_back(before: Case, after: Case, step: CaseStep) -> Iterable[NotificationDraft]:
    withdrawn, executed = step.action.retracted_contribution, list_executed(before)
    corrected = withdrawn is not None and any(
        signal.signal_id == withdrawn.signal_id and signal.version > withdrawn.version for signal in after.signals
    )
    warned = visible_reporters(before)
    notifications = taken_back(
        after,
        change="correction" if corrected else "retraction",
        executed=executed,
        warned=warned if len(warned) > 1 else frozenset(),
        supported_minor=_split_support(executed, after),
    )
    # That a lead of organized crime was taken back is for the agency alone: others would learn that there was one.
    return (
        [notification for notification in notifications if notification.recipient == after.queue]
        if withdrawn is not None and is_lead(withdrawn.kind)
        else notifications
    )


def _split_support(executed: Iterable[Executed], after: Case) -> dict[str, int]:
    """The part of each order's hold that the remaining reports support, the first order first. Nothing is known of a currency in
    which none of them names an amount."""
    remaining, supported = dict(after.amount_minor), dict[str, int]()
    for hold in executed:
        if hold.order_id is not None and hold.amount_minor is not None and hold.currency in remaining:
            supported[hold.order_id] = still = min(hold.amount_minor, remaining[hold.currency])
            remaining[hold.currency] -= still
    return supported


def _is_judged_anew(before: Case, after: Case) -> bool:
    """Whether an officer's disposal was made, or made again."""
    return before.disposed_at != after.disposed_at


def handling(case: Case) -> Handling:
    """The actions in the case: kinds of executed orders and measures, and the amounts stopped, by currency. Held and returned
    amounts of orders count; without any in a currency, the blocks of institutions. `seen` are the signals at an officer's last
    action on the whole case."""
    last = max((at for at in (case.acknowledged_at, case.disposed_at, case.closed_at) if at is not None), default=None)
    seen_ids = frozenset(signal.signal_id for signal in case.signals if last is not None and signal.accepted_at <= last)
    acts = {order.kind.value for order in case.orders if order.executed_at is not None}
    acts |= {measure.kind.value for measure in case.measures}
    held: dict[str, int] = {}
    blocked: dict[str, int] = {}
    for order in case.orders:
        if order.currency and (n := order.held_minor + order.paid_minor):
            held[order.currency] = held.get(order.currency, 0) + n
    for measure in case.measures:
        if measure.kind is MeasureKind.BLOCKED and measure.currency and measure.amount_minor:
            blocked[measure.currency] = blocked.get(measure.currency, 0) + measure.amount_minor
    return Handling(seen=seen_ids, acts=frozenset(acts), saved_minor=blocked | held)


def list_executed(case: Case) -> tuple[Executed, ...]:
    """The executed actions in force: orders, and measures of institutions."""
    executed = [
        Executed(order.recipient, reversal.action, order.order_id, order.held_minor or None, order.currency)
        for order in case.orders
        if (reversal := ORDER_KINDS[order.kind].reversal) is not None and _is_standing(order)
    ]
    done = {(measure.institution, measure.kind): measure for measure in case.measures if measure.kind is not MeasureKind.REPORTED}
    executed += [Executed(who, kind.value, None, measure.amount_minor, measure.currency) for (who, kind), measure in done.items()]
    return tuple(executed)


def _is_standing(order: Order) -> bool:
    return order.state in _STANDS or (order.state in _OVER and is_unlifted(order))


def make_notices(notifications: Iterable[NotificationDraft], step: CaseStep, of: str = "") -> tuple[Notification, ...]:
    """What is told, as notices. Their ids follow from the action, so that a replay tells nobody twice; they are numbered for each
    recipient, so that nobody reads how many others are told. `of`: the appeal that they are about, where one action moves
    several."""
    counts: Counter[str] = Counter()
    notices = []
    for notification in notifications:
        recipient = notification.recipient
        number = f"{sha256(recipient.encode()).hexdigest()[:12]}.{counts[recipient]}"
        counts[recipient] += 1
        path = (step.action.action_id, notification.template, *([of] if of else []), number)
        notices.append(to_notification("/".join(path), notification, case_id=step.case.case_id, at=step.now))
    return tuple(notices)
