"""What reaches an institution or agency (`notifications.issued.v1`), and the proof of it (`notifications.deliveries.v1`). Keyed
by recipient.

Invariant: the records of one recipient lie in one partition, so the offset is the recipient's cursor; what was received or
acknowledged never becomes undone, whatever comes in which order.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Literal

from pydantic import Field

from schemas.common import MAX_OFFSET, Instant, Name, PartyId, Stored
from schemas.dissuasion import Task
from schemas.notices import Notice, NoticeId
from schemas.orders.order import Order

NOTICE_KEPT = timedelta(days=30)
"""An inbox shows a notice for so long from its own time on; the log keeps it longer."""
MOST_NOTICES, MOST_FOLLOWS = 1 << 12, 1 << 9
"""Of one change. `offset * MOST_NOTICES + n` orders the notices that a partition of the changes asks for; so with the follows."""


class DeliveryState(StrEnum):
    """SENT: in the recipient's inbox. RECEIVED: the recipient's system has it (it read past it, or its endpoint took it).
    ACKNOWLEDGED: it said so by itself. PARKED: its endpoint did not take it, often enough. REPLAYED: sent once more since."""

    SENT = "sent"
    RECEIVED = "received"
    ACKNOWLEDGED = "acknowledged"
    PARKED = "parked"
    REPLAYED = "replayed"


Way = Literal["poll", "stream", "webhook", "api"]


class Settled(Stored):
    """How far the stage was in a partition of the changes: what those before `change` ask for is in the log. `action` is the next
    action there that a change is about, so that echoes are known."""

    change: int = Field(ge=0)
    action: int = Field(ge=0)


class Issued(Stored):
    """One notice for one recipient, with the order or task that it is about as they are after the change. `settled` is of the
    partition that it comes from: whoever lost his place finds it here."""

    notice: Notice
    order: Order | None = None
    task: Task | None = None
    settled: Settled | None = None


class DeliveryMark(Stored):
    """What became of a notice at its recipient. `attempt`: of a webhook, which try; `detail`: why it failed, in our words.
    `noticed_at` is the notice's own time: what is remembered of it ends with it. `endpoint`: which one, of a webhook; of what is
    sent once more, the only one that it goes to. `place`: the notice's offset in `notifications.issued.v1`."""

    recipient: PartyId
    notice_id: NoticeId
    state: DeliveryState
    at: Instant
    way: Way
    attempt: int = Field(default=1, ge=1, le=1000)
    detail: str | None = Field(default=None, max_length=200)
    noticed_at: Instant | None = None
    endpoint: Name | None = None
    place: int | None = Field(default=None, ge=0, lt=MAX_OFFSET)


def notice_digest(recipient: str, notice_id: str) -> bytes:
    """12 bytes that stand for a recipient's notice."""
    return sha256(f"{recipient}\n{notice_id}".encode()).digest()[:12]


def notice_name(digest: bytes) -> str:
    """The digest as text: in the state, and as the name of a webhook's message."""
    return urlsafe_b64encode(digest).decode()
