"""The read side of inboxes (inbox.py): pages by cursor, what is not received, one notice, a case's notices.

Invariant: as all views (views.py): never half folded, Rebuilding while they are made anew.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from schemas.common import instant_ms
from schemas.topics import NOTIFICATIONS
from stream_processors.state.keys import PROJECT, bucket_of, whole
from stream_processors.state.shared_hashes import drawer, taken
from stream_processors.state.store import RedisLike
from stream_processors.views.inbox_fold import KEPT_MS, OF_A_CASE, Entry, delivery_of, ends_of, member_of, name_of, shown

_ISSUED_ID = re.compile(rf"(?:^|\|){re.escape(NOTIFICATIONS.name)}=([^:|]+):")


class Rebuilding(RuntimeError):
    """The views are being folded from the log; ask again in a moment."""


class Inbox(NamedTuple):
    """Some of a recipient's notices, in the order of their cursor. `log` names the log that the offsets are of; `more`: there are
    others behind."""

    log: str
    entries: list[Entry]
    more: bool


class Addressed(NamedTuple):
    """A notice and whom it went to."""

    recipient: str
    entry: Entry


class Inboxes(Protocol):
    async def inbox(self, recipient: str, *, after: int, limit: int) -> Inbox:
        """The notices behind the offset `after` (-1: from the oldest that is kept)."""

    async def unreceived(self, recipient: str, *, upto: int, limit: int) -> list[Entry]:
        """Those up to and with `upto` of which no mark says that they were received or acknowledged."""

    async def noticed(self, recipient: str, name: str) -> Entry | None:
        """One notice by its name (inbox.py); None when it is not in the inbox (any more)."""

    async def of_case(self, case_id: str) -> list[Addressed]:
        """The notices of a case, whoever got them, the oldest first."""


class RedisInboxes:
    """Over Redis. A part of RedisViews."""

    _redis: RedisLike

    async def inbox(self, recipient: str, *, after: int, limit: int) -> Inbox:
        log, entries = await self._some(recipient, "i", after, "+inf", limit + 1)
        return Inbox(log, entries[:limit], len(entries) > limit)

    async def unreceived(self, recipient: str, *, upto: int, limit: int) -> list[Entry]:
        return (await self._some(recipient, "u", -1, str(upto), limit))[1]

    async def _some(self, recipient: str, concern: str, after: int, high: str, most: int) -> tuple[str, list[Entry]]:
        """At most so many behind `after`, up to and with `high`. Those that have ended and are not swept yet are passed over."""
        bucket, now_ms, key = bucket_of(recipient), int(time.time() * 1000), PROJECT.key(bucket_of(recipient), concern, recipient)
        entries: list[Entry] = []
        while True:
            pipe = self._redis.pipeline(transaction=True)
            pipe.zrangebyscore(key, f"({after}", high, 0, most, withscores=True)
            pipe.hget(PROJECT.marks(bucket), "stamp")
            rows, stamp = await pipe.execute()
            log = _log_of(stamp)
            placed = [(member, int(offset)) for member, offset in rows if ends_of(member) > now_ms]
            entries += await self._entries(bucket, placed) if placed else []
            if len(entries) >= most or len(rows) < most:
                return log, entries[:most]
            after = int(rows[-1][1])

    async def _entries(self, bucket: int, placed: Sequence[tuple[bytes, int]]) -> list[Entry]:
        pipe = self._redis.pipeline(transaction=False)
        for member, _ in placed:
            name = name_of(member)
            pipe.hget(drawer(PROJECT, bucket, "b", name), name)
            pipe.hget(drawer(PROJECT, bucket, "y", name), name)
        pipe.hget(PROJECT.marks(bucket), "stamp")  # after the values: emptied in between, it is missing here
        *answers, stamp = await pipe.execute()
        _log_of(stamp)
        entries = [_entry(offset, *pair) for (_, offset), pair in zip(placed, _pairs(answers), strict=True)]
        return [entry for entry in entries if entry is not None]

    async def noticed(self, recipient: str, name: str) -> Entry | None:
        bucket = bucket_of(recipient)
        pipe = self._redis.pipeline(transaction=True)
        pipe.hget(drawer(PROJECT, bucket, "b", name), name)
        pipe.hget(drawer(PROJECT, bucket, "y", name), name)
        pipe.hget(PROJECT.marks(bucket), "stamp")
        body, state, stamp = await pipe.execute()
        _log_of(stamp)
        entry = _entry(-1, body, state)
        if entry is None or entry.issued.notice.recipient != recipient:
            return None
        notice = entry.issued.notice
        member = member_of(recipient, notice.notice_id, instant_ms(notice.at) + KEPT_MS)
        place = await self._redis.zscore(PROJECT.key(bucket, "i", recipient), member)
        return None if place is None else entry._replace(offset=int(place))

    async def of_case(self, case_id: str) -> list[Addressed]:
        bucket = bucket_of(case_id)
        pipe = self._redis.pipeline(transaction=True)
        pipe.zrange(PROJECT.key(bucket, "g", case_id), 0, OF_A_CASE)
        pipe.hget(PROJECT.marks(bucket), "stamp")
        listed, stamp = await pipe.execute()
        _log_of(stamp)
        addresses = [member.decode().rpartition("/") for member in listed]
        pipe = self._redis.pipeline(transaction=False)
        for recipient, _, name in addresses:
            pipe.hget(drawer(PROJECT, bucket_of(recipient), "b", name), name)
            pipe.hget(drawer(PROJECT, bucket_of(recipient), "y", name), name)
        answers = await pipe.execute() if addresses else []
        entries = [(who, _entry(-1, *pair)) for (who, _, _), pair in zip(addresses, _pairs(answers), strict=True)]
        return [Addressed(who, entry) for who, entry in entries if entry is not None]


def _pairs(answers: Sequence[Any]) -> list[tuple[bytes | None, bytes | None]]:
    return list(zip(answers[0::2], answers[1::2], strict=True))


def _entry(offset: int, body: bytes | None, state: bytes | None) -> Entry | None:
    now_ms = int(time.time() * 1000)
    live_body = None if body is None else taken(body, now_ms)
    if live_body is None:
        return None
    return Entry(offset, shown(live_body), delivery_of(None if state is None else taken(state, now_ms)))


def _log_of(stamp: bytes | None) -> str:
    """Which `notifications.issued.v1` the views are of. Rebuilding while they are not whole."""
    match = _ISSUED_ID.search(stamp.decode()) if stamp is not None and whole(stamp) else None
    if match is None:
        raise Rebuilding("the views are being rebuilt")
    return match[1]
