"""How fast one stage works off what stands before it: one process, from the broker's own times of the facts it appended.

Invariant: the facts of the first append are not counted, because their work began before the first time that is known.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Mapping

from deploy.local.stack import Stack
from deploy.verify.run import settings_of
from schemas.topics import Topic
from stream_processors.runtime.kafka import KafkaLog
from tests.bench.harness import child, in_turns, stack_env

LIMIT_S = 300.0
BARE = "a bare poll loop"


def fill(stack: Stack, what: str, count: int, seed: int) -> int:
    asked = {"what": what, "count": count, "seed": seed}
    return int(child("tests.bench.preload", asked, env=stack_env(stack))["appended"])


async def ends(stack: Stack, topic: Topic) -> dict[int, int]:
    log = KafkaLog(settings_of(stack), "liandong-bench")
    await log.open()
    try:
        return await log.ends(topic)
    finally:
        await log.close()


def work_off(stack: Stack, worker: str, source: Topic, facts: Topic) -> float:
    """Starts the stopped worker, waits until every source has its fact, stops it; facts a second."""
    before = asyncio.run(ends(stack, facts))
    stack.start_one(worker)
    try:
        asyncio.run(_until_level(stack, source, facts))
    finally:
        stack.stop_one(worker)
    return asyncio.run(_rate(stack, facts, before))


def bare_rate(stack: Stack, source: Topic, starts: Mapping[int, int]) -> float:
    """Records a second of a bare poll loop (`bare_stage.py`) over what the source has from these positions on."""
    asked = {
        "source": source.name,
        "sinks": ["bare.facts"],
        "name": "rate",
        "passes": 2,
        "starts": starts,
        "ends": asyncio.run(ends(stack, source)),
    }
    told = child("tests.bench.bare_stage", asked, env=stack_env(stack))
    return float(told["records"] / told["seconds"])


def work_off_in_turns(stack: Stack, worker: str, source: Topic, facts: Topic, starts: Mapping[int, int]) -> tuple[float, float]:
    """Both rates over what the source has from these positions on: the worker's, and the bare loop's before and after it."""
    return in_turns(lambda: work_off(stack, worker, source, facts), lambda: bare_rate(stack, source, starts))


async def _until_level(stack: Stack, source: Topic, facts: Topic) -> None:
    log = KafkaLog(settings_of(stack), "liandong-bench")
    await log.open()
    deadline = time.monotonic() + LIMIT_S
    try:
        while sum((await log.ends(facts)).values()) < sum((await log.ends(source)).values()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{facts.name} has not caught up with {source.name} after {LIMIT_S:.0f} s")
            await asyncio.sleep(0.25)
    finally:
        await log.close()


async def _rate(stack: Stack, facts: Topic, before: Mapping[int, int]) -> float:
    log = KafkaLog(settings_of(stack), "liandong-bench")
    await log.open()
    at: Counter[int] = Counter()
    try:
        for partition, end in (await log.ends(facts)).items():
            async for records in log.read(facts, partition, before[partition], end):
                at.update(record.timestamp_ms for record in records)
    finally:
        await log.close()
    first, last = min(at), max(at)
    return (at.total() - at[first]) / max(0.001, (last - first) / 1000)
