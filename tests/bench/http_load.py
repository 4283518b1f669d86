"""Load on the gateway from a process of its own: plain HTTP/1.1 on keep-alive connections, bodies made before the clock starts.

Invariant: every answer is read and counted; one that is not an acceptance fails the bench.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvloop

from deploy.demo.generate import Mix, Planned, generate
from deploy.local.tokens import mint
from tests.bench.harness import answer, request

FRESH = Mix(repeat=0, resend=0, conflict=0)
"""Every line new: a repeat would be answered from memory, which is cheaper than what is measured."""


class Connection:
    """One keep-alive connection; answers with a length and chunked ones."""

    def __init__(self, url: str) -> None:
        self._host, self._port = urlsplit(url).hostname or "", urlsplit(url).port or 80

    async def open(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection(self._host, self._port, limit=1 << 20)
        return self

    async def ask(self, message: bytes) -> tuple[int, bytes]:
        self._writer.write(message)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        status = int(head[9:12])
        if b"transfer-encoding: chunked" in lower:
            return status, await self._chunks()
        length = int(lower.partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        return status, await self._reader.readexactly(length)

    async def _chunks(self) -> bytes:
        parts = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            parts.append((await self._reader.readexactly(size + 2))[:-2])
        await self._reader.readexactly(2)
        return b"".join(parts)


def post(path: str, token: str, body: bytes, media: str) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\ncontent-type: {media}\r\n"
    return head.encode() + b"content-length: %d\r\n\r\n" % len(body) + body


def token_of(home: str, profile: str) -> Any:
    return cache(lambda who: mint(who, home=Path(home), profile=profile))


def singles(planned: Sequence[Planned], token: Any) -> list[bytes]:
    return [post("/v1/signals", token(one.institution), orjson.dumps(one.body), "application/json") for one in planned]


def batches(planned: Sequence[Planned], token: Any, lines: int) -> list[bytes]:
    """Requests of `lines` lines, each of one institution."""
    by_sender: dict[str, list[bytes]] = {}
    made = []
    for one in planned:
        waiting = by_sender.setdefault(one.institution, [])
        waiting.append(orjson.dumps(one.body))
        if len(waiting) == lines:
            made.append((one.institution, waiting))
            by_sender[one.institution] = []
    made += [(who, left) for who, left in by_sender.items() if left]
    return [post("/v1/signals/batch", token(who), b"\n".join(body) + b"\n", "application/x-ndjson") for who, body in made]


async def drive(url: str, messages: Sequence[bytes], connections: int, as_batch: bool) -> tuple[int, float]:
    """Accepted signals and seconds. Each connection sends the next message when its last was answered."""
    waiting, accepted = deque(messages), 0

    async def one(connection: Connection) -> None:
        nonlocal accepted
        while waiting:
            message = waiting.popleft()
            status, body = await connection.ask(message)
            while status == 503:  # the lag limit: as a real sender, later
                await asyncio.sleep(0.5)
                status, body = await connection.ask(message)
            found = _accepted(body, as_batch)
            if status not in (200, 202) or (not as_batch and found != 1):
                raise RuntimeError(f"{status}: {body[:300]!r}")
            accepted += found

    opened = [await Connection(url).open() for _ in range(connections)]
    began = time.perf_counter()
    await asyncio.gather(*(one(connection) for connection in opened))
    return accepted, time.perf_counter() - began


def _accepted(body: bytes, as_batch: bool) -> int:
    return body.count(b'"status":202') if as_batch else body.count(b'"status":"accepted"')


async def main(asked: dict[str, Any]) -> dict[str, float]:
    token = token_of(asked["home"], asked["profile"])
    mix = FRESH if asked.get("fresh") else Mix()
    stream = generate(asked["count"], seed=asked["seed"], run=f"load{asked['seed']}", mix=mix)
    total, seconds = 0, 0.0
    while planned := list(islice(stream, 50_000)):
        as_batch = asked["lines"] > 1
        messages = batches(planned, token, asked["lines"]) if as_batch else singles(planned, token)
        accepted, took = await drive(asked["url"], messages * asked.get("duplicate_reference", 1), asked["connections"], as_batch)
        total, seconds = total + accepted, seconds + took
    return {"accepted": total, "seconds": seconds}


if __name__ == "__main__":
    answer(uvloop.run(main(request())))
