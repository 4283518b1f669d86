"""The baseline of the timekeeper: a sorted set of times; what is due is appended and removed, five times a second.

A tick takes all that is due and waits for the acknowledgement; the value of a record is when it was due. Runs until it is killed.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any
from zlib import crc32

import uvloop

from tests.bench import bare
from tests.bench.harness import answer, request

TICK_S = 0.2
DUE = "bare:due"


async def main(asked: dict[str, Any]) -> None:
    await bare.make_topics(bare.bootstrap(), [asked["sink"]])
    producer, redis = await bare.open_producer(), bare.open_redis()
    answer({"ready": True})
    while True:
        due: Any = await redis.zrangebyscore(DUE, "-inf", time.time_ns() // 1_000_000, withscores=True)
        entries: dict[int, list[tuple[bytes | None, bytes]]] = {}
        for name, at_ms in due:
            entries.setdefault(crc32(name) % bare.PARTITIONS, []).append((name, b"%d" % int(at_ms)))
        await bare.append(producer, asked["sink"], entries)
        if due:
            await redis.zrem(DUE, *(name for name, _ in due))
        await asyncio.sleep(TICK_S)


if __name__ == "__main__":
    uvloop.run(main(request()))
