"""What uvicorn does not do for us: bound what comes before the app is asked, end a connection whose peer does not read, and
tell the app before it drains.

Invariant: nothing of a connection that was aborted stays in memory, and of what is neither a body nor asks for anything yet
(address, headers, trailers, framing) no connection keeps more than a bounded part.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import orjson
import uvicorn
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.metrics import count_problem
from gateway.problems import MEDIA_TYPE, Problem

EXTENSION = "liandong.connection"
_SEND_BUFFER_BYTES = 64 << 10
HEAD_LIMIT_BYTES = 64 << 10
"""Of address, headers and trailers of one request; and of bytes in a row that come to nothing."""


class Protocol(HttpToolsProtocol):
    """Lets the app reach the connection of a request; refuses one whose head is too large before the app hears of it."""

    _head = 0
    _idle = 0
    _progress = False

    def data_received(self, data: bytes) -> None:
        """A header is told when it is whole, so what the parser gathers meanwhile is counted here: bytes that came to nothing
        since the last piece that came to something (whose own bytes are not: they may be a body's)."""
        self._progress = False
        super().data_received(data)
        self._idle = 0 if self._progress else self._idle + len(data)
        if self._idle > HEAD_LIMIT_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"transport": self.transport}}
        self._head, self._progress = 0, True

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._progress = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._progress = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn answers when the parser, or `_count` below it, gives up."""
        if self._head > HEAD_LIMIT_BYTES:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > HEAD_LIMIT_BYTES:
            raise ValueError("the head is too large")  # ends the parser, and comes back as send_400_response

    def _refuse(self) -> None:
        """431 and the end of the connection. While an answer before it is on its way there is no place for another."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        problem = Problem("headers-too-large", f"address and headers are over {HEAD_LIMIT_BYTES} bytes")
        count_problem(problem.kind.slug, problem.kind.status)
        body = orjson.dumps(problem.body())
        head = (
            f"HTTP/1.1 {problem.kind.status} Request Header Fields Too Large\r\ncontent-type: {MEDIA_TYPE}\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def narrow(scope: Scope) -> None:
    """Little of what a peer does not read is kept for it, by the kernel too (which would let it grow to megabytes). For one that
    has gone nothing is to be done."""
    transport = _transport(scope)
    if transport is not None and not transport.is_closing():
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
