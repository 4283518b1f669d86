"""One run of the transport bench: a Faust worker that counts what reaches its agent, and ends at the last record."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import faust
import uvloop

from stream_processors.runtime import faust_transport as transport
from stream_processors.runtime.settings import Settings
from stream_processors.worker import build_app, spare_collector
from tests.bench.harness import answer, request


class Count:
    """From the first record to the last."""

    def __init__(self, wanted: int) -> None:
        self._wanted, self._seen, self._began = wanted, 0, 0.0

    def add(self, records: int) -> None:
        if not self._began:
            self._began = time.perf_counter()
        self._seen += records
        if self._seen >= self._wanted:
            answer({"records": self._seen, "seconds": time.perf_counter() - self._began})
            os._exit(0)  # a stop in order takes seconds and measures nothing


async def _from_start(partitions: Iterable[tuple[str, int]]) -> Mapping[tuple[str, int], int]:
    return dict.fromkeys(partitions, 0)


def _agent_of_polls(app: faust.App, topic: Any, count: Count) -> None:
    @app.agent(topic)
    async def run(stream: Any) -> None:
        async for poll in stream:
            count.add(sum(len(records) for records in poll.batch.values()))
            poll.complete()


def _agent_of_records(app: faust.App, topic: Any, count: Count) -> None:
    @app.agent(topic)
    async def run(stream: Any) -> None:
        async for _ in stream:
            count.add(1)


def main() -> None:
    asked = request()
    count, polls = Count(asked["count"]), asked["mode"] == "poll"
    app = _ours(asked) if polls else _stock(asked)
    topic = app.topic("transport", value_serializer="raw", key_serializer="raw", acks=not polls)
    (_agent_of_polls if polls else _agent_of_records)(app, topic, count)
    sys.argv = sys.argv[:1]
    faust.Worker(app, loop=app.loop, loglevel="WARN", redirect_stdouts=False, override_logging=False).execute_from_commandline()


def _ours(asked: dict[str, Any]) -> faust.App:
    """As a worker builds it, and with the worker's setting of Python's collector (an agent of polls gets nothing from Faust
    without its transport, and a worker sets both)."""
    spare_collector()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    settings = Settings(
        kafka_bootstrap=asked["bootstrap"], home=Path(tempfile.gettempdir()), profile="bench-transport", worker_id=asked["group"]
    )
    transport.PollConsumer.positions = staticmethod(_from_start)
    return build_app(settings, asked["group"], loop)


def _stock(asked: dict[str, Any]) -> faust.App:
    """As Faust comes: its defaults, but for what a run alone needs (no web server, no leader, from the first record on)."""
    return faust.App(
        asked["group"],
        broker=f"kafka://{asked['bootstrap']}",
        store="memory://",
        datadir=Path(tempfile.gettempdir()) / asked["group"],
        web_enabled=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
    )


if __name__ == "__main__":
    main()
