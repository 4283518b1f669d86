"""One recipient's live connection: each notice as an event as soon as the inbox has it, from the cursor on.

Invariant: a connection keeps its cursor and nothing else: unread notices stay in the inbox. The id of an event is the cursor of
its notice, so a client that returns with `Last-Event-ID` misses nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from redis.exceptions import RedisError

from gateway.inbox.responses import item_out
from gateway.inbox.service import InboxDesk
from gateway.inbox.waiters import Bell, Ear
from gateway.live.stream import NEVER, Streaming
from gateway.metrics import METRICS
from gateway.security.auth import Caller
from gateway.settings import GatewaySettings
from schemas.security import Sealer
from stream_processors.views.inbox import Entry, InboxViews
from stream_processors.views.reading import Rebuilding

PAGE = 50


class InboxStream(Streaming):
    def __init__(
        self,
        caller: Caller,
        settings: GatewaySettings,
        *,
        ear: Ear,
        bell: Bell,
        desk: InboxDesk,
        views: InboxViews,
        sealer: Sealer,
        after: int,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(caller, settings, now, wall)
        self._ear, self._bell, self._desk, self._views, self._sealer = ear, bell, desk, views, sealer
        self._after, self._wall = after, wall
        self._more, self._caught_up = True, False

    @property
    def _draining(self) -> bool:
        return self._bell.draining

    def _leave(self) -> None:
        self._bell.leave(self._ear)

    def _wake(self) -> None:
        self._ear.ring()

    def _due(self) -> float:
        return NEVER

    async def _next(self, now: float) -> bytes | None:
        """The next page of events. While the views are unavailable there is none, and the connection stays."""
        self._ear.listen()
        names = list(self._ear.again)
        try:
            again = [await self._views.noticed(self._ear.recipient, name) for name in names]
            page = await self._views.inbox(self._ear.recipient, after=self._after, limit=PAGE)
        except (Rebuilding, RedisError, OSError):
            self._more = False
            return None
        for name in names:  # what was rung meanwhile waits for the next page
            self._ear.again.pop(name, None)
        events = [self._event(redelivered, None) for redelivered in again if redelivered is not None]
        for entry in page.entries:
            events.append(self._event(entry, self._desk.cursor(self._ear.recipient, page.log, entry.offset)))
            self._after = entry.offset
            if self._caught_up:
                METRICS.inbox_delay_s.observe(max(0.0, self._wall() - entry.issued.notification.at.timestamp()))
        self._more, self._caught_up = page.more, self._caught_up or not page.more
        METRICS.inbox_notices.labels("stream").inc(len(events))
        return b"".join(events) or None

    async def _sleep(self, longest_s: float) -> None:
        if not self._more:
            await self._ear.wait(longest_s)

    def _event(self, entry: Entry, cursor: str | None) -> bytes:
        """A redelivered notice has no id, so it does not move the reader."""
        data = item_out(entry, cursor, self._sealer).model_dump_json(exclude_none=True).encode()
        head = f"id: {cursor}\n".encode() if cursor is not None else b""
        return b"event: notice\n%sdata: %s\n\n" % (head, data)
