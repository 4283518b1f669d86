"""The parts of the clocks bench that are work: opens clocks through the fold, writes cases that fall due, judges how late.

Invariant: every clock that was to fall due was fired, once, and none before its time, or the bench fails.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from random import Random
from typing import Any

import uvloop

from schemas.cases.case import Action, ActionKind, ActionOutcome, CaseChange, JoinedSignal
from schemas.codec import RowEnvelope, decode, encode
from schemas.common import DAY_MS, from_ms
from schemas.deadlines import Deadline, DeadlineState, DeadlineStep
from schemas.envelope import Origin
from schemas.policy import Policy
from schemas.signals.subjects import Subject
from schemas.signals.submission import SignalKind
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, Topic
from stream_processors.domain.cases import decide as decision
from stream_processors.folds.timekeeper import fold_timekeeper
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.settings import Settings
from stream_processors.state.effects import Arg
from stream_processors.state.keys import TIMEKEEPER
from stream_processors.state.record_views import DeadlineedRow, DeadlineRow, DueRow
from stream_processors.state.scorecard_views import Row
from stream_processors.state.store import RedisStore, Write, connect
from tests.bench.harness import answer, request

CHUNK, QUEUE, LIMIT_S = 4000, "public-security-630202", 120.0
NAMES = ("acknowledge", "warn", "block", "order_answer")


def case_id(rng: Random) -> str:
    return f"case-{rng.getrandbits(96):024x}"


# open clocks


async def opened(settings: Settings, first: int, count: int, clocks: int) -> dict[str, float]:
    """Cases with clocks that are due in one to thirty days, through the timekeeper's fold."""
    redis = connect(settings.redis_url)
    store = RedisStore(redis, TIMEKEEPER)
    await store.open()
    stamp = (await store.stamps())[0]
    assert stamp is not None
    rng, began = Random(first), time.perf_counter()
    for done in range(0, count, CHUNK):
        args: dict[int, list[Arg]] = {}
        for _ in range(min(CHUNK, count - done)):
            for effect in fold_timekeeper(RowEnvelope("", from_ms(0), "", _open(rng, clocks))):
                args.setdefault(effect.bucket, []).extend(effect.args)
        await store.call("fold", stamp, {bucket: Write({}, {}, found) for bucket, found in args.items()})
    await redis.aclose()
    return {"seconds": time.perf_counter() - began}


def _open(rng: Random, clocks: int) -> DueRow:
    now_ms = time.time_ns() // 1_000_000
    coming = tuple(
        DeadlineRow(name, 1, DeadlineStep.DUE, from_ms(now_ms + rng.randrange(DAY_MS, 30 * DAY_MS))) for name in NAMES[:clocks]
    )
    return DueRow(from_ms(0), DeadlineedRow(case_id(rng), 1, coming))


# clocks that fall due


def signal(number: int) -> JoinedSignal:
    now = datetime.now(UTC)
    subject = Subject(kind="account", role="suspect", token=f"k1.{number:032x}", sealed="s" * 80)
    return JoinedSignal.trusted(
        signal_id=f"sig-{number:020x}", institution="bank-001", kind=SignalKind.TELECOM_FRAUD, occurred_at=now, accepted_at=now,
        region="630202", amount_minor=1_200_000, currency="CNY", score=60, severity="high", reasons=(), subjects=(subject,),
        narrative_sealed="n" * 200,
    )  # fmt: skip


def joining(count: int, seed: int) -> Iterator[Action]:
    rng = Random(seed)
    for number in range(count):
        yield Action.trusted(
            action_id=f"join-{seed}-{number}", case_id=case_id(rng), kind=ActionKind.JOIN, queue=QUEUE, signal=signal(number)
        )


async def due(settings: Settings, count: int, rate: int, in_s: float) -> dict[str, Any]:
    """Writes the joins and, as track does, what became of them; each case with one clock that falls due at its time."""
    log, policy = KafkaLog(settings, "liandong-bench-clocks"), settings.policy()
    await log.open()
    first_ms = time.time_ns() // 1_000_000 + int(in_s * 1000)
    since = {topic.name: await log.ends(topic) for topic in (CASE_COMMANDS, CASE_CHANGES)}
    times = iter(first_ms + (number * 1000 // rate if rate else 0) for number in range(count))
    joins = joining(count, first_ms)
    while actions := list(islice(joins, CHUNK // 2)):
        await _write(log, policy, actions, [next(times) for _ in actions])
    await log.close()
    return {"first_ms": first_ms, "since": {name: [ends[p] for p in sorted(ends)] for name, ends in since.items()}}


async def _write(log: KafkaLog, policy: Policy, actions: Sequence[Action], times: Sequence[int]) -> None:
    """Each change says when the broker took its join in, as track's do: the check for a damaged log compares the two."""
    now = datetime.now(UTC)
    joins = [(one.case_id.encode(), _record(CASE_COMMANDS, one, one.action_id, now)) for one in actions]
    places = await log.append_keyed(CASE_COMMANDS, joins)
    stamps = await _stamps(log, places)
    facts: dict[int, list[tuple[int, bytes, bytes]]] = {}
    for one, (p, offset), at_ms in zip(actions, places, times, strict=True):
        change = _changed(one, policy, from_ms(stamps[p, offset]), at_ms)
        value = _record(CASE_CHANGES, change, f"changed-{p}:{offset}", now, Origin(CASE_COMMANDS.name, p, offset))
        facts.setdefault(p, []).append((offset, one.case_id.encode(), value))
    await log.append(CASE_CHANGES, {p: [(key, value) for _, key, value in sorted(found)] for p, found in facts.items()})


async def _stamps(log: KafkaLog, places: Sequence[tuple[int, int]]) -> dict[tuple[int, int], int]:
    """LogAppendTime of the records at these places."""
    by_partition: dict[int, list[int]] = {}
    for p, offset in places:
        by_partition.setdefault(p, []).append(offset)
    ranges = {p: (min(offsets), max(offsets) + 1) for p, offsets in by_partition.items()}
    return {(r.partition, r.offset): r.timestamp_ms async for records in log.read_ranges(CASE_COMMANDS, ranges) for r in records}


def _changed(action: Action, policy: Policy, now: datetime, at_ms: int) -> CaseChange:
    change = decision.decide(action=action, actor="stage:assess", case=None, policy=policy, now=now)
    assert change.case is not None
    at = from_ms(at_ms)
    clock = Deadline.trusted(
        name="acknowledge",
        run=1,
        state=DeadlineState.OPEN,
        started_at=now,
        due_at=at,
        step=DeadlineStep.DUE,
        next_at=at,
        unit=QUEUE,
    )
    return change.model_copy(update={"case": change.case.model_copy(update={"clocks": (clock,)})})


def _record(topic: Topic, data: Any, name: str, now: datetime, origin: Origin | None = None) -> bytes:
    return encode(topic, data, id=name, source="/bench", actor="stage:assess", time=now, origin=origin, subject=data.case_id)


# how late


class Told(Row):
    """What is looked at of an action or of what became of it: the judge must not take the cores from those it judges."""

    action_id: str | None
    kind: str | None
    outcome: str | None = None


async def judge(settings: Settings, count: int, first_ms: int, since: dict[str, list[int]]) -> dict[str, float]:
    """Waits until all are fired; how long after their time they were asked for and fired, by the broker's clock."""
    log = KafkaLog(settings, "liandong-bench-clocks")
    await log.open()
    deadline = first_ms / 1000 + LIMIT_S
    places = {name: dict(enumerate(starts)) for name, starts in since.items()}
    asked: dict[str, tuple[int, int]] = {}
    requests, fired = Counter[str](), dict[str, int]()
    while len(fired) < count:
        if time.time() > deadline:
            raise TimeoutError(f"{len(asked)} of {count} were asked for and {len(fired)} fired after {LIMIT_S:.0f} s")
        await asyncio.sleep(1)
        for record in await _new(log, CASE_CHANGES, places[CASE_CHANGES.name]):
            change = decode(CASE_CHANGES, record.value, Told).data
            if change.kind == ActionKind.DEADLINE_DUE and change.outcome == ActionOutcome.APPLIED:
                if change.action_id in fired:
                    raise AssertionError(f"{change.action_id} was fired twice")
                fired[change.action_id] = record.timestamp_ms
        for record in await _new(log, CASE_COMMANDS, places[CASE_COMMANDS.name]):
            envelope = decode(CASE_COMMANDS, record.value, Told)
            due_ms = round(envelope.time.timestamp() * 1000)
            if envelope.data.kind == ActionKind.DEADLINE_DUE and first_ms <= due_ms <= record.timestamp_ms:
                asked.setdefault(envelope.data.action_id, (record.timestamp_ms, due_ms))
                requests[envelope.data.action_id] += 1
    await log.close()
    told = _late("asked", [at - due_ms for at, due_ms in asked.values()])
    told |= _late("fired", [at - asked[name][1] for name, at in fired.items()])
    return {**told, "twice": requests.total() - len(requests)}


async def _new(log: KafkaLog, topic: Topic, places: dict[int, int]) -> list[Any]:
    found = []
    for p, end in (await log.ends(topic)).items():
        async for records in log.read(topic, p, places[p], end):
            found += records
        places[p] = max(end, places[p])
    return found


def _late(name: str, late_ms: list[int]) -> dict[str, float]:
    late_ms.sort()
    if late_ms[0] < 0:
        raise AssertionError(f"one was {name} {-late_ms[0]} ms before its time")
    return {f"{name}_p99": late_ms[len(late_ms) * 99 // 100], f"{name}_most": late_ms[-1]}


WORK: dict[str, Callable[..., Coroutine[Any, Any, dict[str, Any]]]] = {"open": opened, "due": due, "judge": judge}


if __name__ == "__main__":
    wanted = request()
    answer(uvloop.run(WORK[wanted.pop("what")](Settings(), **wanted)))
