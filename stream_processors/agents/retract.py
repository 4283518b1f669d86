"""The retractions of assess: from a request to a fact with the retracted contribution, then to cases and other partitions.

One poll's step: find the signal's versions and raise its floor, check who owns the contents, decide, record the facts, emit,
project. It runs between the signals' steps of the same process, so a version in an owned partition is always complete.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from schemas.codec import CodecError, decode, encode
from schemas.common import DAY_MS, from_ms
from schemas.envelope import Origin
from schemas.signals.assessed import AssessedSignal
from schemas.signals.retraction import FOREVER, Contribution, Retraction
from schemas.signals.submission import MOST_VERSIONS
from schemas.topics import ASSESSED, RETRACTIONS
from stream_processors.agents.assess_emissions import ACTOR, Sourced, in_batches, request
from stream_processors.agents.base import Agent, Batch
from stream_processors.agents.dead_letters import DeadLetters
from stream_processors.domain.signals import decision as refusal
from stream_processors.domain.signals import retraction as decision
from stream_processors.domain.signals.hubs import beside
from stream_processors.domain.signals.retraction import Known
from stream_processors.folds.assess import taken_back_effects
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.log import Record
from stream_processors.runtime.metrics import METRICS
from stream_processors.state.contributions import unpack
from stream_processors.state.effects import Arg
from stream_processors.state.keys import BUCKETS, AssessKey, bucket_of
from stream_processors.state.marks import Mark, MarkKind, MarkStream, fact_mark, source_mark
from stream_processors.state.shared_hashes import drawer_of, short
from stream_processors.state.store import Check, Write

Emit = Callable[[Sequence[Sourced]], Awaitable[None]]
Leftover = tuple[Contribution, int]
"""Evidence to remove from the features, and how long the removal is remembered: 0 for evidence that never counted, whose content
is released, too."""


@dataclass(slots=True)
class _Work:
    record: Record
    retraction: Retraction | None = None
    why: str = ""
    partitions: set[int] = field(default_factory=set)
    versions: dict[int, list[Contribution]] = field(default_factory=dict)

    @property
    def own(self) -> list[Contribution]:
        return self.versions.get(self.record.partition, [])


class Retractions:
    """`step` for the retractions of a poll; `clear` before signals are observed, `catch_up` after a takeover of a partition."""

    def __init__(self, agent: Agent, dead: DeadLetters, emit: Emit) -> None:
        """`agent` is the owning agent; `emit` appends the emissions of facts."""
        self._agent, self._dead, self._emit = agent, dead, emit

    async def step(self, batch: Batch) -> None:
        point("retract.polled")
        works = [_read_work(record) for records in batch.values() for record in records]
        partitions = sorted({work.record.partition for work in works})
        sources = [source_mark(p, MarkStream.RETRACTIONS) for p in partitions]
        checks: dict[Mark, Check] = {mark: self._agent.marks.get(mark, 0) for mark in sources}
        await self._find_versions(works, checks)
        held = await self._find_held([version for work in works for version in work.own], checks)
        point("retract.found")
        facts = self._decide_facts(works, held)
        point("retract.decided")
        await self._dead.flush()
        point("retract.buried")
        await self._record_facts(facts)
        point("retract.recorded")
        origins = [(Origin(RETRACTIONS.name, work.record.partition, work.record.offset), fact) for work, fact in facts]
        await self._emit(origins)
        point("retract.emitted")
        await self._fold_facts(facts, partitions)
        point("retract.folded")

    async def clear(self, leftovers: Sequence[Leftover], checks: Mapping[Mark, Check], sets: Mapping[Mark, Arg]) -> set[int]:
        """Removes sightings and traces from the features, except content that another signal holds. Returns changed buckets."""
        peeks: dict[int, list[Arg]] = {}
        peeked: dict[int, list[Leftover]] = {}
        for version, until in leftovers:
            bucket = bucket_of(version.primary)
            peeks.setdefault(bucket, []).extend(_ask_holder(version, free=not until))
            peeked.setdefault(bucket, []).append((version, until))
        answers = await self._call_withdraw(peeks, checks, sets)
        if answers:
            point("retract.freed")
        takes: dict[int, list[Arg]] = {}
        for bucket, answer in answers.items():
            for (version, until), holder in zip(peeked[bucket], answer, strict=True):
                if holder:
                    continue
                for token in version.sighting_tokens:
                    own = ("u", token, drawer_of(token), version.content_id, version.institution, beside(token, version.primary))
                    takes.setdefault(bucket_of(token), []).extend(own)
                for kind, token, member in version.traces:
                    takes.setdefault(bucket_of(token), []).extend(
                        ("x", AssessKey(kind).key(token).text, drawer_of(token), member, until)
                    )
        await self._call_withdraw(takes, checks, sets)
        return set(peeks) | set(takes)

    async def catch_up(self, p: int, facts: Sequence[Sourced]) -> None:
        """A process that was cut off from its state may have recorded a signal whose retraction could not see it."""
        counts = [(origin, fact) for origin, fact in facts if decision.standing_of(fact) is not None]
        floors = await self._read_floors([str(fact.signal_id) for _, fact in counts])
        late = []
        for origin, fact in counts:
            below = floors[str(fact.signal_id)]
            if fact.version < below:
                again = Retraction.trusted(
                    signal_id=fact.signal_id, institution=fact.institution, below_version=below, forwarded=True
                )
                late.append(request(again, origin, fact.accepted_at))
        for some in in_batches({p: late}):
            await self._agent.log.append(RETRACTIONS, some)

    async def _call_withdraw(
        self, args: Mapping[int, list[Arg]], checks: Mapping[Mark, Check], sets: Mapping[Mark, Arg]
    ) -> dict[int, list[Any]]:
        writes = {b: Write(checks, sets, bucket_args) for b, bucket_args in args.items()}
        return await self._agent.store.call("withdraw", self._agent.stamp, writes) if writes else {}

    async def _read_floors(self, signal_ids: Sequence[str]) -> dict[str, int]:
        """The current floor of each signal."""
        args: dict[int, list[Arg]] = {}
        names_by_bucket: dict[int, list[str]] = {}
        for name in dict.fromkeys(signal_ids):
            args.setdefault(bucket_of(name), []).extend(_ask_floor(name))
            names_by_bucket.setdefault(bucket_of(name), []).append(name)
        answers = await self._call_withdraw(args, {}, {})
        return {name: answer[0] for b, names in names_by_bucket.items() for name, answer in zip(names, answers[b], strict=True)}

    async def _find_versions(self, works: list[_Work], checks: dict[Mark, Check]) -> None:
        """Raises the floors; returns the known versions, their partitions and their contributions."""
        args: dict[int, list[Arg]] = {}
        works_by_bucket: dict[int, list[_Work]] = {}
        keep_ms = self._agent.policy.retention.claims_days * DAY_MS
        for work in works:
            if (retraction := work.retraction) is not None:
                bucket, versions = bucket_of(retraction.signal_id), min(retraction.below_version - 1, MOST_VERSIONS)
                until = work.record.timestamp_ms + keep_ms
                args.setdefault(bucket, []).extend(_ask_floor(retraction.signal_id, retraction.below_version, until, versions))
                works_by_bucket.setdefault(bucket, []).append(work)
        answers = await self._call_withdraw(args, checks, {})
        for bucket, answer in answers.items():
            for work, (_, *version_rows) in zip(works_by_bucket[bucket], answer, strict=True):
                assert work.retraction is not None
                for holder, raw in zip(version_rows[1::3], version_rows[2::3], strict=True):
                    if holder:
                        work.partitions.add(int(holder.partition(b":")[0]))
                    if raw:
                        placed = unpack(work.retraction.signal_id, raw)
                        work.partitions.add(placed.partition)
                        work.versions.setdefault(placed.partition, []).append(placed.contribution)

    async def _find_held(self, versions: list[Contribution], checks: dict[Mark, Check]) -> frozenset[str]:
        """The versions whose content belongs to another."""
        args: dict[int, list[Arg]] = {}
        peeked: dict[int, list[Contribution]] = {}
        for version in versions:
            bucket = bucket_of(version.primary)
            args.setdefault(bucket, []).extend(_ask_holder(version))
            peeked.setdefault(bucket, []).append(version)
        answers = await self._call_withdraw(args, checks, {})
        return frozenset(
            version.name for b, own in peeked.items() for version, holder in zip(own, answers[b], strict=True) if holder
        )

    def _decide_facts(self, works: list[_Work], held: frozenset[str]) -> list[tuple[_Work, AssessedSignal]]:
        """The facts in order. Contributions that an earlier record of this poll retracted are absent for later ones."""
        undone_names: set[str] = set()
        facts = []
        for work in works:
            p = work.record.partition
            now, emitted, policy = from_ms(work.record.timestamp_ms), self._agent.marks.get(fact_mark(p), 0), self._agent.policy
            if work.retraction is None:
                self._dead.add(RETRACTIONS, work.record, work.why)
                METRICS.dead.labels("assess").inc()
                fact = refusal.refuse(work.why, policy=policy, now=now, emitted=emitted)
            else:
                remaining = {
                    at: tuple(version for version in versions if version.name not in undone_names)
                    for at, versions in work.versions.items()
                }
                fact = decision.decide(
                    work.retraction,
                    known=Known(frozenset(work.partitions), remaining),
                    held=held,
                    partition=p,
                    policy=policy,
                    now=now,
                    emitted=emitted,
                )
                undone_names |= {version.name for version in fact.retracted_contributions}
            METRICS.facts.labels("assess", fact.outcome.value).inc()
            facts.append((work, fact))
        return facts

    async def _record_facts(self, facts: list[tuple[_Work, AssessedSignal]]) -> None:
        appended: list[tuple[Record, bytes | None, bytes]] = []
        written = datetime.now(UTC)
        for work, fact in facts:
            record = work.record
            value = encode(
                ASSESSED,
                fact,
                id=f"retracted-{record.partition}:{record.offset}",
                source="/assess",
                actor=ACTOR,
                time=written,
                origin=Origin(RETRACTIONS.name, record.partition, record.offset),
                subject=fact.signal_id,
            )
            appended.append((record, fact.signal_id.encode() if fact.signal_id else None, value))
        await self._agent.append_facts(ASSESSED, appended)

    async def _fold_facts(self, facts: list[tuple[_Work, AssessedSignal]], partitions: Sequence[int]) -> None:
        agent = self._agent
        args: list[list[Arg]] = [[] for _ in range(BUCKETS)]
        for work, fact in facts:
            for effect in taken_back_effects(fact) if work.retraction else ():
                args[effect.bucket] += effect.args
        behind = agent.marks_behind((work.record for work, _ in facts), MarkStream.RETRACTIONS)
        checks, sets = agent.checks_before(behind), dict(behind)
        for p in partitions:
            handed_on = Mark(MarkKind.HANDED_ON, p, MarkStream.RETRACTIONS)
            sets |= {Mark(MarkKind.SETTLED, p): behind[fact_mark(p)]}
            sets |= {handed_on: behind[source_mark(p, MarkStream.RETRACTIONS)]}
        await agent.store.call("fold", agent.stamp, {b: Write(checks, sets, args[b]) for b in range(BUCKETS)})
        agent.marks |= sets


def _read_work(record: Record) -> _Work:
    try:
        retraction: Retraction = decode(RETRACTIONS, record.value).data
        if MOST_VERSIONS < retraction.below_version < FOREVER:
            raise CodecError(f"the signal has no version {retraction.below_version}")
        if record.key != retraction.signal_id.encode():
            raise CodecError("the key of the record is not the signal id")
        return _Work(record, retraction)
    except CodecError as error:
        return _Work(record, why=str(error))


def _ask_holder(version: Contribution, *, free: bool = False) -> tuple[Arg, ...]:
    return "p", short(version.content_id), drawer_of(version.content_id), short(version.name), int(free)


def _ask_floor(signal_id: str, below: int = 0, until_ms: int = 1, versions: int = 0) -> tuple[Arg, ...]:
    return "f", short(signal_id), drawer_of(signal_id), below, until_ms, versions
