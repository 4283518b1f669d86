"""One live connection as an ASGI response: `text/event-stream`, written no faster than the client reads.

Invariant: it ends when the client leaves, its token expires, the process drains, or the client does not read for `live_slow_s`.
In every case its place is freed.
"""

from __future__ import annotations

import abc
import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable

from starlette.types import Receive, Scope, Send

from gateway.live.coalesce import NEVER, Update
from gateway.live.hub import Client, Hub
from gateway.live.rows import event_id
from gateway.metrics import METRICS
from gateway.security.auth import Caller
from gateway.server.connection_limits import abort, narrow
from gateway.settings import GatewaySettings

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_HEARTBEAT = b": alive\n\n"
__all__ = ["NEVER", "EventStream", "Streaming"]


class Streaming(abc.ABC):
    """Shared by all live connections; subclasses provide the content and its time."""

    def __init__(self, caller: Caller, settings: GatewaySettings, now: Callable[[], float], wall: Callable[[], float]) -> None:
        self._settings, self._now = settings, now
        valid_s = caller.expires_at - wall()
        self._ends = now() + max(0.0, min(valid_s, settings.live_longest_s))
        self._disconnected = False

    @property
    @abc.abstractmethod
    def _draining(self) -> bool: ...

    @abc.abstractmethod
    def _leave(self) -> None:
        """The connection is over."""

    @abc.abstractmethod
    def _wake(self) -> None:
        """Ends `_sleep`."""

    @abc.abstractmethod
    async def _next(self, now: float) -> bytes | None:
        """The content to send now."""

    @abc.abstractmethod
    def _due(self) -> float:
        """The time of the next content; NEVER if unknown."""

    @abc.abstractmethod
    async def _sleep(self, longest_s: float) -> None:
        """Waits until there is content."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """From here on this connection must free its place, even if its peer left before it began."""
        listening: asyncio.Task[None] | None = None
        reason = "gone"
        try:
            narrow(scope)
            listening = asyncio.create_task(self._listen(receive))
            reason = await self._write(send)
        except TimeoutError:
            reason = "slow"
            abort(scope)
        except OSError:  # what a server raises that tells of a lost connection in `send`
            reason = "gone"
        finally:
            self._leave()
            METRICS.live_closed.labels(reason).inc()
            if listening is not None:
                listening.cancel()
                await asyncio.wait((listening,))

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._disconnected = True
        self._wake()

    async def _write(self, send: Send) -> str:
        """Returns why it ended. TimeoutError if the client does not read."""
        await self._send(send, {"type": "http.response.start", "status": 200, "headers": _HEADERS})
        # Clients of a gateway that ends come back spread over two seconds.
        await self._body(send, b"retry: %d\n\n" % (1000 + secrets.randbelow(2000)))
        last = self._now()
        while not self._disconnected:
            now = self._now()
            ended = "draining" if self._draining else "expired" if now >= self._ends else ""
            if ended:
                await self._body(send, b'event: bye\ndata: {"reason":"%s"}\n\n' % ended.encode(), more=False)
                return ended
            events = await self._next(now)
            if events is not None:
                await self._body(send, events)
                last = self._now()
            elif now - last >= self._settings.live_heartbeat_s:
                await self._body(send, _HEARTBEAT)
                last = self._now()
            else:
                await self._sleep(min(self._due(), last + self._settings.live_heartbeat_s, self._ends) - now)
        return "gone"

    async def _body(self, send: Send, body: bytes, *, more: bool = True) -> None:
        await self._send(send, {"type": "http.response.body", "body": body, "more_body": more})

    async def _send(self, send: Send, message: dict[str, object]) -> None:
        async with asyncio.timeout(self._settings.live_slow_s):
            await send(message)


class EventStream(Streaming):
    """An officer's stream: the updates of the hub for this client."""

    def __init__(
        self,
        hub: Hub,
        client: Client,
        settings: GatewaySettings,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(client.caller, settings, now, wall)
        self._hub, self._client = hub, client

    @property
    def _draining(self) -> bool:
        return self._hub.draining

    def _leave(self) -> None:
        self._hub.leave(self._client)

    def _wake(self) -> None:
        self._client.wake.set()

    def _due(self) -> float:
        return self._client.coalescer.due()

    async def _next(self, now: float) -> bytes | None:
        update = self._client.coalescer.take(now)
        return None if update is None else self._render_update(update)

    async def _sleep(self, longest_s: float) -> None:
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
        events, place = [], event_id(self._hub.place) if update.complete else ""
        if update.counts:
            events.append(_event("counts", b'{"queues":[%s]}' % b",".join(update.counts)))
        if update.reset:
            events.append(_event("reset", b'{"reason":"%s"}' % update.reset.encode(), place))
        elif update.rows:
            rows = b",".join(row.json(self._hub.render) for row in update.rows)
            events.append(_event("cases", b'{"cases":[%s]}' % rows, place))
        return b"".join(events)


def _event(kind: str, data: bytes, place: str = "") -> bytes:
    METRICS.live_events.labels(kind).inc()
    name = f"id: {place}\n" if place else ""
    return b"event: %s\n%sdata: %s\n\n" % (kind.encode(), name.encode(), data)
