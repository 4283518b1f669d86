"""What a call says of a notice, and by which name. Pure.

A call is not answered by whom it was meant for alone: proxies, logs and whoever holds the address's name see it, too. So it
carries what happened, ids and times, and nothing that anybody typed; that is read from the inbox, with a token.
Invariant: the same notice is the same name and the same bytes, in every attempt and in every process; a value that is not named
in CARRIED, or is of no kind of notice that may carry it, is in no call.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, NamedTuple
from urllib.parse import quote

import msgspec

from schemas.codec import RowEnvelope, decode, dump
from schemas.common import instant_ms
from schemas.notices import Notice, NoticeKind, told
from schemas.notifications.delivery import notice_digest, notice_name
from schemas.notifications.webhook import HookMessage, HookNotice, kind_of
from schemas.topics import NOTIFICATIONS

PREFIX = "msg_"
CODES = frozenset({"clock", "currency", "fields", "kind", "outcome", "reason", "region", "roles", "state", "subject_kind"})
IDS = frozenset({"about", "of", "recipient"})
TIMES = frozenset({"answer_by", "day", "due_at", "notice_until", "until"})
NUMBERS = frozenset({"amount_minor", "missed", "run", "tries"})
POLICY_WORDS = {"basis": NoticeKind.CLOCK, "label": NoticeKind.IMITATED}
"""Name of a value -> the only kind of notice in which the operator's policy wrote it. The basis of an order may be an officer's
own words, so it is in no call."""
CARRIED = CODES | IDS | TIMES | NUMBERS
"""The values of a notice that a call carries, beside the policy's words."""


class _OrderRow(msgspec.Struct):
    kind: str


class _NoticeRow(msgspec.Struct):
    """A view of Notice: its sentence, never its subject."""

    notice_id: Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
    recipient: str
    kind: str
    case_id: str
    says: str
    at: Annotated[datetime, msgspec.Meta(tz=True)]
    order_id: str | None = None
    task_id: str | None = None
    data: dict[str, int | str] = {}


class TellingRow(msgspec.Struct):
    """A view of Issued for what is called out of it."""

    notice: _NoticeRow
    order: _OrderRow | None = None


class WebhookMessage(NamedTuple):
    """`name` is the webhook-id, `kind` of message, `noticed_ms` the notice's own time; `origin` the change that asked for it."""

    name: str
    kind: str
    notice_id: str
    noticed_ms: int
    body: bytes
    origin: str | None = None


def id_of(recipient: str, notice_id: str) -> str:
    """The webhook-id: what a receiver knows a repeated message by."""
    return PREFIX + notice_name(notice_digest(recipient, notice_id))


def message_of(value: bytes | None, recipient: str) -> WebhookMessage:
    """Of a record of `notifications.issued.v1` under this key. ValueError when it is none, or another's."""
    envelope: RowEnvelope[TellingRow] = decode(NOTIFICATIONS, value, TellingRow)
    row, order = envelope.data.notice, envelope.data.order
    if row.recipient != recipient:
        raise ValueError("the notice belongs to another recipient than the key of the record")
    kind = kind_of(row.kind, order.kind if order else None)
    data = {name: value for name, value in row.data.items() if name in CARRIED or POLICY_WORDS.get(name) == row.kind}
    text = told(Notice.trusted(says=row.says, data=data))
    notice = HookNotice.trusted(
        notice_id=row.notice_id,
        kind=row.kind,
        says=row.says,
        zh=text.zh,
        en=text.en,
        at=row.at,
        case_id=row.case_id,
        order_id=row.order_id,
        task_id=row.task_id,
        data=data,
        link=f"/v1/inbox/{quote(row.notice_id)}",
    )
    body = dump(HookMessage.trusted(type=kind, timestamp=row.at, data=notice))
    return WebhookMessage(id_of(recipient, row.notice_id), kind, row.notice_id, instant_ms(row.at), body, envelope.origin)
