"""What must hold when the dust has settled, read from the log itself and from the live views.

1. Every acknowledged signal and retraction stands in the log where its receipt says; each version has one fact that holds it.
2. Every source record has exactly one fact that counts (later ones are echoes).
3. No case counts a signal twice, misses one that was routed to it, or counts one that was taken back; each that counted and was
   taken back is taken out once.
That the state folded afresh from the log is the live one, and what the oracle demands, is `deploy.verify`'s part.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from redis.asyncio import Redis

from deploy.verify.ledger import LedgerEntry
from schemas.cases.case import Case
from schemas.codec import CodecError, decode
from schemas.envelope import Origin
from schemas.signals.assessed import AssessedSignal, AssessOutcome
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, RETRACTIONS, SUBMITTED, Topic
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.log import Record
from stream_processors.runtime.settings import Settings
from stream_processors.state.compression import unpack
from stream_processors.state.keys import PROJECT
from stream_processors.state.shared_hashes import case_entry
from tests.chaos.after_losses import HOLDING, HalfLost, find_half_lost, read_traces, settle_losses
from tests.chaos.case_invariants import LoopFound
from tests.oracle.case_lineage import families, twice

_NONE: Mapping[str, HalfLost] = MappingProxyType({})


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


async def check(settings: Settings, entries: Sequence[LedgerEntry]) -> Found:
    """Compares the log and the live cases with what the ledger says was acknowledged."""
    acknowledged = [entry for entry in entries if entry.fate == "accepted"]
    found = Found(acknowledged=len(acknowledged))
    found.wrong += [f"{entry.who} {entry.reference} was never answered" for entry in entries if entry.fate == "open"]
    log = KafkaLog(settings, "liandong-check")
    await log.open()
    try:
        sources = {topic.name: await _all(log, topic) for topic in (SUBMITTED, RETRACTIONS)}
        facts = await _all(log, ASSESSED)
        commands, changes = [await _all(log, topic) if log.generations else [] for topic in (CASE_COMMANDS, CASE_CHANGES)]
    finally:
        await log.close()
    _promises(found, sources, acknowledged)
    counting = _sources(found, sources, facts)
    joined = _joined(found, counting, _floors(sources[RETRACTIONS.name], counting))
    if log.generations:
        settle_losses(joined, read_traces(commands, changes), sources[SUBMITTED.name], counting)
    await _cases(found, settings, joined, find_half_lost(changes, log.generations))
    return found


async def _all(log: KafkaLog, topic: Topic) -> list[Record]:
    ends, starts = await log.ends(topic), await log.starts(topic)
    return [record for p in ends async for run in log.read(topic, p, starts[p], ends[p]) for record in run]


def _promises(found: Found, sources: dict[str, list[Record]], acknowledged: list[LedgerEntry]) -> None:
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
            floors[one.signal_id] = max(floors[one.signal_id], one.below_version)
    for fact in counting:
        if fact.outcome in (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_CONTENT):
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
        if fact.outcome is AssessOutcome.ASSESSED and fact.version < floors[str(fact.signal_id)]:
            dead[f"{fact.signal_id}/{fact.version}"] += 1
    undone = Counter(f"{one.signal_id}/{one.version}" for fact in counting for one in fact.retracted_contributions)
    found.wrong += [f"{name} is dead, and still counts" for name in dead - undone]
    found.wrong += [f"{name} was taken out, and is not dead or was taken out before" for name in undone - dead]
    return joined


async def _cases(found: Found, settings: Settings, joined: dict[str, set[str]], half_lost: Mapping[str, HalfLost]) -> None:
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
        found.wrong += of_family(family, joined, half_lost)


def of_family(
    family: list[Case], joined: dict[str, set[str]], half_lost: Mapping[str, HalfLost] = MappingProxyType({})
) -> Iterator[str]:
    """Cases that were merged or split among each other: what was routed to them counts in them, once. What a lost merge or split
    had handed over before (`half_lost`) may count in them beside."""
    names = " and ".join(one.case_id for one in family)
    if not any(one.case_id in joined for one in family):
        yield f"case {names} has no routed signal"
    counts = sum(one.signal_count for one in family if one.merged_into is None)
    routed = Counter(name for one in family for name in joined.get(one.case_id, ()))
    beside = [half_lost[one.case_id] for one in family if one.case_id in half_lost]
    if not routed.total() <= counts <= routed.total() + sum(half.count for half in beside):
        yield f"case {names} counts {counts} signals, {routed.total()} that were routed to it are live"
    listed = {one.case_id: [f"{kept.signal_id}/{kept.version}" for kept in one.signals] for one in family}
    may_be = routed + Counter(name for half in beside for name in half.names)
    for name, where in twice(listed, may_be).items():
        yield f"{name} counts in {', '.join(where)}; {routed[name]} of them were sent it, or it is dead"
