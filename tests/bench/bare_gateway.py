"""The baseline of the gateway: an app on the same server that reads the body, appends it to Kafka and answers after the ack.

One record a request, and one a line of a batch. Its answers look as the load wants them. It runs until it is killed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from aiokafka import AIOKafkaProducer

from tests.bench import bare
from tests.bench.harness import answer, request

TOPIC = "bare.submitted"
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class BareGateway:
    """An ASGI app."""

    producer: AIOKafkaProducer

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        body = await _read_body(receive)
        is_batch = scope["path"].endswith("/batch")
        lines = body.splitlines() if is_batch else [body]
        await asyncio.gather(*[await self.producer.send(TOPIC, line) for line in lines])
        content = b'{"status":202}\n' * len(lines) if is_batch else b'{"status":"accepted"}'
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
        await send({"type": "http.response.start", "status": 202, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await bare.make_topics(bare.bootstrap(), [TOPIC])
        self.producer = await bare.open_producer()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.producer.stop()
        await send({"type": "lifespan.shutdown.complete"})


async def _read_body(receive: Receive) -> bytes:
    parts = []
    while True:
        event = await receive()
        parts.append(event.get("body", b""))
        if not event.get("more_body", False):
            return b"".join(parts)


class AnnouncingServer(uvicorn.Server):
    """Says where it listens once it does."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        port = self.servers[0].sockets[0].getsockname()[1]
        answer({"url": f"http://127.0.0.1:{port}"})


def main() -> None:
    request()
    config = uvicorn.Config(
        BareGateway(), host="127.0.0.1", port=0, loop="uvloop", http="httptools", ws="none", proxy_headers=False,
        access_log=False, log_config=None, server_header=False, backlog=2048,
    )  # fmt: skip
    AnnouncingServer(config).run()


if __name__ == "__main__":
    main()
