"""What uvicorn does not do for us: end a connection whose peer does not read, and tell the app before it drains.

Invariant: nothing of a connection that was aborted stays in memory.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION = "liandong.connection"
_SEND_BUFFER_BYTES = 64 << 10


class Protocol(HttpToolsProtocol):
    """Lets the app reach the connection of a request."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"transport": self.transport}}


def narrow(scope: Scope) -> None:
    """Little of what a peer does not read is kept for it, by the kernel too (which would let it grow to megabytes)."""
    transport = _transport(scope)
    if transport is not None:
        transport.set_write_buffer_limits(high=_SEND_BUFFER_BYTES)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)


def abort(scope: Scope) -> None:
    """Ends the connection at once: an ordinary close would wait for what the peer does not read."""
    transport = _transport(scope)
    if transport is not None:
        transport.abort()


def _transport(scope: Scope) -> asyncio.Transport | None:
    """None under a server that is not ours."""
    found: asyncio.Transport | None = (scope.get("extensions") or {}).get(EXTENSION, {}).get("transport")
    return found


class Server(uvicorn.Server):
    """Calls `before_drain` when it is told to end: uvicorn waits for open answers, and live ones have no end of their own."""

    def __init__(self, config: uvicorn.Config, before_drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_drain = before_drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_drain()
        await super().shutdown(sockets)
