"""Builders of what is delivered: notices about orders, changes that ask for them, and what became of them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from schemas.cases.case import Action, ActionKind, CaseChange
from schemas.codec import decode, encode
from schemas.notices import Notification
from schemas.notifications.delivery import DeliveryMark
from schemas.signals.subjects import Subject
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, DELIVERIES, NOTIFICATIONS
from stream_processors.runtime.log import partition_of
from tests.support.builders import SEALER, T0, fact_record, opened_case
from tests.support.order_builders import Desk, issue


def sealed_subject(order_id: str, value: str = "6222021000000001") -> Subject:
    """A subject as an order holds it: its value opens in the order's context."""
    token = f"k1.account-{value[-4:]}"
    return Subject(kind="account", role="suspect", token=token, sealed=SEALER.seal(value, f"{order_id}/{token}"))


def notice(n: int = 0, recipient: str = "bank-001", at: datetime = T0, **over: Any) -> Notification:
    """A feedback without much in it."""
    fields = {"notification_id": f"act-{n}/case-1/0", "recipient": recipient, "kind": "feedback", "case_id": "case-1"}
    return Notification.model_validate({**fields, "template": "case_seen", "at": at, **over})


def follow(n: int = 0, case_id: str = "case-2") -> Action:
    """A request about another case: any that needs nothing else."""
    queue = "public-security-630202"
    return Action(action_id=f"follow-{n}", case_id=case_id, kind=ActionKind.CLOSE, queue=queue, officer="officer-a")


def change(n: int = 0, notices: tuple[Notification, ...] = (), follows: tuple[Action, ...] = (), **over: Any) -> CaseChange:
    """An applied change of case-1."""
    case = opened_case().model_copy(update={"revision": n + 1, **over})
    return CaseChange(
        action_id=f"act-{n}",
        case_id=case.case_id,
        kind=ActionKind.MEASURE,
        outcome="applied",
        at=T0,
        actor="officer:officer-a",
        revision=n + 1,
        case=case,
        notifications=notices,
        follow_ups=follows,
    )


def ordered(n: int = 0, order_id: str = "ord-1", basis: str | None = None) -> CaseChange:
    """An officer has ordered a stop of bank-001: the notice that the order's own rules ask for, and the order in the case.
    `basis`: in the officer's own words, sealed."""
    desk = Desk()
    own = {} if basis is None else {"basis_sealed": SEALER.seal(basis, f"{order_id}/basis")}
    told = desk.do(issue("suspend_number", order_id, subject=sealed_subject(order_id), **own))
    return change(n, notices=told.notices, orders=desk.orders)


def put_change(world: Any, one: CaseChange, partition: int = 0, action: int | None = None) -> int:
    """Appends the change as `track` would, about the action at this offset (the change's own by default); its offset."""
    offset = len(world.log.all(CASE_CHANGES, partition))
    value = fact_record(one, CASE_CHANGES, partition, offset if action is None else action)
    return int(world.log.put(CASE_CHANGES, partition, (one.case_id or "").encode(), value))


def mark(state: str = "received", n: int = 0, recipient: str = "bank-001", at: datetime = T0, **over: Any) -> DeliveryMark:
    fields = {"recipient": recipient, "notification_id": f"act-{n}/case-1/0", "state": state, "at": at, "channel": "poll"}
    return DeliveryMark.model_validate({**fields, "notified_at": T0, **over})


def mark_record(one: DeliveryMark) -> tuple[bytes, bytes]:
    """Key and value as the gateway appends them."""
    actor = f"institution:{one.recipient}"
    value = encode(DELIVERIES, one, id=f"mark-{one.state}", source="/gateway", actor=actor, time=one.at, subject=one.recipient)
    return one.recipient.encode(), value


def issued(world: Any) -> list[Any]:
    """The envelopes of notifications.issued.v1 by partition and offset."""
    return [decode(NOTIFICATIONS, record.value) for record in world.log.all(NOTIFICATIONS)]


def requests(world: Any) -> list[Any]:
    """The envelopes of what deliver asked of other cases."""
    found = [decode(CASE_COMMANDS, record.value) for record in world.log.all(CASE_COMMANDS)]
    return [one for one in found if one.actor == "stage:deliver"]


def where(recipient: str) -> int:
    """The partition of a recipient."""
    return partition_of(recipient.encode(), NOTIFICATIONS.partitions)
