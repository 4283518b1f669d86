"""A recipient's operations on an inbox: reading from a cursor, waiting, acknowledging, redelivery.

Invariant: the log has every reported receipt, acknowledgement and redelivery first. Advancing the cursor proves receipt, and each
notice gets that mark once, not once for each request.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from datetime import datetime

from gateway.commands.submit import Command, Submitter
from gateway.http.caller import Caller
from gateway.http.pagination import parse_cursor, write_cursor
from gateway.http.problems import Problem
from gateway.inbox.waiters import InboxNotifier
from gateway.security.rate_limits import REPLAYS, Rates, within
from schemas.notifications.delivery import DeliveryMark, DeliveryState, Way
from schemas.security import Tokenizer
from schemas.topics import DELIVERIES
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.metrics import GATEWAY as METRICS
from stream_processors.views.inbox import Entry, Inbox, InboxViews, Reached, member_of, name_of

START = -1
"""Before the oldest notice."""
_OFFSET = re.compile(r"0|[1-9]\d{0,14}", re.ASCII)
MOST_MARKS = 1000
"""Notices that one request marks as received at most; the next request marks the rest."""


class InboxService:
    """`read` and `past` for new notices, `acknowledge` and `replay` for existing ones."""

    def __init__(
        self, submitter: Submitter, views: InboxViews, tokenizer: Tokenizer, notifier: InboxNotifier, rates: Rates
    ) -> None:
        self._submitter, self.views, self._tokenizer, self.notifier = submitter, views, tokenizer, notifier
        self._rates = rates

    def write_cursor(self, recipient: str, log: str, offset: int) -> str:
        """How far the recipient has read, bound to the log: a new log hides no notices behind the offsets of an old one."""
        return write_cursor(self._tokenizer, str(offset), "inbox", recipient, log)

    async def place(self, recipient: str, text: str | None) -> int | None:
        """The offset of a received cursor, START without one; None if it is of another inbox."""
        if text is None:
            return START
        signed = parse_cursor(text)
        if signed is None or not _OFFSET.fullmatch(signed.payload):
            return None
        offset = int(signed.payload)
        log = (await self.views.inbox(recipient, after=offset, limit=1)).log
        return offset if signed.is_signed_for(self._tokenizer, "inbox", recipient, log) else None

    async def read(self, caller: Caller, recipient: str, *, after: int, limit: int, wait_s: float = 0.0) -> Inbox:
        """Returns the notices after the offset, as soon as there are any, at the latest after `wait_s` seconds."""
        page = await self.views.inbox(recipient, after=after, limit=limit)
        if page.entries or wait_s <= 0:
            return page
        ends = time.monotonic() + wait_s
        async with self.notifier.hold_waiter(recipient, caller) as waiter:
            while True:
                waiter.listen()
                page = await self.views.inbox(recipient, after=after, limit=limit)
                remaining_s = ends - time.monotonic()
                if page.entries or remaining_s <= 0 or self.notifier.draining:
                    return page
                await waiter.wait(remaining_s)

    async def past(self, caller: Caller, recipient: str, upto: int, way: Way) -> None:
        """Marks everything up to and including this offset as received."""
        entries = await self.views.unreceived(recipient, upto=upto, limit=MOST_MARKS) if upto >= 0 else []
        await self._append_marks(caller, entries, DeliveryState.RECEIVED, way)

    async def may_replay(self, recipient: str) -> None:
        """Problem when notices of this inbox are asked for once more too often."""
        detail = "you requested redelivery too often; the inbox contains every notice"
        await within(self._rates, "replays", recipient, REPLAYS, detail)

    async def acknowledge(self, caller: Caller, recipient: str, notification_id: str) -> Entry:
        """Returns the acknowledged notice. A repeated call returns the first time."""
        entry = await self.notice(recipient, notification_id)
        if entry.delivery.acknowledged is not None:
            return entry
        at = await self._append_marks(caller, [entry], DeliveryState.ACKNOWLEDGED, "api")
        return entry._replace(delivery=entry.delivery._replace(acknowledged=Reached(at, "api", 1)))

    async def replay(self, caller: Caller, recipient: str, notification_id: str) -> Entry:
        """Returns the notice, and sends it again to all listeners of the recipient."""
        entry = await self.notice(recipient, notification_id)
        at = await self._append_marks(caller, [entry], DeliveryState.REDELIVERED, "api")
        return entry._replace(delivery=entry.delivery._replace(redelivered=Reached(at, "api", 1)))

    async def replay_from(self, caller: Caller, recipient: str, after: int, limit: int) -> Inbox:
        """Sends all notices after the offset again, at most `limit`."""
        page = await self.views.inbox(recipient, after=after, limit=limit)
        await self._append_marks(caller, page.entries, DeliveryState.REDELIVERED, "api")
        return page

    async def notice(self, recipient: str, notification_id: str) -> Entry:
        """Problem 404 if it is not in this inbox: another's does not exist."""
        entry = await self.views.noticed(recipient, name_of(member_of(recipient, notification_id, 0)))
        if entry is None:
            raise Problem("not-found", "this inbox has no such notice, or its retention has ended")
        return entry

    async def _append_marks(self, caller: Caller, entries: Sequence[Entry], state: DeliveryState, way: Way) -> datetime:
        """Appends a mark for each; if it is unknown whether the log has them, the request must be sent again."""
        at = self._submitter.now()
        if not entries:
            return at
        marks = [_mark_of(entry, state, way, at) for entry in entries]
        point("gateway.mark_built")
        await self._submitter.append_all(DELIVERIES, marks, caller, advice="send the same request again", at=at)
        point("gateway.mark_appended")
        METRICS.inbox_marks.labels(state.value).inc(len(entries))
        return at


def _mark_of(entry: Entry, state: DeliveryState, way: Way, at: datetime) -> Command:
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
    name = f"{state.value}-{name_of(member_of(notice.recipient, notice.notification_id, 0))}-{int(at.timestamp() * 1000)}"
    return Command(name, notice.recipient, mark)
