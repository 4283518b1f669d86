"""How late the baseline of the timekeeper is: puts times into its sorted set and reads what it and the stage after it append.

Invariant: every time that was put in came out of the chain once, or the bench fails.
"""

from __future__ import annotations

import time
from itertools import islice
from typing import Any

import uvloop

from tests.bench import bare
from tests.bench.bare_timer import DUE
from tests.bench.harness import answer, request

LIMIT_S, CHUNK = 120.0, 5000
SETTLES_S = 2.0


async def put_times(count: int, rate: int) -> None:
    """`rate`: so many a second fall due, or (0) all at once."""
    redis = bare.open_redis()
    first_ms = time.time_ns() // 1_000_000 + int(1000 * (SETTLES_S + count / 20_000))
    times = ((f"{first_ms}-{n}", first_ms + (n * 1000 // rate if rate else 0)) for n in range(count))
    while chunk := dict(islice(times, CHUNK)):
        await redis.zadd(DUE, chunk)
    await redis.aclose()


async def main(asked: dict[str, Any]) -> dict[str, float]:
    """`asked`: how late they were in the timer's topic, `fired`: in the topic after it; milliseconds by the broker's clock."""
    consumers = {name: await bare.open_consumer(topic) for name, topic in (("asked", "bare.due"), ("fired", "bare.fired"))}
    await put_times(asked["count"], asked["rate"])
    late_ms: dict[str, list[int]] = {name: [] for name in consumers}
    deadline = time.monotonic() + LIMIT_S
    for name, consumer in consumers.items():
        while len(late_ms[name]) < asked["count"]:
            for records in (await consumer.getmany(timeout_ms=500, max_records=10_000)).values():
                late_ms[name] += [record.timestamp - int(record.value) for record in records]
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(late_ms[name])} of {asked['count']} came after {LIMIT_S:.0f} s")
        await consumer.stop()
        if len(late_ms[name]) > asked["count"]:
            raise AssertionError(f"{len(late_ms[name])} came of {asked['count']}")
    return {f"{name}_most": max(late) for name, late in late_ms.items()}


if __name__ == "__main__":
    answer(uvloop.run(main(request())))
