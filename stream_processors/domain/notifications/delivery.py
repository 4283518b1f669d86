"""Emissions of a change: notices to their recipients, requests to other cases. A function of the change alone, so that any owner
may write them again.

Invariant: the n-th notice and the n-th request of a change are the same for every reader.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import TypeAdapter

from schemas.cases.case import Action
from schemas.common import Stored
from schemas.dissuasion import Dissuasion
from schemas.notices import Notification
from schemas.notifications.delivery import MOST_FOLLOWS, MOST_NOTICES, Issued, Settled
from schemas.orders.order import Order

_NOTICES, _FOLLOWS = TypeAdapter(tuple[Notification, ...]), TypeAdapter(tuple[Action, ...])


class About(Stored):
    """A view of Case: the objects of notices."""

    orders: tuple[Order, ...] = ()
    dissuasions: tuple[Dissuasion, ...] = ()


def notices_of(raw: bytes) -> tuple[Notification, ...]:
    """ValueError if they are unreadable, or too many to be numbered."""
    notices = _NOTICES.validate_json(raw)
    _check_count(len(notices), MOST_NOTICES)
    return notices


def follows_of(raw: bytes) -> tuple[Action, ...]:
    """ValueError if they are unreadable, or too many to be numbered."""
    actions = _FOLLOWS.validate_json(raw)
    _check_count(len(actions), MOST_FOLLOWS)
    return actions


def _check_count(count: int, most: int) -> None:
    if count > most:
        raise ValueError(f"a change asks for {count} of them, and the limit is {most}")


def issued(notices: Iterable[Notification], about: About, settled: Settled) -> list[Issued]:
    """Each notice with its order or dissuasion, as in the case after the change."""
    orders = {order.order_id: order for order in about.orders}
    dissuasions = {dissuasion.dissuasion_id: dissuasion for dissuasion in about.dissuasions}
    return [
        Issued.trusted(
            notification=notice,
            order=orders.get(notice.order_id) if notice.order_id else None,
            dissuasion=dissuasions.get(notice.dissuasion_id) if notice.dissuasion_id else None,
            progress=settled,
        )
        for notice in notices
    ]
