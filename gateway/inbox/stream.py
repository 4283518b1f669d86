"""One recipient's live connection: each notice as an event as soon as the inbox has it, from the cursor on.

Invariant: a connection keeps its cursor and nothing else: unread notices stay in the inbox. The id of an event is the cursor of
its notice, so a client that returns with `Last-Event-ID` misses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from redis.exceptions import RedisError

from gateway.http.caller import Caller
from gateway.http.sse import NEVER, Streaming
from gateway.inbox.responses import item_out
from gateway.inbox.service import InboxService
from gateway.inbox.waiters import InboxWaiter
from gateway.settings import GatewaySettings
from schemas.security import Sealer
from stream_processors.runtime.metrics import GATEWAY as METRICS
from stream_processors.views.inbox import Entry
from stream_processors.views.reading import Rebuilding

PAGE = 50


class InboxStream(Streaming):
    def __init__(
        self,
        caller: Caller,
        settings: GatewaySettings,
        *,
        waiter: InboxWaiter,
        service: InboxService,
        sealer: Sealer,
        after: int,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(caller, settings, now, wall)
        self._waiter, self._service, self._sealer = waiter, service, sealer
        self._after, self._wall = after, wall
        self._more, self._caught_up = True, False

    @property
    def _is_draining(self) -> bool:
        return self._service.notifier.draining

    def _free_place(self) -> None:
        self._service.notifier.leave(self._waiter)

    def _end_sleep(self) -> None:
        self._waiter.notify()

    def _next_due(self) -> float:
        return NEVER

    async def _read_next(self, now: float) -> bytes | None:
        """The next page of events. While the views are unavailable there is none, and the connection stays."""
        self._waiter.listen()
        names = list(self._waiter.again)
        try:
            again = [await self._service.views.noticed(self._waiter.recipient, name) for name in names]
            page = await self._service.views.inbox(self._waiter.recipient, after=self._after, limit=PAGE)
        except (Rebuilding, RedisError, OSError):
            self._more = False
            return None
        for name in names:  # what was rung meanwhile waits for the next page
            self._waiter.again.pop(name, None)
        events = [self._write_event(redelivered, None) for redelivered in again if redelivered is not None]
        for entry in page.entries:
            events.append(self._write_event(entry, self._service.write_cursor(self._waiter.recipient, page.log, entry.offset)))
            self._after = entry.offset
            if self._caught_up:
                METRICS.inbox_delay_s.observe(max(0.0, self._wall() - entry.issued.notification.at.timestamp()))
        self._more, self._caught_up = page.more, self._caught_up or not page.more
        METRICS.inbox_notices.labels("stream").inc(len(events))
        return b"".join(events) or None

    async def _sleep_until(self, longest_s: float) -> None:
        if not self._more:
            await self._waiter.wait(longest_s)

    def _write_event(self, entry: Entry, cursor: str | None) -> bytes:
        """A redelivered notice has no id, so it does not move the reader."""
        data = item_out(entry, cursor, self._sealer).model_dump_json(exclude_none=True).encode()
        head = f"id: {cursor}\n".encode() if cursor is not None else b""
        return b"event: notice\n%sdata: %s\n\n" % (head, data)
