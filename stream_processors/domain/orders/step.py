"""The input of the guards and effects of orders, and the result of an effect."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from schemas.deadlines import Length
from schemas.notices import Notification
from schemas.orders.kinds import HOLDS, PAYS_BACK, REVERSIBLE, OrderKind
from schemas.orders.order import LIVE, Order, OrderEvent, OrderEventKind, OrderState
from schemas.orders.policy import KindRules
from schemas.refunds import NOTICED
from stream_processors.domain.notifications.notification import NotificationDraft, to_notification
from stream_processors.domain.state_machine import DeadlineStart, DeadlineStop, Ends, Party, done_between

_TICK = timedelta(microseconds=1)


class OrderStep(NamedTuple):
    """One event of one order. `order` is the current state (of an issue: the state it would have), `others` are the case's other
    orders, `rules` those of its kind (None: the policy does not enable it), `elsewhere` the count against its cap in other cases.
    """

    order: Order
    event: OrderEvent
    actor: Party
    rules: KindRules | None
    now: datetime
    ends: Ends
    others: tuple[Order, ...] = ()
    elsewhere: int = 0

    @property
    def target(self) -> Order | None:
        """The related order."""
        return next((other for other in self.others if other.order_id == self.order.related_order_id), None)

    @property
    def notice_until(self) -> datetime | None:
        """The end of the public notice before this return, given now if not earlier; None: it needs none."""
        order, rules = self.order, self.rules
        if order.method not in NOTICED or rules is None or rules.public_notice_deadline is None:
            return None
        return order.public_notice_until or self.ends(self.now, rules.public_notice_deadline)

    def ends_behind(self, until: datetime, length: Length) -> datetime:
        """The end of a length that begins where another time ended: 24:00 belongs to the day that it ends."""
        return self.ends(until if length.exact_s is not None else until - _TICK, length)

    @property
    def done_at(self) -> datetime:
        return done_between(self.event.done_at, self.order.issued_at, self.now) or self.now


_ENDED = frozenset({OrderState.RELEASED, OrderState.EXPIRED})


class Follow(NamedTuple):
    """The effect of one order on another."""

    order_id: str
    kind: OrderEventKind
    amount_minor: int | None = None


class OrderEffects(NamedTuple):
    changes: dict[str, Any]
    notifications: tuple[NotificationDraft, ...] = ()
    starts: tuple[DeadlineStart, ...] = ()
    stops: tuple[DeadlineStop, ...] = ()
    follows: tuple[Follow, ...] = ()


def make_notices(
    order: Order, event: OrderEvent, notifications: Iterable[NotificationDraft], now: datetime
) -> tuple[Notification, ...]:
    """The notices of one step, named by the event and the order."""
    return tuple(
        to_notification(f"{event.event_id}/{order.order_id}/{number}", notification, case_id=order.case_id, at=now)
        for number, notification in enumerate(notifications)
    )


def same_subject(order: Order, other: Order) -> bool:
    """Whether both have the same subject at the same institution."""
    if order.subject is None or other.subject is None:
        return False
    return (order.recipient, order.subject.token) == (other.recipient, other.subject.token)


def same_money(order: Order, other: Order) -> bool:
    """Whether both concern, or may concern, the same transfer to the same account."""
    if not same_subject(order, other):
        return False
    if order.verify is None or other.verify is None:
        return True
    return (order.verify.amount_minor, order.verify.occurred_at) == (other.verify.amount_minor, other.verify.occurred_at)


def times_used(order: Order) -> int:
    """The count of an order against its account: itself and its renewals, if it is live or ever took effect."""
    return 1 + order.renewals if order.state in LIVE or order.executed_at is not None else 0


def promised_minor(target: Order, others: Iterable[Order]) -> int:
    """The amount that other pending returns will take from it."""
    return sum(
        other.amount_minor or 0
        for other in others
        if other.kind in PAYS_BACK
        and other.related_order_id == target.order_id
        and other.state in LIVE
        and other.executed_at is None
    )


def is_done(order: Order) -> bool:
    return order.state in (OrderState.EXECUTED, OrderState.RENEWED)


def crossed_its_end(order: Order) -> bool:
    """Whether its execution was reported after its end."""
    return any(move.event is OrderEventKind.EXECUTE and move.state in _ENDED for move in order.history)


def is_part(kind: OrderKind, amount_minor: int | None, target: Order | None) -> bool:
    """Whether it releases less than its target holds."""
    if kind is not OrderKind.RELEASE or target is None or target.kind not in HOLDS or not is_done(target):
        return False
    return 0 < (amount_minor or 0) < target.held_minor


def is_unlifted(order: Order) -> bool:
    """Executed, and nobody confirmed the lift: whatever its state, the person's money may be held."""
    return order.kind in REVERSIBLE and order.executed_at is not None and order.lifted_at is None
