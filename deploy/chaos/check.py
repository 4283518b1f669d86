"""What must hold when the dust has settled, read from the log itself and from the live views.

1. Every acknowledged signal stands in the log where its receipt says, and has exactly one fact that counts it.
2. Every source record has exactly one fact that counts (later ones are echoes).
3. No case counts a signal twice or misses one that was routed to it.
4. The state folded afresh from the log is the live state, stage by stage.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from deploy.local.stack import Stack
from schemas.cases import Case
from schemas.codec import CodecError, decode
from schemas.envelope import Origin
from schemas.facts import Outcome
from schemas.topics import ASSESSED, SUBMITTED, Topic
from stream_processors.log import KafkaLog, Record
from stream_processors.pipeline import STAGES, Stage
from stream_processors.rebuild import digest_of, rebuild, snapshot
from stream_processors.settings import Settings
from stream_processors.state.keys import NAMESPACES, PROJECT
from stream_processors.state.progress import behind, places

QUIET_TIMEOUT_S = 120.0


@dataclass
class Found:
    """What was looked at, and every violation in words."""

    acknowledged: int = 0
    records: int = 0
    facts: int = 0
    echoes: int = 0
    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    digests: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def settings_of(stack: Stack) -> Settings:
    return Settings(
        kafka_bootstrap=stack.kafka_bootstrap,
        redis_url=stack.redis_url,
        home=stack.places.home,
        profile=stack.profile,
        keys_file=stack.places.keys,
    )


async def settle(settings: Settings, timeout_s: float = QUIET_TIMEOUT_S) -> None:
    """Waits until every stage has taken everything. TimeoutError names the stage that has not."""
    log = KafkaLog(settings, "liandong-check")
    await log.open()
    deadline = time.monotonic() + timeout_s
    try:
        while late := await _late(log, settings):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not settled after {timeout_s:.0f} s: {late}")
            await asyncio.sleep(0.2)
    finally:
        await log.close()


async def _late(log: KafkaLog, settings: Settings) -> str:
    redis: Redis = Redis.from_url(settings.redis_url, protocol=2)
    try:
        for stage in STAGES.values():
            for topic, prefix in _inputs(stage):
                at = await places(redis, NAMESPACES[stage.name], prefix, topic.partitions)
                left = behind(await log.ends(topic), at, await log.starts(topic))
                if left:
                    return f"{stage.name} is {left} records of {topic.name} behind"
        return ""
    finally:
        await redis.aclose()


def _inputs(stage: Stage) -> list[tuple[Topic, str]]:
    if stage.writes:
        return [(stage.reads[0], "s")]
    return [(stream.topic, f"f{stream.tag}") for stream in stage.streams]


async def check(settings: Settings, fresh_redis_url: str, acknowledged: dict[tuple[str, str], dict[str, Any]]) -> Found:
    """`acknowledged`: (institution, reference) -> the gateway's answer for it."""
    found = Found(acknowledged=len(acknowledged))
    log = KafkaLog(settings, "liandong-check")
    await log.open()
    try:
        submitted = await _all(log, SUBMITTED)
        facts = await _all(log, ASSESSED)
    finally:
        await log.close()
    _promises(found, submitted, acknowledged)
    joined = _sources(found, submitted, facts)
    await _cases(found, settings, joined)
    await _digests(found, settings, fresh_redis_url)
    return found


async def _all(log: KafkaLog, topic: Topic) -> list[Record]:
    ends, starts = await log.ends(topic), await log.starts(topic)
    return [record for p in ends async for run in log.read(topic, p, starts[p], ends[p]) for record in run]


def _promises(found: Found, submitted: list[Record], acknowledged: dict[tuple[str, str], dict[str, Any]]) -> None:
    at = {(record.partition, record.offset): record for record in submitted}
    found.records = len(submitted)
    for (institution, reference), answer in acknowledged.items():
        place = answer["position"]
        record = at.get((place["partition"], place["offset"]))
        if record is None:
            found.wrong.append(f"lost: {institution} {reference} was acknowledged at {place} and is not in the log")
            continue
        signal = decode(SUBMITTED, record.value).data
        if (signal.institution, signal.reference, signal.signal_id) != (institution, reference, answer["signal_id"]):
            found.wrong.append(f"{institution} {reference} was acknowledged at {place}, where {signal.signal_id} stands")


def _sources(found: Found, submitted: list[Record], facts: list[Record]) -> dict[str, set[str]]:
    """Counts facts by source; the signals that each case must hold."""
    counting: dict[tuple[int, int], Any] = {}
    counted: Counter[str] = Counter()
    joined: dict[str, set[str]] = defaultdict(set)
    for record in facts:
        try:
            envelope = decode(ASSESSED, record.value)
            origin = Origin.parse(envelope.origin or "")
        except (CodecError, ValueError):
            continue
        if origin.topic != SUBMITTED.name or origin.partition != record.partition:
            continue
        found.facts += 1
        if (origin.partition, origin.offset) in counting:
            found.echoes += 1
            continue
        fact = counting[origin.partition, origin.offset] = envelope.data
        found.outcomes[fact.outcome.value] += 1
        if fact.outcome in (Outcome.ASSESSED, Outcome.RESEND):
            counted[fact.signal_id] += 1
        for route in fact.routes:
            joined[route.case_id].add(fact.signal_id)
    for record in submitted:
        if (record.partition, record.offset) not in counting:
            found.wrong.append(f"no fact for {SUBMITTED.name}/{record.partition}/{record.offset}")
    for signal_id, n in counted.items():
        if n != 1:
            found.wrong.append(f"{signal_id} counts {n} times")
    return joined


async def _cases(found: Found, settings: Settings, joined: dict[str, set[str]]) -> None:
    redis: Redis = Redis.from_url(settings.redis_url, protocol=2)
    try:
        live: dict[str, Case] = {}
        async for key in redis.scan_iter(match=f"{{{PROJECT.tag}*}}k:*", count=5000):
            case = Case.model_validate_json(await redis.hget(key, "case") or b"")
            live[case.case_id] = case
    finally:
        await redis.aclose()
    found.cases = len(live)
    for case_id, signals in joined.items():
        if case_id not in live:
            found.wrong.append(f"case {case_id} of {len(signals)} signals is not in the views")
        elif live[case_id].signal_count != len(signals):
            found.wrong.append(f"case {case_id} counts {live[case_id].signal_count} signals, {len(signals)} were routed to it")
    found.wrong += [f"case {case_id} has no routed signal" for case_id in live.keys() - joined.keys()]


async def _digests(found: Found, settings: Settings, fresh_redis_url: str) -> None:
    await rebuild(settings, fresh_redis_url)
    at_ms, policy = int(time.time() * 1000), settings.policy()
    for name in STAGES:
        live, fresh = [await snapshot(url, name, at_ms, policy) for url in (settings.redis_url, fresh_redis_url)]
        found.digests[name] = digest_of(live)
        differing = [key for key in sorted(live.keys() | fresh.keys()) if live.get(key) != fresh.get(key)]
        for key in differing[:3]:
            had, made = live.get(key, "absent")[:200], fresh.get(key, "absent")[:200]
            found.wrong.append(f"{name}: {key} differs: live {had!r}, rebuilt {made!r}")
        if len(differing) > 3:
            found.wrong.append(f"{name}: {len(differing)} keys differ in all")
