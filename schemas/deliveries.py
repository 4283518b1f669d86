"""What reaches an institution or agency (`orders.issued.v1`), and the proof of it (`orders.receipts.v1`). Keyed by recipient.

Invariant: the records of one recipient lie in one partition, so the offset is the recipient's cursor; what was received or
acknowledged never becomes undone, whatever comes in which order.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field

from schemas.notices import Notice, NoticeId
from schemas.orders import Order
from schemas.tasks import Task
from schemas.values import Instant, PartyId, Stored


class DeliveryState(StrEnum):
    """SENT: in the recipient's inbox. RECEIVED: the recipient's system has it (it read past it, or its endpoint took it).
    ACKNOWLEDGED: it said so by itself. PARKED: its endpoint did not take it, often enough. REPLAYED: sent once more since."""

    SENT = "sent"
    RECEIVED = "received"
    ACKNOWLEDGED = "acknowledged"
    PARKED = "parked"
    REPLAYED = "replayed"


Way = Literal["poll", "stream", "webhook", "api"]


class Issued(Stored):
    """One notice for one recipient, with the order or task that it is about as they are after the change."""

    notice: Notice
    order: Order | None = None
    task: Task | None = None


class DeliveryMark(Stored):
    """What became of a notice at its recipient. `attempt`: of a webhook, which try; `detail`: why it failed, in our words."""

    recipient: PartyId
    notice_id: NoticeId
    state: DeliveryState
    at: Instant
    way: Way
    attempt: int = Field(default=1, ge=1, le=1000)
    detail: str | None = Field(default=None, max_length=200)
