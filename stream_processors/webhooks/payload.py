"""The message of a notice, and its id. Pure.

Proxies, logs and the owner of the address's name may see a call, too. So it carries the event, ids and times, and no text that
anybody typed; the recipient reads that in the inbox, with a token. Invariant: the same notice has the same id and the same bytes,
in every attempt and in every process; a value that is not named in CARRIED, or belongs to a kind of notice that may not carry it,
is in no call.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, NamedTuple
from urllib.parse import quote

import msgspec

from schemas.codec import RowEnvelope, decode, dump
from schemas.common import instant_ms
from schemas.notices import Notification, NotificationKind, told
from schemas.notifications.delivery import notification_digest, notification_name
from schemas.notifications.webhook import HookMessage, HookNotification, kind_of
from schemas.topics import NOTIFICATIONS

PREFIX = "msg_"
CODES = frozenset({"deadline", "currency", "fields", "kind", "outcome", "reason", "region", "roles", "state", "subject_kind"})
IDS = frozenset({"about", "related_order_id", "recipient"})
TIMES = frozenset({"answer_by", "day", "due_at", "public_notice_until", "until"})
NUMBERS = frozenset({"amount_minor", "missed_deadlines", "run", "attempt_count"})
POLICY_WORDS = {"basis": NotificationKind.DEADLINE, "label": NotificationKind.IMPERSONATION}
"""Name of a value -> the only kind of notice in which the operator's policy wrote it. The basis of an order may be an officer's
own words, so no call contains it."""
CARRIED = CODES | IDS | TIMES | NUMBERS
"""The values of a notice that a call carries, besides the policy's words."""


class _OrderRow(msgspec.Struct):
    kind: str


class _NotificationRow(msgspec.Struct):
    """A view of Notification: its sentence, never its subject."""

    notification_id: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
    recipient: str
    kind: str
    case_id: str
    template: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    order_id: str | None = None
    dissuasion_id: str | None = None
    data: dict[str, int | str] = {}


class TellingRow(msgspec.Struct):
    """A view of Issued: the members of a call."""

    notification: _NotificationRow
    order: _OrderRow | None = None


class WebhookMessage(NamedTuple):
    """`name` is the webhook-id, `kind` of message, `noticed_ms` the time of the notice; `origin` the change behind it."""

    name: str
    kind: str
    notification_id: str
    noticed_ms: int
    body: bytes
    origin: str | None = None


def id_of(recipient: str, notification_id: str) -> str:
    """The webhook-id, by which a receiver recognises a repeated message."""
    return PREFIX + notification_name(notification_digest(recipient, notification_id))


def message_of(value: bytes | None, recipient: str) -> WebhookMessage:
    """The message of a record of `notifications.issued.v1` under this key. ValueError if it is unreadable, or another's."""
    envelope: RowEnvelope[TellingRow] = decode(NOTIFICATIONS, value, TellingRow)
    row, order = envelope.data.notification, envelope.data.order
    if row.recipient != recipient:
        raise ValueError("the notice belongs to another recipient than the key of the record")
    kind = kind_of(row.kind, order.kind if order else None)
    data = {name: value for name, value in row.data.items() if name in CARRIED or POLICY_WORDS.get(name) == row.kind}
    text = told(Notification.trusted(template=row.template, data=data))
    notice = HookNotification.trusted(
        notification_id=row.notification_id,
        kind=row.kind,
        template=row.template,
        zh=text.zh,
        en=text.en,
        at=row.at,
        case_id=row.case_id,
        order_id=row.order_id,
        dissuasion_id=row.dissuasion_id,
        data=data,
        link=f"/v1/inbox/{quote(row.notification_id)}",
    )
    body = dump(HookMessage.trusted(type=kind, timestamp=row.at, data=notice))
    return WebhookMessage(
        id_of(recipient, row.notification_id), kind, row.notification_id, instant_ms(row.at), body, envelope.origin
    )
