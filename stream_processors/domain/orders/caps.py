"""Counts the orders about one account, in all cases together. Pure.

A cap belongs to an account, not to a case (two stops for one account: 银发〔2016〕86号), and one account has a case in each queue
that its signals are routed to. So every change of a case carries the current count of its orders, and a decision on an order gets
the counts of the other cases.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from schemas.cases.case import Action, Case, OrderCount
from schemas.orders.kinds import REVERSIBLE
from schemas.orders.order import Order, OrderEventKind
from stream_processors.domain.orders.step import times_used

_ASK = frozenset({OrderEventKind.ISSUE, OrderEventKind.APPROVE, OrderEventKind.RENEW})


class Account(NamedTuple):
    """The object of a cap: an indicator at an institution, and a kind of order (an OrderKind's value)."""

    kind: str
    recipient: str
    token: str


def used(orders: Iterable[Order]) -> dict[Account, int]:
    """The count of the orders of one case."""
    counts: dict[Account, int] = {}
    for order in orders:
        if order.kind in REVERSIBLE and order.subject is not None:
            account = Account(order.kind.value, order.recipient, order.subject.token)
            counts[account] = counts.get(account, 0) + times_used(order)
    return counts


def changed(before: Case | None, after: Case) -> tuple[OrderCount, ...]:
    """The new counts of the case for all its accounts, if its orders changed."""
    if before is not None and before.orders == after.orders:
        return ()
    accounts = {**(used(before.orders) if before is not None else {}), **(stands := used(after.orders))}
    return tuple(
        OrderCount.trusted(kind=account.kind, recipient=account.recipient, token=account.token, count=stands.get(account, 0))
        for account in accounts
    )


def asked(action: Action, case: Case | None) -> Account | None:
    """The account whose cap applies to the action; None: it orders nothing."""
    event = action.order
    if event is None or event.kind not in _ASK:
        return None
    existing = next((order for order in case.orders if order.order_id == event.order_id), None) if case is not None else None
    thing = event.draft if existing is None else existing
    if thing is None or thing.subject is None or thing.kind not in REVERSIBLE:
        return None
    return Account(thing.kind.value, thing.recipient, thing.subject.token)
