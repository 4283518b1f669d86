"""What comes before the app is asked is bounded: address, headers, trailers, and bytes that come to nothing."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterable

import pytest

from deploy.local.tokens import mint
from gateway import app as wiring
from gateway.server.connection_limits import HEAD_LIMIT_BYTES
from tests.unit.gateway.fakes import signal
from tests.unit.gateway.served import served

KIB = b"x" * 1024
START = b"GET /livez HTTP/1.1\r\nHost: g\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture
async def port(services: wiring.Services) -> AsyncIterator[int]:
    async with served(wiring.create_app_over(services)) as port:
        yield port


async def exchange(port: int, parts: Iterable[bytes]) -> tuple[bytes, int]:
    """What is answered until the gateway closes (or says no more for a second), and how many bytes it let us send."""

    def blocking() -> tuple[bytes, int]:
        got, sent = b"", 0
        with socket.create_connection(("127.0.0.1", port), timeout=1) as peer:
            try:
                for part in parts:
                    peer.sendall(part)
                    sent += len(part)
            except OSError:
                pass  # it has closed; what it said before is still to be read
            try:
                while data := peer.recv(1 << 16):
                    got += data
            except OSError:
                pass
        return got, sent

    return await asyncio.to_thread(blocking)


ONE = b"GET /livez HTTP/1.1\r\n"
POSTED = b"POST /v1/signals HTTP/1.1\r\nHost: g\r\n"


@pytest.mark.parametrize(
    ("head", "why"),
    [
        (ONE, b"Host header is missing"),
        (ONE + b"Host: a\r\nHost: b\r\n", b"host occurs more than once"),
        (ONE + b"Host: a\r\nHost: a\r\n", b"host occurs more than once"),
        (POSTED + b"Transfer-Encoding: gzip, chunked\r\n", b"supported transfer coding is chunked"),
        (POSTED + b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n", b"transfer-encoding occurs more than once"),
        (POSTED + b"Authorization: Bearer a\r\nauthorization: Bearer b\r\nContent-Length: 0\r\n", b"authorization occurs"),
        (POSTED + b"Idempotency-Key: a\r\nIdempotency-Key: b\r\nContent-Length: 0\r\n", b"idempotency-key occurs"),
        (POSTED + b"Content-Type: application/json\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n", b"content-type occurs"),
        (b"GET /livez HTTP/0.9\r\n", b"supports HTTP/1.1"),
    ],
)
async def test_a_head_that_others_may_read_otherwise_is_400_and_the_connection_ends(port: int, head: bytes, why: bytes):
    got, _ = await exchange(port, [head + b"\r\n", START + b"\r\n"])
    assert got.count(b"HTTP/1.1 400 ") == 1 and got.startswith(b"HTTP/1.1 400 ") and b" 200 " not in got, got
    assert why in got and b"urn:liandong:problem:invalid-head" in got


@pytest.mark.parametrize("head", [ONE + b"Host: g\r\n", b"GET /livez HTTP/1.0\r\n", START + b"X-A: 1\r\nX-A: 2\r\n"])
async def test_a_plain_head_is_answered(port: int, head: bytes):
    got, _ = await exchange(port, [head + b"Connection: close\r\n\r\n"])
    assert got.startswith(b"HTTP/1.1 200 ")


def many_headers() -> Iterable[bytes]:
    yield START
    for n in range(50_000):
        yield b"X-%d: %b\r\n" % (n, KIB)


def one_endless_header() -> Iterable[bytes]:
    yield START + b"X-Long: "
    for _ in range(50_000):
        yield KIB


def one_endless_address() -> Iterable[bytes]:
    yield b"GET /livez?"
    for _ in range(50_000):
        yield KIB


def a_header_name_without_end() -> Iterable[bytes]:
    yield START
    for _ in range(50_000):
        yield KIB


@pytest.mark.parametrize("parts", [many_headers, one_endless_header, one_endless_address, a_header_name_without_end])
async def test_a_head_without_end_is_answered_431_and_the_connection_ends(port: int, parts):
    got, sent = await exchange(port, parts())
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 431 ") and b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    problem = json.loads(body)
    assert (problem["type"], problem["status"]) == ("urn:liandong:problem:headers-too-large", 431)
    assert sent < 40 << 20, "it does not read to the end"


async def test_a_large_head_in_one_piece_is_refused_too_and_one_within_the_limit_is_not(port: int):
    fitting = b"X-Long: " + b"x" * (HEAD_LIMIT_BYTES - 200) + b"\r\n"
    got, _ = await exchange(port, [START + fitting + b"Connection: close\r\n\r\n"])
    assert got.startswith(b"HTTP/1.1 200 ")
    got, _ = await exchange(port, [START + fitting + fitting + b"\r\n"])
    assert got.startswith(b"HTTP/1.1 431 ")


async def test_requests_on_one_connection_are_counted_each_for_itself(port: int):
    half = START + b"X-Long: " + b"x" * (HEAD_LIMIT_BYTES // 2) + b"\r\n"
    got, _ = await exchange(port, [half + b"\r\n"] * 5 + [half + b"Connection: close\r\n\r\n"])
    assert got.count(b"HTTP/1.1 200 ") == 6


@pytest.mark.parametrize("junk", [b"X-T: " + b"x" * 2000 + b"\r\n", KIB])
async def test_trailers_without_end_end_the_connection(port: int, home, junk: bytes):
    token = mint("bank-001", home=home, profile="unit").encode()
    head = b"POST /v1/signals HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nAuthorization: Bearer " + token + b"\r\n"
    got, sent = await exchange(port, [head + CHUNKED + b"\r\n0\r\n", *[junk] * 20_000])
    assert not got and sent < 15 << 20, "its own answer is not begun: there is nothing to say it with"


async def test_a_body_larger_than_the_limit_of_heads_is_no_head_however_it_comes(port: int, home):
    """In pieces of any size, with more framing than content, and with the next request behind it."""
    token = mint("bank-001", home=home, profile="unit").encode()
    head = b"POST /v1/signals HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\nAuthorization: Bearer " + token + b"\r\n"
    body = json.dumps(signal("r-1")).encode().ljust(60 << 10)
    plain = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunked = head + CHUNKED + b"\r\n" + b"".join(b"1\r\n%c\r\n" % one for one in body) + b"0\r\n\r\n"
    batch = chunked + plain + START + b"Connection: close\r\n\r\n"
    for size in (1 << 10, 1 << 16, len(batch)):
        got, _ = await exchange(port, [batch[at : at + size] for at in range(0, len(batch), size)])
        assert (got.count(b"HTTP/1.1 202 "), got.count(b"HTTP/1.1 200 ")) == (2, 1), size


async def test_what_is_no_http_is_still_answered_400(port: int):
    got, _ = await exchange(port, [b"\x16\x03\x01 hello\r\n\r\n"])
    assert got.startswith(b"HTTP/1.1 400 ")
