"""One run of the latency bench: sends at a steady rate, and looks every 10 ms which of the cases stand in their queue.

With `topic` it sends to the baseline's chain of stages instead, and looks which keys its last one has noted.
Invariant: every signal opens a case of its own, and one that never shows fails the bench.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from random import Random
from typing import Any

import orjson
import uvloop
from redis.asyncio import Redis

from schemas.security import Tokenizer
from schemas.signals.indicators import canonical
from stream_processors.domain.signals.routing import case_id
from stream_processors.runtime.settings import Settings
from stream_processors.state.case_refs import brief
from stream_processors.state.keys import PROJECT, ProjectKey, bucket_of
from tests.bench import bare
from tests.bench.harness import answer, request
from tests.bench.http_load import Connection, post, token_of

QUEUE, REGION, KIND = "public-security-630202", "630202", "telecom_fraud"
LOOK_EVERY_S = 0.01  # more often would cost the stages more than it tells
PATIENCE_S = 20.0
CONNECTIONS = 16


class Watch:
    """Which names are waited for, since when; how long each took. `look` asks for one of them: None until it is there."""

    def __init__(self, redis: Redis, look: Callable[[Any, str], object]) -> None:
        self._redis, self._look = redis, look
        self.since: dict[str, float] = {}
        self.took_ms: list[float] = []

    async def until(self, count: int) -> None:
        while len(self.took_ms) < count:
            await asyncio.sleep(LOOK_EVERY_S)
            waiting = list(self.since)
            if waiting:
                await self._look_for(waiting)

    async def _look_for(self, waiting: list[str]) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for name in waiting:
            self._look(pipe, name)
        answers, now = await pipe.execute(), time.perf_counter()
        for name, there in zip(waiting, answers, strict=True):
            if there is not None:
                self.took_ms.append(1000 * (now - self.since.pop(name)))
            elif now - self.since[name] > PATIENCE_S:
                raise TimeoutError(f"{name} is not where it must be after {PATIENCE_S:.0f} s")


Sending = Callable[[int], Coroutine[Any, Any, None]]


async def run_at(rate: float, count: int, send: Sending, watch: Watch) -> dict[str, float]:
    """Starts one sending after the other at the rate, whatever became of the last; the times of all."""
    looking = asyncio.create_task(watch.until(count))
    sending: list[asyncio.Task[None]] = []
    began = time.perf_counter()
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        sending.append(asyncio.create_task(send(number)))
    await asyncio.gather(*sending, looking)
    took = sorted(watch.took_ms)
    return {"p50": took[len(took) // 2], "p99": took[min(len(took) - 1, len(took) * 99 // 100)]}


async def measure_pipeline(asked: dict[str, Any]) -> dict[str, float]:
    """From the POST's first byte to the case's place in its queue."""
    settings = Settings()
    redis = Redis.from_url(settings.redis_url, protocol=2)
    idle = deque([await Connection(asked["url"]).open() for _ in range(CONNECTIONS)])
    token = token_of(str(settings.home), settings.profile)("bank-001")
    tokenizer, rng = Tokenizer(settings.keyring()), Random(asked["seed"])
    watch = Watch(redis, lambda pipe, name: pipe.zscore(PROJECT.key(bucket_of(name), ProjectKey.RANKINGS, QUEUE), brief(name)))

    async def send(number: int) -> None:
        account = f"62{rng.randrange(10**15):015d}"
        message = post("/v1/signals", token, _body(asked["seed"], number, account), "application/json")
        watch.since[case_id(QUEUE, tokenizer.token("account", canonical("account", account)))] = time.perf_counter()
        connection = idle.popleft() if idle else await Connection(asked["url"]).open()
        status, content = await connection.ask(message)
        idle.append(connection)
        if status != 202:
            raise RuntimeError(f"{status}: {content[:300]!r}")

    times = await run_at(asked["rate"], asked["count"], send, watch)
    await redis.aclose()
    return times


async def measure_chain(asked: dict[str, Any]) -> dict[str, float]:
    """From the append to the first topic to what the last stage noted, with records as large as a signal's body."""
    redis, producer = bare.open_redis(), await bare.open_producer()
    watch = Watch(redis, lambda pipe, name: pipe.hget(bare.key_of(asked["last"], name.encode()), name))

    async def send(number: int) -> None:
        name = f"{asked['seed']}-{number}"
        watch.since[name] = time.perf_counter()
        await producer.send_and_wait(asked["topic"], _body(asked["seed"], number, "6" * 17), key=name.encode())

    times = await run_at(asked["rate"], asked["count"], send, watch)
    await producer.stop()
    await redis.aclose()
    return times


def _body(seed: int, number: int, account: str) -> bytes:
    body = {
        "reference": f"lat-{seed}-{number}",
        "kind": KIND,
        "occurred_at": datetime.now(UTC).isoformat(),
        "region": REGION,
        "amount": {"minor": 60_000_000, "currency": "CNY"},
        "indicators": [{"kind": "account", "value": account}],
        "narrative": "客户来电称被骗，要求止付。",
    }
    return orjson.dumps(body)


if __name__ == "__main__":
    wanted = request()
    answer(uvloop.run((measure_chain if "topic" in wanted else measure_pipeline)(wanted)))
