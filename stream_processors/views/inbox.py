"""Inboxes: notices of an institution or agency in the order of its cursor, and the delivery state of each.

A recipient's keys are in one bucket: `i` its notices by their offset in `notifications.issued.v1`, `u` those not received, `p`
those that an endpoint did not accept; in shared hashes the content of a notice (`b`) and its delivery state (`y`). `g` are the
notices of a case. Invariant: marks may arrive in any order, twice, and before their notice; the state is the same (`mark` in
lua/fold.lua takes an earliest or a latest), and received is permanent. A notice that is issued again at another time is the same
notice: it waits once, and its delivery state stays.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from zlib import crc32

import orjson

from schemas.codec import RowEnvelope
from schemas.common import from_ms, instant_ms
from schemas.notifications.delivery import NOTICE_KEPT, DeliveryState, Issued, Way, notification_digest, notification_name
from schemas.topics import NOTIFICATIONS
from stream_processors.state import compression as packing
from stream_processors.state.effects import Effect, box, keep, mark, unrank
from stream_processors.state.keys import PROJECT, ProjectKey, bucket_of
from stream_processors.state.record_views import IssuedRow, MarkRow
from stream_processors.state.shared_hashes import drawer
from stream_processors.state.store import RedisLike
from stream_processors.views.reading import Rebuilding, WholeRead, live_value

_ISSUED_ID = re.compile(rf"(?:^|\|){re.escape(NOTIFICATIONS.name)}=([^:|]+):")
KEPT_MS = int(NOTICE_KEPT.total_seconds() * 1000)
OF_A_CASE = 2000
"""Newest notices of one case that are listed for its officers."""
MOST_PARKED = 5000
"""Newest parked notices of one recipient that are listed."""
SLOTS = (DeliveryState.RECEIVED, DeliveryState.ACKNOWLEDGED, DeliveryState.PARKED, DeliveryState.REDELIVERED)
"""Delivery states in order. `received` and `acknowledged` keep the earliest mark, the others keep the latest."""
WAYS: tuple[Way, ...] = ("poll", "stream", "webhook", "api")
"""Channels by their number in a state. Append new ones at the end."""
CHANNEL = "liandong.inbox"
"""Channel on which `project` announces inboxes with new notices. A waiter that misses an announcement re-checks periodically."""
_NAME_BYTES, _SLOT_BYTES, _TIME_BYTES = 12, 12, 6


class Reached(NamedTuple):
    """One counting mark: time, channel, and the try of a webhook."""

    at: datetime
    way: Way
    attempt: int


class Delivery(NamedTuple):
    """The delivery state of a notice. Each member is None without a mark; `detail` is why its endpoint did not accept it."""

    received: Reached | None = None
    acknowledged: Reached | None = None
    parked: Reached | None = None
    redelivered: Reached | None = None
    detail: str | None = None

    @property
    def state(self) -> DeliveryState:
        """`received` and `acknowledged` are permanent. Before them, the last event counts."""
        if self.acknowledged is not None:
            return DeliveryState.ACKNOWLEDGED
        if self.received is not None:
            return DeliveryState.RECEIVED
        if self.parked is not None and (self.redelivered is None or self.parked.at >= self.redelivered.at):
            return DeliveryState.PARKED
        return DeliveryState.SENT if self.redelivered is None else DeliveryState.REDELIVERED


class Entry(NamedTuple):
    """A notice in its recipient's inbox; `offset` is its cursor."""

    offset: int
    issued: Issued
    delivery: Delivery


def member_of(recipient: str, notification_id: str, ends_ms: int) -> bytes:
    """18 bytes: 12 that identify the notice, 6 for its expiry."""
    return notification_digest(recipient, notification_id) + ends_ms.to_bytes(_TIME_BYTES, "big")


def name_of(member: bytes) -> str:
    """The name of a notice's values in their shared hashes."""
    return notification_name(member[:_NAME_BYTES])


def ends_of(member: bytes) -> int:
    return int.from_bytes(member[_NAME_BYTES:], "big")


def project_issued(envelope: RowEnvelope[IssuedRow], offset: int) -> list[Effect]:
    """The notice in its inbox, and among those of its case."""
    row = envelope.data
    notice = row.notification
    assert notice is not None
    noticed_ms = instant_ms(notice.at)
    ends = noticed_ms + KEPT_MS
    member = member_of(notice.recipient, notice.notification_id, ends)
    body = packing.pack(packing.Form.NOTICE, row.shown())
    listed = f"{notice.recipient}/{name_of(member)}"
    return [
        box(ProjectKey.NOTICES.key(notice.recipient), offset, member, name_of(member), body, ends),
        keep(ProjectKey.OF_CASE.key(notice.case_id), noticed_ms, listed, ends, OF_A_CASE),
    ]


def project_delivered(envelope: RowEnvelope[MarkRow]) -> list[Effect]:
    """The effect of a mark; one that a notice was sent adds nothing."""
    row = envelope.data
    if row.state not in SLOTS:
        return []
    at_ms = instant_ms(row.at)
    if not 0 < at_ms < 1 << 47:
        return []
    since = at_ms + KEPT_MS if row.notified_at is None else instant_ms(row.notified_at)
    member = member_of(row.recipient, row.notification_id, max(1, since + KEPT_MS))
    tail = (row.detail or "").encode() if row.state is DeliveryState.PARKED else b""
    rank = (row.attempt << 4 | WAYS.index(row.channel)) << 32 | crc32(tail)
    slot = SLOTS.index(row.state)
    key = ProjectKey.UNRECEIVED.key(row.recipient)
    marking = mark(key, member, name_of(member), slot, at_ms, rank, tail, ends_of(member))
    return [marking, *_list_parked(row, name_of(member), at_ms, ends_of(member))]


def _list_parked(row: MarkRow, name: str, at_ms: int, ends_ms: int) -> list[Effect]:
    """Adds it to the parked ones, or removes it."""
    if row.endpoint_id is None:
        return []
    key, member = ProjectKey.PARKED.key(row.recipient), f"{row.endpoint_id}/{name}"
    if row.state is DeliveryState.PARKED:
        return [keep(key, at_ms, member, ends_ms, MOST_PARKED)]
    return [unrank(key, member)]


def news(rows: Iterable[IssuedRow | MarkRow]) -> bytes | None:
    """Recipients with news, each with the name of a redelivered notice. None if there are none."""
    addressed: dict[tuple[str, ...], None] = {}
    for row in rows:
        if isinstance(row, IssuedRow):
            assert row.notification is not None
            addressed[row.notification.recipient,] = None
        elif row.state is DeliveryState.REDELIVERED:
            addressed[row.recipient, name_of(member_of(row.recipient, row.notification_id, 0))] = None
    return orjson.dumps(list(addressed)) if addressed else None


def heard(message: bytes) -> list[tuple[str, str]]:
    """Parses `news`: recipient and the name of a notice, or "" for any new one."""
    return [(parts[0], parts[1] if len(parts) > 1 else "") for parts in orjson.loads(message)]


def shown(raw: bytes) -> Issued:
    """The content of a notice from its shared hash."""
    return Issued.model_validate_json(packing.unpack(raw))


def delivery_of(raw: bytes | None) -> Delivery:
    """The stored delivery state; empty if no mark has arrived."""
    if raw is None:
        return Delivery()
    received, acknowledged, parked, redelivered = (_read_reached(raw, slot) for slot in range(len(SLOTS)))
    return Delivery(received, acknowledged, parked, redelivered, raw[_SLOT_BYTES * len(SLOTS) :].decode() or None)


def _read_reached(raw: bytes, number: int) -> Reached | None:
    slot = raw[_SLOT_BYTES * number : _SLOT_BYTES * (number + 1)]
    at_ms, rank = int.from_bytes(slot[:_TIME_BYTES], "big"), int.from_bytes(slot[_TIME_BYTES:], "big")
    return Reached(from_ms(at_ms), WAYS[rank >> 32 & 15], rank >> 36) if at_ms else None


class Inbox(NamedTuple):
    """Some of a recipient's notices in the order of their cursor. `log` identifies the log of the offsets; `more`: there are
    later ones."""

    log: str
    entries: list[Entry]
    more: bool


class Addressed(NamedTuple):
    """A notice and its recipient."""

    recipient: str
    entry: Entry


class InboxViews:
    """Over Redis. A part of Views."""

    _redis: RedisLike

    async def inbox(self, recipient: str, *, after: int, limit: int) -> Inbox:
        """The notices after the offset `after` (-1: from the oldest retained one)."""
        log, entries = await self._read_some(recipient, ProjectKey.NOTICES, after, "+inf", limit + 1)
        return Inbox(log, entries[:limit], len(entries) > limit)

    async def unreceived(self, recipient: str, *, upto: int, limit: int) -> list[Entry]:
        """Notices up to and including `upto` without a mark of receipt or acknowledgement."""
        return (await self._read_some(recipient, ProjectKey.UNRECEIVED, -1, str(upto), limit))[1]

    async def _read_some(self, recipient: str, concern: ProjectKey, after: int, high: str, most: int) -> tuple[str, list[Entry]]:
        """At most this many after `after`, up to and including `high`. Expired ones that are not purged yet are skipped."""
        bucket, now_ms, key = bucket_of(recipient), int(time.time() * 1000), PROJECT.key(bucket_of(recipient), concern, recipient)
        entries: list[Entry] = []
        while True:
            read = WholeRead(self._redis)
            read.of(bucket).zrangebyscore(key, f"({after}", high, 0, most, withscores=True)
            (rows,), log = await read.answer(), _log_of(read.stamp)
            placed = [(member, int(offset)) for member, offset in rows if ends_of(member) > now_ms]
            entries += await self._load_entries(bucket, placed) if placed else []
            if len(entries) >= most or len(rows) < most:
                return log, entries[:most]
            after = int(rows[-1][1])

    async def _load_entries(self, bucket: int, placed: Sequence[tuple[bytes, int]]) -> list[Entry]:
        read = WholeRead(self._redis)
        for member, _ in placed:
            _ask_notice(read, bucket, name_of(member))
        pairs = _pair_answers(await read.answer())
        entries = [_read_entry(offset, *pair) for (_, offset), pair in zip(placed, pairs, strict=True)]
        return [entry for entry in entries if entry is not None]

    async def noticed(self, recipient: str, name: str) -> Entry | None:
        """One notice by its name; None if it is not in the inbox (any more)."""
        bucket = bucket_of(recipient)
        read = WholeRead(self._redis, atomic=True)
        _ask_notice(read, bucket, name)
        entry = _read_entry(-1, *await read.answer())
        if entry is None or entry.issued.notification.recipient != recipient:
            return None
        notice = entry.issued.notification
        member = member_of(recipient, notice.notification_id, instant_ms(notice.at) + KEPT_MS)
        place = await self._redis.zscore(PROJECT.key(bucket, ProjectKey.NOTICES, recipient), member)
        return None if place is None else entry._replace(offset=int(place))

    async def of_case(self, case_id: str) -> list[Addressed]:
        bucket = bucket_of(case_id)
        listing = WholeRead(self._redis)
        listing.of(bucket).zrange(PROJECT.key(bucket, ProjectKey.OF_CASE, case_id), 0, OF_A_CASE)
        addresses = [member.decode().rpartition("/") for member in (await listing.answer())[0]]
        read = WholeRead(self._redis)
        for recipient, _, name in addresses:
            _ask_notice(read, bucket_of(recipient), name)
        pairs = _pair_answers(await read.answer())
        entries = [(who, _read_entry(-1, *pair)) for (who, _, _), pair in zip(addresses, pairs, strict=True)]
        return [Addressed(who, entry) for who, entry in entries if entry is not None]


def _pair_answers(answers: Sequence[Any]) -> list[tuple[bytes | None, bytes | None]]:
    return list(zip(answers[0::2], answers[1::2], strict=True))


def _ask_notice(read: WholeRead, bucket: int, name: str) -> None:
    read.of(bucket).hget(drawer(PROJECT, bucket, ProjectKey.BODIES, name), name)
    read.of(bucket).hget(drawer(PROJECT, bucket, ProjectKey.DELIVERIES, name), name)


def _read_entry(offset: int, body: bytes | None, state: bytes | None) -> Entry | None:
    live_body = live_value(body)
    return None if live_body is None else Entry(offset, shown(live_body), delivery_of(live_value(state)))


def _log_of(stamp: str) -> str:
    """The `notifications.issued.v1` that the views belong to."""
    match = _ISSUED_ID.search(stamp)
    if match is None:
        raise Rebuilding("the views are of another log")
    return match[1]
