"""Inboxes in memory, read as the real views are read: what a recipient sees, and what it has not received."""

from __future__ import annotations

from typing import Any, NamedTuple

from schemas.codec import RowEnvelope, decode
from schemas.envelope import Origin
from schemas.notifications.delivery import DeliveryMark, Issued
from schemas.topics import CASE_CHANGES, DELIVERIES, NOTIFICATIONS
from stream_processors.state.effects import Effect
from stream_processors.state.keys import bucket_of
from stream_processors.state.record_views import IssuedRow, MarkRow
from stream_processors.views.inbox import Entry, delivery_of, ends_of, name_of, project_delivered, project_issued, shown
from tests.support.deliveries import mark_record
from tests.support.memory_store import MemoryRedis


class Seen(NamedTuple):
    """A recipient's notices and, of them, the offsets of those that it has not received."""

    entries: list[Entry]
    unreceived: list[int]


def seen(redis: MemoryRedis, recipient: str) -> Seen:
    redis.expire()
    values: dict[str, Any] = redis.buckets[bucket_of(recipient)].values
    live = {m: at for m, at in values.get(f"i:{recipient}", {}).items() if ends_of(m) > redis.clock.ms}
    entries = []
    for member, offset in sorted(live.items(), key=lambda one: one[1]):
        name = name_of(member)
        entries.append(Entry(offset, shown(values[f"b:{name}"]), delivery_of(values.get(f"y:{name}"))))
    unread = values.get(f"u:{recipient}", {})
    return Seen(entries, sorted(at for member, at in unread.items() if member in live))


def issued_effects(one: Issued, offset: int) -> list[Effect]:
    """What project makes of the notice at this offset."""
    from schemas.codec import encode

    origin = Origin(CASE_CHANGES.name, 0, offset, 0)
    raw = encode(NOTIFICATIONS, one, id="x", source="/deliver", actor="stage:deliver", time=one.notification.at, origin=origin)
    envelope: RowEnvelope[IssuedRow] = decode(NOTIFICATIONS, raw, IssuedRow)
    return project_issued(envelope, offset)


def mark_effects(one: DeliveryMark) -> list[Effect]:
    envelope: RowEnvelope[MarkRow] = decode(DELIVERIES, mark_record(one)[1], MarkRow)
    return project_delivered(envelope)
