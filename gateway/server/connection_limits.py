"""Limits that uvicorn lacks: the size and time of a request before the app sees it, the number of connections, and the time an
unread response waits; and a notice to the app before it drains.

Invariant: an aborted connection leaves nothing in memory. Request line, headers, trailers and framing are bounded per connection.
Idle connections are closed.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import sys
import termios
from collections import Counter
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.http.connection import EXTENSION
from gateway.http.problems import MEDIA_TYPE, Problem, count_problem, later
from gateway.settings import GatewaySettings

HEAD_LIMIT_BYTES = 64 << 10
"""Limit for the request line, headers and trailers of one request, and for bytes in a row that yield neither."""
_ONCE = (
    *(b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-encoding"),
    *(b"authorization", b"idempotency-key", b"expect"),
)
_LOOKS = 4
"""Checks of a connection within its shortest timeout. Every timeout is exact to a quarter of that."""


class ConnectionLimits(NamedTuple):
    """`head_s`: for request line and headers, from the start of the wait (an idle kept connection has uvicorn's time until the
    first byte of the next request). `unread_s`: for the peer to read any byte of a response, if nothing else is waited for."""

    head_s: float
    unread_s: float
    connections: int
    retry_after_s: int


def limited(settings: GatewaySettings, connections: int | None = None) -> type[Protocol]:
    """Returns the protocol with the settings' limits; `connections` if the machine allows fewer."""
    most = settings.connections_limit if connections is None else connections
    bounds = ConnectionLimits(settings.head_s, settings.answer_unread_s, most, settings.retry_after_s)

    class Limited(Protocol):
        limits = bounds

    return Limited


class Protocol(HttpToolsProtocol):
    """Gives the app access to the connection of a request; refuses a head that is too large or does not arrive, before the app
    sees it; ends a connection whose peer does not read."""

    limits: ConnectionLimits
    _head = 0
    _idle = 0
    _progress = False
    _heading = False
    """Whether the head has arrived in part."""
    _fault: str | None = None
    """The fault of the head, if there is one."""
    _head_since: float | None = None
    """Start of the wait for a head; None while a request is answered or none was sent."""
    _unread, _unread_since = 0, 0.0
    """Bytes of responses that the peer has not read, and since when it has read none of them."""
    _looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._head_since = self._unread_since = self.loop.time()
        self._look_later()
        if len(self.connections) > self.limits.connections:
            detail = f"this gateway has reached its limit of {self.limits.connections} connections"
            self._end_with(later("overloaded", detail, self.limits.retry_after_s))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """The parser reports a header only when it is complete, so the bytes it gathers meanwhile are counted here: those since
        the last piece with a result (whose own bytes do not count: they may belong to a body)."""
        self._progress = False
        super().data_received(data)
        self._idle = 0 if self._progress else self._idle + len(data)
        if self.transport.is_closing():
            return
        if self._idle > HEAD_LIMIT_BYTES:
            self._refuse_request()
        elif self._head_since is None and not self._is_answering():
            self._head_since = self.loop.time()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"transport": self.transport}}
        self._head, self._progress, self._heading = 0, True, True

    def on_url(self, url: bytes) -> None:
        self._count_bytes(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_bytes(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._progress, self._heading, self._head_since = True, False, None
        self._fault = head_fault(self.parser.get_http_version(), self.headers)
        if self._fault is not None:
            raise ValueError(self._fault)  # ends the parser, and comes back as send_400_response
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._heading:  # a part of the next head came while this was answered
            self._head_since = self.loop.time()

    def on_body(self, body: bytes) -> None:
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._progress = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn when the parser, or `_count` below it, gives up."""
        if self.transport.is_closing():
            return  # it was answered
        if self._head > HEAD_LIMIT_BYTES:
            self._refuse_request()
        elif self._fault is not None:
            self._refuse_request(Problem("invalid-head", self._fault))
        else:
            super().send_400_response(msg)

    def _count_bytes(self, size: int) -> None:
        self._head += size
        if self._head > HEAD_LIMIT_BYTES:
            raise ValueError("the request head is too large")  # ends the parser, and comes back as send_400_response

    def _refuse_request(self, problem: Problem | None = None) -> None:
        """431 and the end of the connection. While an earlier response is in progress there is no place for another."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        self._end_with(problem or Problem("headers-too-large", f"request line and headers exceed {HEAD_LIMIT_BYTES} bytes"))

    def _end_with(self, problem: Problem) -> None:
        """Ends the connection with this problem."""
        count_problem(problem.kind.slug, problem.kind.status)
        body = orjson.dumps(problem.body())
        headers = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), "connection": "close", **problem.headers}
        header_lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        status = HTTPStatus(problem.kind.status)
        self.transport.write(f"HTTP/1.1 {status.value} {status.phrase}\r\n{header_lines}\r\n".encode() + body)
        self.transport.close()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _look_later(self) -> None:
        self._looking = self.loop.call_later(min(self.limits.head_s, self.limits.unread_s) / _LOOKS, self._check_progress)

    def _check_progress(self) -> None:
        """Runs periodically while the connection lasts (also while it is being closed: unread bytes would keep it open)."""
        now = self.loop.time()
        self._look_later()
        if self._is_unread(now):
            self.transport.abort()
        elif self._head_since is not None and now - self._head_since >= self.limits.head_s and not self.transport.is_closing():
            self._end_headless()

    def _end_headless(self) -> None:
        """408 for a partial head; a silent connection is closed without a response."""
        if self._heading:
            self._end_with(Problem("header-timeout", f"request line and headers did not arrive within {self.limits.head_s:g} s"))
        else:
            self.transport.close()

    def _is_unread(self, now: float) -> bool:
        """Whether the peer has read none of its pending bytes for too long."""
        unread = _count_untaken(self.transport)
        if unread == 0 or unread < self._unread or not self._only_the_peer():
            self._unread_since = now
        self._unread = unread
        return now - self._unread_since >= self.limits.unread_s

    def _only_the_peer(self) -> bool:
        """Whether only the peer's reading is waited for. Not while there is more to send and room for it, nor while its body
        arrives: a client may send everything before it reads (and a stalled body ends by itself)."""
        if not self._is_answering() or self.transport.is_closing():
            return True
        return self.flow.write_paused and not self.cycle.more_body


def head_fault(version: str, headers: Sequence[tuple[bytes, bytes]]) -> str | None:
    """Returns why a head is refused: a proxy before us could read another host, body or caller in it than we do (RFC 9112, 3.2,
    6.1 and 6.3). None if it is valid."""
    if version not in ("1.0", "1.1"):
        return "the gateway supports HTTP/1.1 and HTTP/1.0 only"
    times = Counter(name for name, _ in headers)
    for name in _ONCE:
        if times[name] > 1:
            return f"the header {name.decode()} occurs more than once"
    if version == "1.1" and not times[b"host"]:
        return "the Host header is missing"
    if any(name == b"transfer-encoding" and value.strip().lower() != b"chunked" for name, value in headers):
        return "the only supported transfer coding is chunked"
    return None


def _count_untaken(transport: asyncio.Transport) -> int:
    """Bytes that the peer has not read, including the kernel's: it asks for more only when a good part of its megabytes is gone,
    and a slow line would look dead until then. Zero if none of them are ours."""
    ours = transport.get_write_buffer_size()
    sock = transport.get_extra_info("socket")
    if not ours or sock is None:
        return ours
    try:
        return ours + int.from_bytes(fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)), sys.byteorder)
    except OSError:  # a system that does not tell
        return ours


class Server(uvicorn.Server):
    """Calls `before_drain` when it is told to end: uvicorn waits for open responses, and live ones have no end of their own."""

    def __init__(self, config: uvicorn.Config, before_drain: Callable[[], None]) -> None:
        super().__init__(config)
        self._before_drain = before_drain

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._before_drain()
        await super().shutdown(sockets)
