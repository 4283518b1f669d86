"""The connection of a request, where the server is ours (gateway/server): to end it, and to keep little of what its peer does not
read."""

from __future__ import annotations

import asyncio
import socket

from starlette.types import Scope

EXTENSION = "liandong.connection"
_SEND_BUFFER_BYTES = 64 << 10


def narrow(scope: Scope) -> None:
    """Keeps little unread data for a peer, in the kernel too (which would grow to megabytes). No effect after it left."""
    transport = _transport_of(scope)
    if transport is not None and not transport.is_closing():
        transport.set_write_buffer_limits(high=_SEND_BUFFER_BYTES)
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)


def abort(scope: Scope) -> None:
    """Ends the connection at once: an ordinary close would wait for the peer to read."""
    transport = _transport_of(scope)
    if transport is not None:
        transport.abort()


def is_gone(scope: Scope) -> bool:
    """Whether the peer has closed its connection, so that nobody reads the response."""
    transport = _transport_of(scope)
    return transport is not None and transport.is_closing()


def _transport_of(scope: Scope) -> asyncio.Transport | None:
    """None under a server that is not ours."""
    transport: asyncio.Transport | None = (scope.get("extensions") or {}).get(EXTENSION, {}).get("transport")
    return transport
