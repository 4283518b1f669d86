"""What must hold when the dust has settled, read from the log itself and from the live views.

1. Every acknowledged signal and retraction stands in the log where its receipt says; each version has one fact that holds it.
2. Every source record has exactly one fact that counts (later ones are echoes).
3. No case counts a signal twice, misses one that was routed to it, or counts one that was taken back; each that counted and was
   taken back is taken out once.
That the state folded afresh from the log is the live one, and what the oracle demands, is `deploy.verify`'s part.
"""

from __future__ import annotations

import contextlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from redis.asyncio import Redis

from deploy.verify.ledger import Entry
from schemas.cases.case import Case
from schemas.codec import CodecError, decode
from schemas.envelope import Origin
from schemas.signals.assessed import AssessedSignal, Outcome
from schemas.signals.retraction import JOINS_OF_ONE
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, RETRACTIONS, SUBMITTED, Topic
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.log import Record
from stream_processors.runtime.settings import Settings
from stream_processors.state.compression import unpack
from stream_processors.state.keys import PROJECT
from stream_processors.state.shared_hashes import case_entry
from tests.chaos.case_invariants import LoopFound
from tests.oracle.case_lineage import families, twice

HOLDING = (Outcome.ASSESSED, Outcome.RESEND, Outcome.RETRACTED)


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
    loop: LoopFound = field(default_factory=LoopFound)


async def check(settings: Settings, entries: Sequence[Entry]) -> Found:
    """Compares the log and the live cases with what the ledger says was acknowledged."""
    acknowledged = [entry for entry in entries if entry.fate == "accepted"]
    found = Found(acknowledged=len(acknowledged))
    found.wrong += [f"{entry.who} {entry.reference} was never answered" for entry in entries if entry.fate == "open"]
    log = KafkaLog(settings, "liandong-check")
    await log.open()
    try:
        sources = {topic.name: await _all(log, topic) for topic in (SUBMITTED, RETRACTIONS)}
        facts = await _all(log, ASSESSED)
        after_loss = {topic.name: await _all(log, topic) for topic in (CASE_COMMANDS, CASE_CHANGES)} if log.generations else {}
    finally:
        await log.close()
    _promises(found, sources, acknowledged)
    counting = _sources(found, sources, facts)
    joined = _joined(found, counting, _floors(sources[RETRACTIONS.name], counting))
    if after_loss:
        _settle_losses(joined, after_loss, sources[SUBMITTED.name], counting)
    await _cases(found, settings, joined)
    return found


def _settle_losses(
    joined: dict[str, set[str]], after_loss: Mapping[str, list[Record]], submitted: list[Record], counting: list[AssessedSignal]
) -> None:
    """After a loss nothing may be left of a signal but its join, and nothing of a retraction but what it did to the case: both
    stay. What only its join, or the change that it made, tells of is added; what a change took out is taken out."""
    there = {(record.partition, record.offset) for record in submitted}
    decided = {f"{fact.signal_id}/{fact.version}" for fact in counting}
    orphans: dict[str, tuple[str, str]] = {}
    withdrawn: set[str] = set()
    for kind, action_id, case_id, source in _requests(after_loss):
        key = action_id.partition("-")[2]
        if kind == "retract":
            withdrawn.add(key)
            continue
        joined[case_id] |= set()
        name = _NAME.match(key)
        if name is not None and source not in there and (signal := _with_version(name[0])) not in decided:
            orphans[key] = case_id, signal
    for key, (case_id, signal) in orphans.items():
        if key not in withdrawn:
            joined[case_id].add(signal)
    for key in withdrawn:
        if name := _NAME.match(key):
            for signals in joined.values():
                signals.discard(_with_version(name[0]))


_NAME = re.compile(r"sig-[\w-]{22}(?:/\d+)?")


def _with_version(name: str) -> str:
    return name if "/" in name else f"{name}/1"


def _requests(after_loss: Mapping[str, list[Record]]) -> Iterator[tuple[str, str, str, tuple[int, int]]]:
    """Of joins and retractions, by the actions and by the applied changes: kind, action, case, the signal's place."""
    for record in after_loss.get(CASE_COMMANDS.name, ()):
        with contextlib.suppress(ValueError, KeyError):
            envelope = orjson.loads(record.value or b"")
            action = envelope["data"]
            if action["kind"] in ("join", "retract"):
                _, p, offset, _ = envelope["origin"].rsplit("/", 3)
                yield action["kind"], action["action_id"], action["case_id"], (int(p), int(offset))
    for record in after_loss.get(CASE_CHANGES.name, ()):
        with contextlib.suppress(ValueError, KeyError):
            change = orjson.loads(record.value or b"")["data"]
            if change["kind"] in ("join", "retract") and change["outcome"] == "applied":
                p, _, number = str(change.get("origin") or ":").rpartition(":")
                place = (int(p), (int(number) - 1) // JOINS_OF_ONE) if p.isdigit() else (-1, -1)
                yield change["kind"], change["action_id"], change["case_id"], place


async def _all(log: KafkaLog, topic: Topic) -> list[Record]:
    ends, starts = await log.ends(topic), await log.starts(topic)
    return [record for p in ends async for run in log.read(topic, p, starts[p], ends[p]) for record in run]


def _promises(found: Found, sources: dict[str, list[Record]], acknowledged: list[Entry]) -> None:
    at = {name: {(record.partition, record.offset): record for record in records} for name, records in sources.items()}
    found.records = sum(map(len, sources.values()))
    for entry in acknowledged:
        topic = RETRACTIONS if entry.retracts else SUBMITTED
        record = at[topic.name].get(entry.position or (-1, -1))
        if record is None:
            found.wrong.append(f"lost: {entry.who} {entry.reference} was acknowledged at {entry.position}, it is not in the log")
            continue
        said = decode(topic, record.value).data
        if (said.institution, said.signal_id) != (entry.who, entry.signal_id):
            found.wrong.append(f"{entry.who} {entry.reference} was acknowledged at {entry.position}: {said.signal_id} is there")


def _sources(found: Found, sources: dict[str, list[Record]], facts: list[Record]) -> list[AssessedSignal]:
    """The facts that count: the first of each source."""
    counting: dict[tuple[str, int, int], AssessedSignal] = {}
    for record in facts:
        try:
            envelope = decode(ASSESSED, record.value)
            origin = Origin.parse(envelope.origin or "")
        except (CodecError, ValueError):
            continue
        if origin.topic not in sources or origin.partition != record.partition:
            continue
        found.facts += 1
        if origin[:3] in counting:
            found.echoes += 1
            continue
        counting[origin[:3]] = envelope.data
        found.outcomes[envelope.data.outcome.value] += 1
    for name, records in sources.items():
        missing = [record for record in records if (name, record.partition, record.offset) not in counting]
        found.wrong += [f"no fact for {name}/{record.partition}/{record.offset}" for record in missing]
    held = Counter((fact.signal_id, fact.version) for fact in counting.values() if fact.outcome in HOLDING)
    found.wrong += [f"{signal_id}/{version} counts {n} times" for (signal_id, version), n in held.items() if n != 1]
    return list(counting.values())


def _floors(retractions: list[Record], counting: list[AssessedSignal]) -> dict[str, int]:
    """Below which version each signal is dead, from what was asked and from the versions that came."""
    floors: dict[str, int] = defaultdict(int)
    for record in retractions:
        try:
            one = decode(RETRACTIONS, record.value).data
        except CodecError:
            continue
        if record.key == one.signal_id.encode():
            floors[one.signal_id] = max(floors[one.signal_id], one.below)
    for fact in counting:
        if fact.outcome in (Outcome.ASSESSED, Outcome.RESEND):
            floors[str(fact.signal_id)] = max(floors[str(fact.signal_id)], fact.version)
    return floors


def _joined(found: Found, counting: list[AssessedSignal], floors: dict[str, int]) -> dict[str, set[str]]:
    """The live signals of each case that ever had one; what was taken out must be what is dead, each once."""
    joined: dict[str, set[str]] = defaultdict(set)
    dead: Counter[str] = Counter()
    for fact in counting:
        for route in fact.routes:
            live = fact.version >= floors[str(fact.signal_id)]
            joined[route.case_id] |= {f"{fact.signal_id}/{fact.version}"} if live else set()
        if fact.outcome is Outcome.ASSESSED and fact.version < floors[str(fact.signal_id)]:
            dead[f"{fact.signal_id}/{fact.version}"] += 1
    undone = Counter(f"{one.signal_id}/{one.version}" for fact in counting for one in fact.undone)
    found.wrong += [f"{name} is dead, and still counts" for name in dead - undone]
    found.wrong += [f"{name} was taken out, and is not dead or was taken out before" for name in undone - dead]
    return joined


async def _cases(found: Found, settings: Settings, joined: dict[str, set[str]]) -> None:
    redis: Redis = Redis.from_url(settings.redis_url, protocol=2)
    try:
        live: dict[str, Case] = {}
        async for key in redis.scan_iter(match=f"{{{PROJECT.tag}*}}k=*", count=5000):
            entries: list[Any] = await redis.hvals(key)
            for entry in entries:
                case = Case.model_validate_json(unpack(case_entry(entry).case))
                live[case.case_id] = case
    finally:
        await redis.aclose()
    found.cases = len(live)
    found.wrong += [f"case {name} of {len(joined[name])} signals is not in the views" for name in joined.keys() - live.keys()]
    for family in families(live.values()):
        found.wrong += of_family(family, joined)


def of_family(family: list[Case], joined: dict[str, set[str]]) -> Iterator[str]:
    """Cases that were merged or split among each other: what was routed to them counts in them, once."""
    names = " and ".join(one.case_id for one in family)
    if not any(one.case_id in joined for one in family):
        yield f"case {names} has no routed signal"
    counts = sum(one.signal_count for one in family if one.merged_into is None)
    routed = Counter(name for one in family for name in joined.get(one.case_id, ()))
    if counts != routed.total():
        yield f"case {names} counts {counts} signals, {routed.total()} that were routed to it are live"
    listed = {one.case_id: [f"{kept.signal_id}/{kept.version}" for kept in one.signals] for one in family}
    for name, where in twice(listed, routed).items():
        yield f"{name} counts in {', '.join(where)}; {routed[name]} of them were sent it, or it is dead"
