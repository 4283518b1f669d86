"""One attempt to deliver one message: resolve, check, connect to the checked address, post, read the status.

The only part of webhooks that touches the network. Each attempt makes its own connection: one opened for another name or at
another time was checked against other facts. Invariant: whatever the name resolves to later and whatever the endpoint answers,
only the pinned address is connected to, under the name's certificate; no redirect is followed, no proxy of the environment is
used, and time and bytes are bounded.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import httpcore

from stream_processors.domain.refusal import Refusal
from stream_processors.webhooks import url_guard as guard
from stream_processors.webhooks.policy import Hooks
from stream_processors.webhooks.responses import Answer, CallOutcome, of_status

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Resolves a name and port to addresses, the preferred first. OSError when there is none."""

AGENT = "liandong-webhooks/1"
_FAILED = (httpcore.NetworkError, httpcore.ProtocolError, OSError)
"""Errors that a network or an endpoint can cause. An OSError is also a TLS alert after the handshake."""


def trust(cafile: Path | None = None) -> ssl.SSLContext:
    """Certificates are always checked; `cafile` is the operator's own authority in place of the machine's. TLS 1.2 at least is
    set here, because some distributions' Python leaves it to a file of the machine."""
    context = ssl.create_default_context(cafile=cafile)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


class SystemResolver:
    """The machine's own resolver, on threads of its own: a name server that never answers blocks no other work. A look-up cannot
    be ended, so each name has one at a time, whoever gives up waiting, and there is room for as many as there are calls."""

    def __init__(self, threads: int = 256) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="webhook-resolve")
        self._running: dict[tuple[str, int], asyncio.Future[list[Any]]] = {}

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        at = (host, port)
        if (work := self._running.get(at)) is None:
            work = self._running[at] = asyncio.get_running_loop().run_in_executor(self._threads, _look_up, host, port)
            work.add_done_callback(lambda done: self._over(at, done))
        addresses = await asyncio.shield(work)
        return list(dict.fromkeys(str(address[0]) for *_, address in addresses))

    def _over(self, at: tuple[str, int], done: asyncio.Future[list[Any]]) -> None:
        self._running.pop(at, None)
        if not done.cancelled():
            done.exception()  # nobody may have waited to the end

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _look_up(host: str, port: int) -> list[Any]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class _Bounded(httpcore.AsyncNetworkStream):
    """A stream with a byte limit that includes headers and interim responses."""

    def __init__(self, inner: httpcore.AsyncNetworkStream, most: int) -> None:
        self._inner, self._left, self._most = inner, most, most

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._left <= 0:
            raise httpcore.ReadError(f"the response exceeds {self._most} bytes")
        data = await self._inner.read(min(max_bytes, self._left), timeout)
        self._left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        return _Bounded(await self._inner.start_tls(ssl_context, server_hostname, timeout), self._most)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to one address, whatever host is asked for; names are not resolved here."""

    def __init__(self, address: str, most: int) -> None:
        self._inner, self._address, self._most = httpcore.AnyIOBackend(), address, most
        self._opened: httpcore.AsyncNetworkStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self._opened = await self._inner.connect_tcp(self._address, port, timeout, local_address, socket_options)
        return _Bounded(self._opened, self._most)

    async def aclose(self) -> None:
        """Closes the socket without a slow goodbye, even during its TLS handshake."""
        if self._opened is not None:
            await self._opened.aclose()


class Poster:
    """`post` makes one attempt. Safe for many at once."""

    def __init__(self, hooks: Hooks, *, context: ssl.SSLContext, resolve: Resolve) -> None:
        self._calls, self._limits = hooks.calls, hooks.limits
        self._context, self._resolve = context, resolve

    async def post(self, url: str, *, headers: Mapping[str, str], body: bytes, now: datetime) -> Answer:
        """The result of the attempt. `headers`: the signature (`signing.headers`); `now` is for a Retry-After with a date."""
        target = guard.target_of(url, self._calls)
        if isinstance(target, Refusal):
            return Answer(CallOutcome.REFUSED, target.why)
        try:
            async with asyncio.timeout(self._limits.resolve_s):
                resolved = await self._resolve(target.host, target.port)
        except TimeoutError:
            return Answer(CallOutcome.RETRY_LATER, "the host name was not resolved in time")
        except OSError:
            return Answer(CallOutcome.RETRY_LATER, "the host name could not be resolved")
        if not resolved:
            return Answer(CallOutcome.RETRY_LATER, "the host name has no address")
        address = guard.pin(resolved, self._calls)
        if isinstance(address, Refusal):
            return Answer(CallOutcome.REFUSED, address.why)
        return await self._attempt(target, address, headers, body, now)

    async def _attempt(
        self, target: guard.Target, address: str, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> Answer:
        request = self._request(target, headers, body)
        pinned = _Pinned(address, self._limits.answer_bytes)
        connection = httpcore.AsyncHTTPConnection(request.url.origin, ssl_context=self._context, network_backend=pinned)
        answer = None
        try:
            async with asyncio.timeout(self._limits.total_s):
                response = await connection.handle_async_request(request)
                answer = of_status(response.status, _header(response, b"retry-after"), now, address)
                if response.status != 101:
                    await _drain(response)
        except (TimeoutError, httpcore.TimeoutException):
            return answer or Answer(CallOutcome.RETRY_LATER, "the endpoint did not respond in time", address=address)
        except _FAILED as error:
            return answer or Answer(CallOutcome.RETRY_LATER, _why(error), address=address)
        finally:
            await pinned.aclose()
        return answer

    def _request(self, target: guard.Target, headers: Mapping[str, str], body: bytes) -> httpcore.Request:
        # Nothing is compressed, so nothing small can become large here.
        ours = {
            "Host": target.authority,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            "Accept-Encoding": "identity",
            "User-Agent": AGENT,
            "Connection": "close",
        }
        return httpcore.Request(
            "POST",
            httpcore.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path),
            headers=[*ours.items(), *headers.items()],
            content=body,
            extensions={"timeout": {"connect": self._limits.connect_s}},
        )


def _header(response: httpcore.Response, name: bytes) -> str | None:
    return next((value.decode("latin-1") for key, value in response.headers if key.lower() == name), None)


async def _drain(response: httpcore.Response) -> None:
    """Reads and discards the rest of the response: many servers end their work if the caller hangs up."""
    async for _ in response.aiter_stream():
        pass


def _why(error: BaseException) -> str:
    """A sentence without any text of the endpoint."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "the certificate of the endpoint is not valid for its name"
        if isinstance(cause, ssl.SSLError):
            return "the TLS handshake failed"
        cause = cause.__cause__ or cause.__context__
    return _SAID.get(type(error), "the connection broke")


_SAID: dict[type[BaseException], str] = {
    httpcore.ConnectError: "no connection to the endpoint",
    httpcore.RemoteProtocolError: "the endpoint did not respond with HTTP",
}
