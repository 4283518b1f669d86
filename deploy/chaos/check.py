"""What must hold when the dust has settled, read from the log itself and from the live views.

1. Every acknowledged signal stands in the log where its receipt says, and has exactly one fact that counts it.
2. Every source record has exactly one fact that counts (later ones are echoes).
3. No case counts a signal twice or misses one that was routed to it.
That the state folded afresh from the log is the live one, and what the oracle demands, is `deploy.verify`'s part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from deploy.verify.ledger import Entry
from schemas.cases import Case
from schemas.codec import CodecError, decode
from schemas.envelope import Origin
from schemas.facts import Outcome
from schemas.topics import ASSESSED, SUBMITTED, Topic
from stream_processors.log import KafkaLog, Record
from stream_processors.settings import Settings
from stream_processors.state.keys import PROJECT


@dataclass
class Found:
    """What was looked at, and every violation in words."""

    acknowledged: int = 0
    records: int = 0
    facts: int = 0
    echoes: int = 0
    cases: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


async def check(settings: Settings, entries: Sequence[Entry]) -> Found:
    """Compares the log and the live cases with what the ledger says was acknowledged."""
    acknowledged = [entry for entry in entries if entry.fate == "accepted"]
    found = Found(acknowledged=len(acknowledged))
    found.wrong += [f"{entry.who} {entry.reference} was never answered" for entry in entries if entry.fate == "open"]
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
    return found


async def _all(log: KafkaLog, topic: Topic) -> list[Record]:
    ends, starts = await log.ends(topic), await log.starts(topic)
    return [record for p in ends async for run in log.read(topic, p, starts[p], ends[p]) for record in run]


def _promises(found: Found, submitted: list[Record], acknowledged: list[Entry]) -> None:
    at = {(record.partition, record.offset): record for record in submitted}
    found.records = len(submitted)
    for entry in acknowledged:
        record = at.get(entry.position or (-1, -1))
        if record is None:
            found.wrong.append(f"lost: {entry.who} {entry.reference} was acknowledged at {entry.position}, it is not in the log")
            continue
        signal = decode(SUBMITTED, record.value).data
        if (signal.institution, signal.reference, signal.signal_id) != (entry.who, entry.reference, entry.signal_id):
            found.wrong.append(f"{entry.who} {entry.reference} was acknowledged at {entry.position}: {signal.signal_id} is there")


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
