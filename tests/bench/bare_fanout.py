"""The baseline of the live queues: reads a topic and writes each record's key to every connection, four times a second.

So often the gateway tells a client, on purpose: without the same pause its fan-out would be compared with a loop that has none.
It runs until it is killed.
"""

from __future__ import annotations

import asyncio
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer

from tests.bench import bare
from tests.bench.harness import answer, request

PAUSE_S = 0.25


class Fanout:
    """The connections, and what each has not been sent yet."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.StreamWriter, list[bytes]] = {}

    async def add(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._waiting[writer] = []
        writer.write(b"ready\n")
        while not reader.at_eof():
            await asyncio.sleep(PAUSE_S)
            waiting, self._waiting[writer] = self._waiting[writer], []
            if waiting:
                writer.write(b"".join(waiting))
        del self._waiting[writer]

    async def read(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            for records in (await consumer.getmany(timeout_ms=1000)).values():
                for waiting in self._waiting.values():
                    waiting += [b"%s\n" % record.key for record in records]


async def main(asked: dict[str, Any]) -> None:
    await bare.make_topics(bare.bootstrap(), [asked["topic"]])
    fanout, consumer = Fanout(), await bare.open_consumer(asked["topic"])
    server = await asyncio.start_server(fanout.add, "127.0.0.1", 0)
    answer({"port": server.sockets[0].getsockname()[1]})
    await fanout.read(consumer)


if __name__ == "__main__":
    uvloop.run(main(request()))
