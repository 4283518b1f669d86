"""Notices of institutions and agencies (`notifications.issued.v1`), and the proof of delivery (`notifications.deliveries.v1`).
Keyed by recipient.

Invariant: the records of one recipient are in one partition, so the offset is the recipient's cursor. `received` and
`acknowledged` are permanent, whatever arrives in whatever order.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Literal

from pydantic import Field

from schemas.common import MAX_OFFSET, Instant, Name, PartyId, Stored
from schemas.dissuasion import Dissuasion
from schemas.notices import Notification, NotificationId
from schemas.orders.order import Order

NOTICE_KEPT = timedelta(days=30)
"""Time for which an inbox shows a notice, from the time of the notice on. The log keeps it longer."""
MOST_NOTICES, MOST_FOLLOWS = 1 << 12, 1 << 9
"""Notices of one change at most. `offset * MOST_NOTICES + n` orders the notices of a partition of changes, as for follow-ups."""


class DeliveryState(StrEnum):
    """SENT: in the inbox. RECEIVED: the recipient read past it, or its endpoint accepted it. ACKNOWLEDGED: the recipient
    confirmed it. PARKED: its endpoint failed to accept it too often. REDELIVERED: sent again since."""

    SENT = "sent"
    RECEIVED = "received"
    ACKNOWLEDGED = "acknowledged"
    PARKED = "parked"
    REDELIVERED = "redelivered"


Way = Literal["poll", "stream", "webhook", "api"]


class Settled(Stored):
    """Progress in a partition of the changes: the log contains the effects of all changes before `change_offset`. `action_offset`
    is the next action there that a change concerns, so that redeliveries are recognised."""

    change_offset: int = Field(ge=0)
    action_offset: int = Field(ge=0)


class Issued(Stored):
    """One notice for one recipient, with its order or dissuasion after the change. `progress` is the progress in its source
    partition, from which `deliver` recovers a lost position."""

    notification: Notification
    order: Order | None = None
    dissuasion: Dissuasion | None = None
    progress: Settled | None = None


class DeliveryMark(Stored):
    """A delivery state of a notice. `attempt`: number of a webhook attempt; `detail`: why it failed, in our words. `notified_at`:
    the time of the notice, whose retention ends the mark, too. `endpoint_id`: of a webhook; for a redelivery, the only endpoint
    that gets it. `notification_offset`: the notice's offset in `notifications.issued.v1`."""

    recipient: PartyId
    notification_id: NotificationId
    state: DeliveryState
    at: Instant
    channel: Way
    attempt: int = Field(default=1, ge=1, le=1000)
    detail: str | None = Field(default=None, max_length=200)
    notified_at: Instant | None = None
    endpoint_id: Name | None = None
    notification_offset: int | None = Field(default=None, ge=0, lt=MAX_OFFSET)


def notification_digest(recipient: str, notification_id: str) -> bytes:
    """Returns 12 bytes that identify a notice of a recipient."""
    return sha256(f"{recipient}\n{notification_id}".encode()).digest()[:12]


def notification_name(digest: bytes) -> str:
    """Returns the digest as text, for the state and as the id of a webhook message."""
    return urlsafe_b64encode(digest).decode()
