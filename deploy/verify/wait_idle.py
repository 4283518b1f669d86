"""Waits until the stages are idle: every source read, every fact projected, no topic growing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from redis.asyncio import Redis
from redis.exceptions import RedisError

from schemas.topics import ASSESSED, all_topics
from stream_processors.progress import behind, inputs, places
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.settings import Settings
from stream_processors.state.marks import Mark, MarkKind
from stream_processors.topology import all_stages

_EMITTED = {"assess": ((ASSESSED, Mark(MarkKind.SETTLED)),)}
"""Emissions that a stage must have written, too. A worker at its barrier may have projected facts of another worker that has
recorded them but not yet emitted their joins."""


class NotQuiet(RuntimeError):
    """The stages were not idle in time; the message lists the rest."""


Ends = dict[str, dict[int, int]]
"""Ends by topic and partition."""


async def wait_quiet(
    settings: Settings, *, timeout_s: float = 60.0, report: Callable[[int], None] = lambda remaining: None
) -> Ends:
    """Returns the ends of the topics when two checks in a row find nothing left. `report` gets the remaining records."""
    log = KafkaLog(settings, "liandong-quiet")
    redis = Redis.from_url(settings.redis_url, protocol=2)
    deadline = time.monotonic() + timeout_s
    before: Ends | None = None
    try:
        await log.open()
        while True:
            remaining, ends = await _count_remaining(log, redis, settings.raw_institutions)
            report(sum(remaining.values()))
            if not any(remaining.values()) and ends == before:
                return ends
            before = ends if not any(remaining.values()) else None
            if time.monotonic() > deadline:
                rest = ", ".join(f"{n} for {name}" for name, n in remaining.items() if n)
                raise NotQuiet(f"the stages were not idle after {timeout_s:.0f} s: {rest or 'a topic still grows'}")
            await asyncio.sleep(0.1)
    finally:
        await redis.aclose()
        await log.close()


async def _count_remaining(log: KafkaLog, redis: Redis, institutions: tuple[str, ...]) -> tuple[dict[str, int], Ends]:
    """Returns the remaining records by stage, and the ends that were read."""
    topics = all_topics(institutions)
    ends = {topic.name: dict(await log.ends(topic)) for topic in topics}
    starts = {topic.name: dict(await log.starts(topic)) for topic in topics}
    remaining: dict[str, int] = {}
    for name, stage in all_stages(institutions).items():
        remaining[name] = 0
        folded = [(stream.topic, stream.fact_mark(0)) for stream in stage.streams]
        for topic, mark in dict.fromkeys([*inputs(stage), *folded, *_EMITTED.get(name, ())]):
            try:
                at = await places(redis, stage.namespace, mark, topic.partitions)
            except RedisError:
                at = {}
            remaining[name] += behind(ends[topic.name], at, starts[topic.name], partial(log.generations.count, topic.name))
    return remaining, ends
