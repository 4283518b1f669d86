"""Inboxes: what reached an institution or agency, in the order of its cursor, and what became of each notice.

A recipient's keys lie in one bucket: `i` its notices by their offset in `notifications.issued.v1`, `u` those that it has not
received, in drawers what a notice says (`b`) and what became of it (`y`). Invariant: marks may come in any order, twice, and
before their notice; the state is the same (`mark` in lua/fold.lua takes an earliest or a latest), and received never becomes
undone. A notice that is issued again, at another time, is the same notice: it waits once, and what became of it stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple
from zlib import crc32

import orjson

from schemas.codec import RowEnvelope
from schemas.common import from_ms, instant_ms
from schemas.notifications.delivery import NOTICE_KEPT, DeliveryState, Issued, Way, notice_digest, notice_name
from stream_processors.state import compression as packing
from stream_processors.state.effects import Effect, box, keep, mark, unrank
from stream_processors.state.keys import bucket_of
from stream_processors.state.record_views import IssuedRow, MarkRow

KEPT_MS = int(NOTICE_KEPT.total_seconds() * 1000)
OF_A_CASE = 2000
"""Notices of one case that are listed for its officers, the newest."""
MOST_PARKED = 5000
"""Notices of one recipient that are listed as not taken by its endpoints, the newest."""
SLOTS = (DeliveryState.RECEIVED, DeliveryState.ACKNOWLEDGED, DeliveryState.PARKED, DeliveryState.REPLAYED)
"""Of the first two the earliest mark counts, of the others the latest."""
WAYS: tuple[Way, ...] = ("poll", "stream", "webhook", "api")
"""By their number in a state; new ones come behind."""
CHANNEL = "liandong.inbox"
"""Where `project` says whose inbox has something new, once it is there. Who does not hear of it looks again by and by."""
_NAME_BYTES, _SLOT_BYTES, _TIME_BYTES = 12, 12, 6


class Reached(NamedTuple):
    """One mark as it counts: when, on which way, of a webhook which try."""

    at: datetime
    way: Way
    attempt: int


class Delivery(NamedTuple):
    """What became of a notice. Each is None where no mark says so; `detail` is why its endpoint did not take it."""

    received: Reached | None = None
    acknowledged: Reached | None = None
    parked: Reached | None = None
    replayed: Reached | None = None
    detail: str | None = None

    @property
    def state(self) -> DeliveryState:
        """What was received or acknowledged stays so. Before, what happened last counts."""
        if self.acknowledged is not None:
            return DeliveryState.ACKNOWLEDGED
        if self.received is not None:
            return DeliveryState.RECEIVED
        if self.parked is not None and (self.replayed is None or self.parked.at >= self.replayed.at):
            return DeliveryState.PARKED
        return DeliveryState.SENT if self.replayed is None else DeliveryState.REPLAYED


class Entry(NamedTuple):
    """A notice in its recipient's inbox; `offset` is its cursor."""

    offset: int
    issued: Issued
    delivery: Delivery


def member_of(recipient: str, notice_id: str, ends_ms: int) -> bytes:
    """18 bytes: 12 that stand for the notice, 6 for when it ends."""
    return notice_digest(recipient, notice_id) + ends_ms.to_bytes(_TIME_BYTES, "big")


def name_of(member: bytes) -> str:
    """Under which a notice's values lie in their drawers."""
    return notice_name(member[:_NAME_BYTES])


def ends_of(member: bytes) -> int:
    return int.from_bytes(member[_NAME_BYTES:], "big")


def project_issued(envelope: RowEnvelope[IssuedRow], offset: int) -> list[Effect]:
    """The notice in its inbox, and among those of its case."""
    row = envelope.data
    notice = row.notice
    assert notice is not None
    noticed_ms = instant_ms(notice.at)
    ends = noticed_ms + KEPT_MS
    member = member_of(notice.recipient, notice.notice_id, ends)
    body = packing.pack(packing.Form.NOTICE, row.shown())
    listed = f"{notice.recipient}/{name_of(member)}"
    return [
        box(bucket_of(notice.recipient), f"i:{notice.recipient}", offset, member, name_of(member), body, ends),
        keep(bucket_of(notice.case_id), f"g:{notice.case_id}", noticed_ms, listed, ends, OF_A_CASE),
    ]


def project_delivered(envelope: RowEnvelope[MarkRow]) -> list[Effect]:
    """What a mark says; one that a notice was sent says nothing new."""
    row = envelope.data
    if row.state not in SLOTS:
        return []
    at_ms = instant_ms(row.at)
    if not 0 < at_ms < 1 << 47:
        return []
    since = at_ms + KEPT_MS if row.noticed_at is None else instant_ms(row.noticed_at)
    member = member_of(row.recipient, row.notice_id, max(1, since + KEPT_MS))
    tail = (row.detail or "").encode() if row.state is DeliveryState.PARKED else b""
    rank = (row.attempt << 4 | WAYS.index(row.way)) << 32 | crc32(tail)
    slot = SLOTS.index(row.state)
    key = f"u:{row.recipient}"
    marking = mark(bucket_of(row.recipient), key, member, name_of(member), slot, at_ms, rank, tail, ends_of(member))
    return [marking, *_parked(row, name_of(member), at_ms, ends_of(member))]


def _parked(row: MarkRow, name: str, at_ms: int, ends_ms: int) -> list[Effect]:
    """Among those that an endpoint did not take, or no longer."""
    if row.endpoint is None:
        return []
    bucket, key, member = bucket_of(row.recipient), f"p:{row.recipient}", f"{row.endpoint}/{name}"
    if row.state is DeliveryState.PARKED:
        return [keep(bucket, key, at_ms, member, ends_ms, MOST_PARKED)]
    return [unrank(bucket, key, member)]


def news(rows: Iterable[IssuedRow | MarkRow]) -> bytes | None:
    """Who has something new: recipients, or with a notice's name behind what was asked for once more. None when nobody has."""
    addressed: dict[tuple[str, ...], None] = {}
    for row in rows:
        if isinstance(row, IssuedRow):
            assert row.notice is not None
            addressed[row.notice.recipient,] = None
        elif row.state is DeliveryState.REPLAYED:
            addressed[row.recipient, name_of(member_of(row.recipient, row.notice_id, 0))] = None
    return orjson.dumps(list(addressed)) if addressed else None


def heard(message: bytes) -> list[tuple[str, str]]:
    """What `news` wrote: recipient and the name of a notice, or "" for whatever is new."""
    return [(parts[0], parts[1] if len(parts) > 1 else "") for parts in orjson.loads(message)]


def shown(raw: bytes) -> Issued:
    """What a notice says, as it lies in its drawer."""
    return Issued.model_validate_json(packing.unpack(raw))


def delivery_of(raw: bytes | None) -> Delivery:
    """What became of it, as it lies there; nothing when no mark has come."""
    if raw is None:
        return Delivery()
    received, acknowledged, parked, replayed = (_reached(raw, slot) for slot in range(len(SLOTS)))
    return Delivery(received, acknowledged, parked, replayed, raw[_SLOT_BYTES * len(SLOTS) :].decode() or None)


def _reached(raw: bytes, number: int) -> Reached | None:
    slot = raw[_SLOT_BYTES * number : _SLOT_BYTES * (number + 1)]
    at_ms, rank = int.from_bytes(slot[:_TIME_BYTES], "big"), int.from_bytes(slot[_TIME_BYTES:], "big")
    return Reached(from_ms(at_ms), WAYS[rank >> 32 & 15], rank >> 36) if at_ms else None
