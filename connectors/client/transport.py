"""Runs the steps of a call over httpx, blocking or asynchronous. All differences between the two are here.

Invariant: data that arrived before a connection broke is passed on, and so is whether the request may have been accepted.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping

import httpx

from .errors import ClientError
from .sansio import HttpRequest, Pause, Reply, Result, Steps

Token = str | Callable[[], str]
AsyncToken = str | Callable[[], str] | Callable[[], Awaitable[str]]
TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_NEVER_CAN_BE = (httpx.UnsupportedProtocol, httpx.LocalProtocolError)


def drive(steps: Steps[Result], client: httpx.Client, token: Token, sleep: Callable[[float], None]) -> Result:
    """Runs a call to its end. The token is read for each request, so that it may be renewed."""
    reply: Reply | None = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration as end:
            result: Result = end.value
            return result
        reply = None
        if isinstance(step, Pause):
            sleep(step.seconds)
        else:
            reply = _perform_request(client, step, token if isinstance(token, str) else token())


async def drive_async(
    steps: Steps[Result], client: httpx.AsyncClient, token: AsyncToken, sleep: Callable[[float], Awaitable[None]]
) -> Result:
    """The same, asynchronous; the callable of the token may be, too."""
    reply: Reply | None = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration as end:
            result: Result = end.value
            return result
        reply = None
        if isinstance(step, Pause):
            await sleep(step.seconds)
        else:
            fresh_token = token if isinstance(token, str) else token()
            reply = await _perform_async(client, step, await fresh_token if inspect.isawaitable(fresh_token) else fresh_token)


def _perform_request(client: httpx.Client, request: HttpRequest, token: str) -> Reply:
    status, headers, parts = 0, httpx.Headers(), list[bytes]()
    try:
        with client.stream(*_request_line(request), headers=_build_headers(request, token), content=request.content) as response:
            status, headers = response.status_code, response.headers
            for part in response.iter_bytes():
                parts.append(part)
    except httpx.RequestError as error:
        return _describe_break(error, status, headers, parts)
    return Reply(status, headers, b"".join(parts))


async def _perform_async(client: httpx.AsyncClient, request: HttpRequest, token: str) -> Reply:
    status, headers, parts = 0, httpx.Headers(), list[bytes]()
    try:
        async with client.stream(
            *_request_line(request), headers=_build_headers(request, token), content=request.content
        ) as response:
            status, headers = response.status_code, response.headers
            async for part in response.aiter_bytes():
                parts.append(part)
    except httpx.RequestError as error:
        return _describe_break(error, status, headers, parts)
    return Reply(status, headers, b"".join(parts))


def _request_line(request: HttpRequest) -> tuple[str, str]:
    return request.method, request.path


def _build_headers(request: HttpRequest, token: str) -> dict[str, str]:
    return {**request.headers, "authorization": f"Bearer {token}"}


def _describe_break(error: httpx.RequestError, status: int, headers: Mapping[str, str], parts: list[bytes]) -> Reply:
    name = type(error).__name__
    if isinstance(error, _NEVER_CAN_BE):  # its own words may repeat the token
        raise ClientError(f"the request cannot be sent ({name}); check the URL and the token") from None
    if isinstance(error, _NEVER_SENT):
        return Reply(0, broke=f"the gateway cannot be reached ({name})", reached=False)
    return Reply(status, headers, b"".join(parts), f"the response broke off ({name})")
