"""One live connection as an ASGI response: `text/event-stream`, written no faster than the client reads.

Invariant: it ends when the client leaves, its token expires, the process drains, or the client does not read for `live_slow_s`.
In every case its place is freed.
"""

from __future__ import annotations

import abc
import asyncio
import secrets
from collections.abc import Callable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from gateway.http.caller import Caller
from gateway.http.connection import abort, narrow
from stream_processors.runtime.metrics import GATEWAY as METRICS

_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]
_HEARTBEAT = b": alive\n\n"
NEVER = float("inf")


class StreamSettings(Protocol):
    """How long a connection may last, how often it is alive, and for how long its client may not read."""

    live_longest_s: float
    live_heartbeat_s: float
    live_slow_s: float


class Streaming(abc.ABC):
    """Shared by all live connections; subclasses provide the content and its time."""

    def __init__(self, caller: Caller, settings: StreamSettings, now: Callable[[], float], wall: Callable[[], float]) -> None:
        self._settings, self._now = settings, now
        valid_s = caller.expires_at - wall()
        self._ends = now() + max(0.0, min(valid_s, settings.live_longest_s))
        self._disconnected = False

    @property
    @abc.abstractmethod
    def _is_draining(self) -> bool: ...

    @abc.abstractmethod
    def _free_place(self) -> None:
        """The connection is over."""

    @abc.abstractmethod
    def _end_sleep(self) -> None:
        """Ends `_sleep`."""

    @abc.abstractmethod
    async def _read_next(self, now: float) -> bytes | None:
        """The content to send now."""

    @abc.abstractmethod
    def _next_due(self) -> float:
        """The time of the next content; NEVER if unknown."""

    @abc.abstractmethod
    async def _sleep_until(self, longest_s: float) -> None:
        """Waits until there is content."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """From here on this connection must free its place, even if its peer left before it began."""
        listening: asyncio.Task[None] | None = None
        reason = "gone"
        try:
            narrow(scope)
            listening = asyncio.create_task(self._await_disconnect(receive))
            reason = await self._write_events(send)
        except TimeoutError:
            reason = "slow"
            abort(scope)
        except OSError:  # what a server raises that tells of a lost connection in `send`
            reason = "gone"
        finally:
            self._free_place()
            METRICS.live_closed.labels(reason).inc()
            if listening is not None:
                listening.cancel()
                await asyncio.wait((listening,))

    async def _await_disconnect(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._disconnected = True
        self._end_sleep()

    async def _write_events(self, send: Send) -> str:
        """Returns why it ended. TimeoutError if the client does not read."""
        await self._send_message(send, {"type": "http.response.start", "status": 200, "headers": _HEADERS})
        # Clients of a gateway that ends come back spread over two seconds.
        await self._send_body(send, b"retry: %d\n\n" % (1000 + secrets.randbelow(2000)))
        last = self._now()
        while not self._disconnected:
            now = self._now()
            ended = "draining" if self._is_draining else "expired" if now >= self._ends else ""
            if ended:
                await self._send_body(send, b'event: bye\ndata: {"reason":"%s"}\n\n' % ended.encode(), more=False)
                return ended
            events = await self._read_next(now)
            if events is not None:
                await self._send_body(send, events)
                last = self._now()
            elif now - last >= self._settings.live_heartbeat_s:
                await self._send_body(send, _HEARTBEAT)
                last = self._now()
            else:
                await self._sleep_until(min(self._next_due(), last + self._settings.live_heartbeat_s, self._ends) - now)
        return "gone"

    async def _send_body(self, send: Send, body: bytes, *, more: bool = True) -> None:
        await self._send_message(send, {"type": "http.response.body", "body": body, "more_body": more})

    async def _send_message(self, send: Send, message: dict[str, object]) -> None:
        async with asyncio.timeout(self._settings.live_slow_s):
            await send(message)
