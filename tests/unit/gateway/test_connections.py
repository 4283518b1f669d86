"""No connection lasts in which nothing happens: a head that does not come, an answer that is not read, more than there may be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from deploy.local.tokens import mint
from gateway import app as wiring
from gateway.http import docs_page
from gateway.server import fd_limit as files
from tests.unit.gateway.served import served

START = b"GET /livez HTTP/1.1\r\nHost: g\r\n"
ASK = START + b"\r\n"
SHORT = {"head_s": 0.4, "answer_unread_s": 0.4}
SOON = 2.0


@pytest.fixture
async def port(services: wiring.Services) -> AsyncIterator[int]:
    async with served(wiring.create_app_over(services), **SHORT) as port:
        yield port


class Peer:
    """A client over a socket with a small buffer of its own."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock, self._loop = sock, asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def some(self, most: int = 1 << 16) -> bytes:
        """What has come; nothing once the gateway has ended it."""
        try:
            async with asyncio.timeout(SOON):
                return await self._loop.sock_recv(self._sock, most)
        except ConnectionError:
            return b""

    async def rest(self) -> bytes:
        """All until the gateway ends it."""
        got = b""
        while part := await self.some():
            got += part
        return got

    async def answer(self) -> bytes:
        """One answer of /livez."""
        got = b""
        while b"}" not in got and (part := await self.some()):
            got += part
        return got


@contextlib.asynccontextmanager
async def peer(port: int) -> AsyncIterator[Peer]:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
    sock.setblocking(False)
    with sock:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        yield Peer(sock)


def problem(got: bytes) -> tuple[int, str]:
    head, _, body = got.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head and b"connection: close" in head
    return int(head[9:12]), json.loads(body)["type"].removeprefix("urn:liandong:problem:")


async def test_who_connects_and_says_nothing_is_told_nothing_and_ended(port: int):
    async with peer(port) as silent:
        assert await silent.rest() == b""


@pytest.mark.parametrize("half", [b"G", START, START + b"X-Long: x"])
async def test_half_a_head_is_answered_408(port: int, half: bytes):
    async with peer(port) as slow:
        await slow.send(half)
        assert problem(await slow.rest()) == (408, "header-timeout")


async def test_a_head_that_keeps_coming_has_no_more_time(port: int):
    async def drip(slow: Peer) -> None:
        with contextlib.suppress(OSError):
            await slow.send(START)
            for n in range(100):
                await slow.send(b"X-%d: 1\r\n" % n)
                await asyncio.sleep(0.05)

    async with peer(port) as slow, asyncio.timeout(SOON):
        dripping = asyncio.create_task(drip(slow))
        assert problem(await slow.rest()) == (408, "header-timeout")
        dripping.cancel()


@pytest.mark.parametrize("after", [0.0, 0.1])
async def test_so_is_half_a_head_behind_an_answered_request(port: int, after: float):
    """In the same packet, or later."""
    async with peer(port) as slow:
        if not after:
            await slow.send(ASK + START)
        else:
            await slow.send(ASK)
            await asyncio.sleep(after)
            await slow.send(START)
        first, _, second = (await slow.rest()).partition(b"HTTP/1.1 408")
        assert first.startswith(b"HTTP/1.1 200 ")
        assert problem(b"HTTP/1.1 408" + second) == (408, "header-timeout")


async def test_bytes_that_begin_nothing_keep_no_connection(port: int):
    async with peer(port) as slow:
        await slow.send(ASK)
        assert await slow.answer()
        await slow.send(b"\r\n")
        assert await slow.rest() == b""


async def test_a_connection_that_is_kept_has_the_time_of_kept_ones(port: int):
    async with peer(port) as kept:
        for _ in range(3):
            await kept.send(ASK)
            assert (await kept.answer()).startswith(b"HTTP/1.1 200 ")
            await asyncio.sleep(2 * SHORT["head_s"])


async def test_what_is_over_the_limit_of_connections_is_told_so_and_ended(services: wiring.Services):
    async with served(wiring.create_app_over(services), connections_limit=2) as port:
        async with peer(port) as one, peer(port) as two:
            for held in (one, two):
                await held.send(ASK)
                assert (await held.answer()).startswith(b"HTTP/1.1 200 ")
            async with peer(port) as third:
                got = await third.rest()
                assert problem(got) == (503, "overloaded") and b"Retry-After: " in got
        await asyncio.sleep(0.1)
        async with peer(port) as again:
            await again.send(ASK)
            assert (await again.answer()).startswith(b"HTTP/1.1 200 ")


HUGE = b"{" + b" " * (10 << 20) + b"}"
"""More than the kernel keeps."""


@pytest.mark.parametrize("times", [1, 3])
async def test_an_answer_that_is_not_read_is_not_kept(monkeypatch: pytest.MonkeyPatch, port: int, times: int):
    """Also when others wait behind it."""
    monkeypatch.setattr(docs_page.Interface, "openapi", HUGE)
    async with peer(port) as deaf:
        await deaf.send(ASK.replace(b"/livez", b"/openapi.json") * times)
        assert await deaf.some(1000)
        await asyncio.sleep(3 * SHORT["answer_unread_s"])
        assert len(await deaf.rest()) < len(HUGE) // 2


async def test_nor_one_after_which_the_connection_is_to_be_closed(monkeypatch: pytest.MonkeyPatch, port: int):
    monkeypatch.setattr(docs_page.Interface, "openapi", HUGE)
    async with peer(port) as deaf:
        await deaf.send(b"GET /openapi.json HTTP/1.0\r\nHost: g\r\n\r\n")
        assert await deaf.some(1000)
        await asyncio.sleep(3 * SHORT["answer_unread_s"])
        assert len(await deaf.rest()) < len(HUGE) // 2


async def test_one_that_is_read_slowly_is_read_to_its_end(monkeypatch: pytest.MonkeyPatch, port: int):
    monkeypatch.setattr(docs_page.Interface, "openapi", HUGE)
    async with peer(port) as slow:
        await slow.send(ASK.replace(b"/livez", b"/openapi.json"))
        got = 0
        for _ in range(30):
            got += len(await slow.some(1 << 20))
            await asyncio.sleep(0.05)
        while got < len(HUGE):
            part = await slow.some(1 << 20)
            assert part, got
            got += len(part)


async def test_a_batch_may_be_sent_to_its_end_before_a_result_is_read(services: wiring.Services, port: int, home: Any):
    token = mint("bank-001", home=home, profile="unit")
    head = f"POST /v1/signals/batch HTTP/1.1\r\nHost: g\r\nAuthorization: Bearer {token}\r\n"
    more = "Content-Type: application/x-ndjson\r\nConnection: close\r\nContent-Length: 60000\r\n\r\n"
    async with peer(port) as sender:
        await sender.send((head + more).encode())
        for _ in range(20):
            await sender.send(b"{}\n" * 1000)
            await asyncio.sleep(SHORT["answer_unread_s"] / 5)
        assert (await sender.rest()).count(b'{"line":') == 20_000


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    found: dict[str, Any] = {"limits": (1024, 4096)}
    monkeypatch.setattr(resource, "getrlimit", lambda what: found["limits"])
    monkeypatch.setattr(resource, "setrlimit", lambda what, limits: found.update(limits=limits))
    yield found


@pytest.mark.parametrize(("wanted", "fits", "soft"), [(500, 500, 1024), (2000, 2000, 2256), (8192, 3840, 4096)])
def test_files_are_asked_for_as_connections_need_them(allowed: dict[str, Any], wanted: int, fits: int, soft: int):
    assert (files.room(wanted), allowed["limits"]) == (fits, (soft, 4096))
