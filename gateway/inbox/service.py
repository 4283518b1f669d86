"""A recipient's operations on an inbox: reading from a cursor, waiting, acknowledging, redelivery.

Invariant: the log has every reported receipt, acknowledgement and redelivery first. Advancing the cursor proves receipt, and each
notice gets that mark once, not once for each request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from gateway.adapters.kafka import Position, RequestLog
from gateway.inbox import cursor as cursors
from gateway.inbox.waiters import Bell
from gateway.metrics import METRICS
from gateway.problems import Problem, later
from gateway.security.auth import Caller, Role
from schemas.codec import encode
from schemas.notifications.delivery import DeliveryMark, DeliveryState, Way
from schemas.security import Tokenizer
from schemas.topics import DELIVERIES
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.log import KeyedEntry
from stream_processors.views.inbox import Entry, Inbox, InboxViews, Reached, member_of, name_of

MOST_MARKS = 1000
"""Notices that one request marks as received at most; the next request marks the rest."""


class InboxDesk:
    """`read` and `past` for new notices, `acknowledge` and `replay` for existing ones."""

    def __init__(
        self,
        log: RequestLog,
        views: InboxViews,
        tokenizer: Tokenizer,
        bell: Bell,
        *,
        retry_after_s: int,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._log, self._views, self._tokenizer, self._bell = log, views, tokenizer, bell
        self._retry_after_s, self._now = retry_after_s, now

    def cursor(self, recipient: str, log: str, offset: int) -> str:
        return cursors.write_cursor(self._tokenizer, recipient, log, offset)

    async def place(self, recipient: str, text: str | None) -> int | None:
        """The offset of a received cursor, START without one; None if it is of another inbox."""
        if text is None:
            return cursors.START
        claimed = cursors.claimed(text)
        if claimed is None:
            return None
        log = (await self._views.inbox(recipient, after=claimed.offset, limit=1)).log
        return claimed.offset if claimed.is_of(self._tokenizer, recipient, log) else None

    async def read(self, caller: Caller, recipient: str, *, after: int, limit: int, wait_s: float = 0.0) -> Inbox:
        """Returns the notices after the offset, as soon as there are any, at the latest after `wait_s` seconds."""
        page = await self._views.inbox(recipient, after=after, limit=limit)
        if page.entries or wait_s <= 0:
            return page
        ends = time.monotonic() + wait_s
        async with self._bell.ear(recipient, caller) as ear:
            while True:
                ear.listen()
                page = await self._views.inbox(recipient, after=after, limit=limit)
                remaining_s = ends - time.monotonic()
                if page.entries or remaining_s <= 0 or self._bell.draining:
                    return page
                await ear.wait(remaining_s)

    async def past(self, caller: Caller, recipient: str, upto: int, way: Way) -> None:
        """Marks everything up to and including this offset as received."""
        entries = await self._views.unreceived(recipient, upto=upto, limit=MOST_MARKS) if upto >= 0 else []
        await self._mark(caller, entries, DeliveryState.RECEIVED, way)

    async def acknowledge(self, caller: Caller, recipient: str, notification_id: str) -> Entry:
        """Returns the acknowledged notice. A repeated call returns the first time."""
        entry = await self.notice(recipient, notification_id)
        if entry.delivery.acknowledged is not None:
            return entry
        at = await self._mark(caller, [entry], DeliveryState.ACKNOWLEDGED, "api")
        return entry._replace(delivery=entry.delivery._replace(acknowledged=Reached(at, "api", 1)))

    async def replay(self, caller: Caller, recipient: str, notification_id: str) -> Entry:
        """Returns the notice, and sends it again to all listeners of the recipient."""
        entry = await self.notice(recipient, notification_id)
        at = await self._mark(caller, [entry], DeliveryState.REDELIVERED, "api")
        return entry._replace(delivery=entry.delivery._replace(redelivered=Reached(at, "api", 1)))

    async def replay_from(self, caller: Caller, recipient: str, after: int, limit: int) -> Inbox:
        """Sends all notices after the offset again, at most `limit`."""
        page = await self._views.inbox(recipient, after=after, limit=limit)
        await self._mark(caller, page.entries, DeliveryState.REDELIVERED, "api")
        return page

    async def notice(self, recipient: str, notification_id: str) -> Entry:
        """Problem 404 if it is not in this inbox: another's does not exist."""
        entry = await self._views.noticed(recipient, name_of(member_of(recipient, notification_id, 0)))
        if entry is None:
            raise Problem("not-found", "this inbox has no such notice, or its retention has ended")
        return entry

    async def _mark(self, caller: Caller, entries: Sequence[Entry], state: DeliveryState, way: Way) -> datetime:
        """Appends a mark for each; if it is unknown whether the log has them, the request must be sent again."""
        at = self._now()
        if not entries:
            return at
        marks = [_record(caller, entry, state, way, at) for entry in entries]
        point("gateway.mark_built")
        landed = await self._log.append(DELIVERIES, marks)
        point("gateway.mark_appended")
        if not all(isinstance(position, Position) for position in landed):
            raise later("log-unavailable", "the broker did not acknowledge; send the same request again", self._retry_after_s)
        METRICS.inbox_marks.labels(state.value).inc(len(entries))
        return at


def _record(caller: Caller, entry: Entry, state: DeliveryState, way: Way, at: datetime) -> KeyedEntry:
    notice = entry.issued.notification
    mark = DeliveryMark(
        recipient=notice.recipient,
        notification_id=notice.notification_id,
        state=state,
        at=at,
        channel=way,
        notified_at=notice.at,
        notification_offset=entry.offset if entry.offset >= 0 else None,
    )
    who = "institution" if caller.role is Role.INSTITUTION else "officer"
    name = f"{state.value}-{name_of(member_of(notice.recipient, notice.notification_id, 0))}-{int(at.timestamp() * 1000)}"
    actor = f"{who}:{caller.subject}"
    value = encode(DELIVERIES, mark, id=name, source="/gateway", actor=actor, time=at, subject=notice.recipient)
    return KeyedEntry(notice.recipient.encode(), value)
