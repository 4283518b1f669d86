"""An officer's live connection: the changes that the hub has for this client, as events."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from gateway.http.sse import Streaming
from gateway.live.coalesce import Update
from gateway.live.hub import Hub, LiveClient
from gateway.settings import GatewaySettings
from stream_processors.runtime.metrics import GATEWAY as METRICS


class EventStream(Streaming):
    """An officer's stream: the updates of the hub for this client."""

    def __init__(
        self,
        hub: Hub,
        client: LiveClient,
        settings: GatewaySettings,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(client.caller, settings, now, wall)
        self._hub, self._client = hub, client

    @property
    def _is_draining(self) -> bool:
        return self._hub.draining

    def _free_place(self) -> None:
        self._hub.leave(self._client)

    def _end_sleep(self) -> None:
        self._client.wake.set()

    def _next_due(self) -> float:
        return self._client.coalescer.due()

    async def _read_next(self, now: float) -> bytes | None:
        update = self._client.coalescer.take(now)
        return None if update is None else self._render_update(update)

    async def _sleep_until(self, longest_s: float) -> None:
        """Waits until there is content. Nothing wakes it between two updates, so many changes cost one wake-up."""
        quiet_s = self._client.coalescer.next - self._now()
        if quiet_s > 0:
            await asyncio.sleep(min(quiet_s, max(0.0, longest_s)))
            return
        wake = self._client.wake
        wake.clear()
        if self._client.coalescer.due() <= self._now() or self._disconnected or self._hub.draining:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(longest_s):
                await wake.wait()

    def _render_update(self, update: Update) -> bytes:
        """Up to two events: counts first, because only the position of the rows can be resumed from."""
        events, place = [], self._hub.event_id if update.complete else ""
        if update.counts:
            events.append(_write_event("counts", b'{"queues":[%s]}' % b",".join(update.counts)))
        if update.reset:
            events.append(_write_event("reset", b'{"reason":"%s"}' % update.reset.encode(), place))
        elif update.rows:
            rows = b",".join(row.json(self._hub.render) for row in update.rows)
            events.append(_write_event("cases", b'{"cases":[%s]}' % rows, place))
        return b"".join(events)


def _write_event(kind: str, data: bytes, place: str = "") -> bytes:
    METRICS.live_events.labels(kind).inc()
    name = f"id: {place}\n" if place else ""
    return b"event: %s\n%sdata: %s\n\n" % (kind.encode(), name.encode(), data)
