"""The orders of one case together: an event of one, and its consequences for another. Pure.

Invariant: an event and its consequences are applied together or not at all. The number of orders in a case is bounded, and no
order that is in force, or that counts against a cap, makes room for another. A release always finds room, because somebody waits
for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from schemas.notices import Notification
from schemas.orders.kinds import REVERSIBLE, OrderKind
from schemas.orders.order import LIVE, Order, OrderEvent, OrderEventKind, OrderState
from schemas.orders.policy import OrderRules
from stream_processors.domain.orders import order as one_order
from stream_processors.domain.orders.order import OrderChange
from stream_processors.domain.orders.step import Follow, is_done
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import DeadlineStart, DeadlineStop, Ends

MOST_ORDERS = 32
"""Limit of orders in a case, without releases under way. An order has at most two of these at a time (a partial and a full one),
so a case has at most three times as many in all."""


class OrdersChange(NamedTuple):
    """All orders of the case after the event, and `order`, its object. Refusal: they are unchanged."""

    orders: tuple[Order, ...]
    order: Order | None = None
    notices: tuple[Notification, ...] = ()
    starts: tuple[DeadlineStart, ...] = ()
    stops: tuple[DeadlineStop, ...] = ()
    refused: Refusal | None = None


def decide(
    *,
    orders: tuple[Order, ...],
    event: OrderEvent,
    actor: str,
    rules: OrderRules,
    now: datetime,
    ends: Ends,
    elsewhere: int = 0,
) -> OrdersChange:
    """Decides on the event in its case. `elsewhere`: how often the same was ordered about the account in other cases."""

    def decide_event(case_orders: tuple[Order, ...], event: OrderEvent, actor: str, elsewhere: int = 0) -> OrderChange:
        order, others = (
            _find_order(case_orders, event.order_id),
            tuple(each for each in case_orders if each.order_id != event.order_id),
        )
        return one_order.decide(
            order=order, event=event, actor=actor, rules=rules, now=now, ends=ends, others=others, elsewhere=elsewhere
        )

    current = orders
    if event.kind is OrderEventKind.ISSUE and _find_order(orders, event.order_id) is None:
        room = _make_room(orders, event)
        if room is None:
            return OrdersChange(orders, refused=Refusal("too-many-orders", f"a case has at most {MOST_ORDERS} active orders"))
        current = room
    change = decide_event(current, event, actor, elsewhere)
    if change.order is None:
        return OrdersChange(orders, refused=change.refused)
    current = _put_order(current, change.order)
    total = OrdersChange(current, change.order, change.notices, change.starts, change.stops)
    for follow in change.follows:
        then = decide_event(total.orders, _event_of(follow, event), f"order:{event.order_id}")
        if then.order is None:
            return OrdersChange(orders, refused=then.refused)
        total = OrdersChange(
            _put_order(total.orders, then.order),
            change.order,
            (*total.notices, *then.notices),
            (*total.starts, *then.starts),
            (*total.stops, *then.stops),
        )
    return total


def clock_event(order: Order, clock: str, *, warning: bool = False) -> OrderEventKind | None:
    """The event of the order when one of its deadlines ends or warns. None: people are notified, the order stays."""
    if clock == order.validity_deadline:
        return OrderEventKind.NEAR_EXPIRY if warning else OrderEventKind.EXPIRE
    return OrderEventKind.OVERDUE if clock == order.answer_deadline and not warning else None


def held_minor(orders: Iterable[Order]) -> dict[str, int]:
    """Currency -> the amount that the orders hold together, in minor units."""
    sums: dict[str, int] = {}
    for order in orders:
        if order.held_minor and order.currency:
            sums[order.currency] = sums.get(order.currency, 0) + order.held_minor
    return sums


def _event_of(follow: Follow, cause: OrderEvent) -> OrderEvent:
    return OrderEvent.trusted(
        event_id=cause.event_id, order_id=follow.order_id, kind=follow.kind, amount_minor=follow.amount_minor
    )


def _find_order(orders: tuple[Order, ...], order_id: str) -> Order | None:
    return next((order for order in orders if order.order_id == order_id), None)


def _put_order(orders: tuple[Order, ...], changed: Order) -> tuple[Order, ...]:
    """Replaces the one with its id, else appends."""
    if _find_order(orders, changed.order_id) is None:
        return (*orders, changed)
    return tuple(changed if order.order_id == changed.order_id else order for order in orders)


def _make_room(orders: tuple[Order, ...], event: OrderEvent) -> tuple[Order, ...] | None:
    """The orders with room for one more: the oldest finished ones are dropped, paid returns last, because nothing else records
    them. None: all of them count."""
    remaining = orders
    while len(remaining) >= MOST_ORDERS:
        over = [number for number, order in enumerate(remaining) if _is_over(order, remaining)]
        dropped = next((number for number in over if not remaining[number].paid_minor), next(iter(over), None))
        if dropped is None:
            frees = event.draft is not None and event.draft.kind is OrderKind.RELEASE
            return remaining if frees else None
        remaining = remaining[:dropped] + remaining[dropped + 1 :]
    return remaining


def _is_over(order: Order, orders: tuple[Order, ...]) -> bool:
    """Whether it is finished, counts against no cap, and no order in force refers to it."""
    if any(other.related_order_id == order.order_id and other.state in LIVE and not is_done(other) for other in orders):
        return False
    if order.kind in REVERSIBLE:
        return order.state in (OrderState.WITHDRAWN, OrderState.REFUSED, OrderState.FAILED)
    return order.state not in LIVE or is_done(order)
