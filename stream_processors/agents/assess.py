"""assess: turns a submitted signal into a fact with its outcome, its score and its routes.

One poll's step: claim references, observe (add evidence, read features), decide, record the facts, emit the joins, project, and
only then complete. One round trip to Redis for each of claim, observe and projection, whatever the size of the poll. Retractions
follow the signals of their poll (retract.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from schemas.codec import CodecError, decode, encode
from schemas.common import DAY_MS
from schemas.envelope import Origin
from schemas.signals.assessed import AssessedSignal, AssessOutcome
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, RETRACTIONS, SUBMITTED
from stream_processors.agents.assess_emissions import ACTOR, Sourced, actions, in_batches, retractions
from stream_processors.agents.assess_work import Work, claim_of, leftovers, mark_older_versions, read_work
from stream_processors.agents.base import AgentPorts, Batch
from stream_processors.agents.feature_queries import WIDTHS, Question, questions
from stream_processors.agents.lost_decisions import LostDecisions, read_lost_decisions
from stream_processors.agents.projecting import Folding
from stream_processors.agents.repeated_emissions import REQUESTS, emitted_before_loss
from stream_processors.agents.retract import Retractions
from stream_processors.domain.signals import decision
from stream_processors.domain.signals.first_decision import bind
from stream_processors.domain.signals.hubs import NOTHING, case_name
from stream_processors.folds.assess import added_effects, held
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.log import Record
from stream_processors.runtime.metrics import METRICS, Steps
from stream_processors.state.contributions import unpack
from stream_processors.state.effects import Arg
from stream_processors.state.fold_run import Chunk, read_chunk
from stream_processors.state.keys import BUCKETS, bucket_of
from stream_processors.state.marks import Mark, MarkKind, fact_mark, source_mark
from stream_processors.state.store import Check, LostState, Write
from stream_processors.topology import STAGES

SPLIT_ABOVE = 256


class Assess(Folding):
    stage = STAGES["assess"]

    def __init__(self, ports: AgentPorts) -> None:
        super().__init__(ports)
        self._retractions = Retractions(self, self._dead, self.emit)
        self._lost = LostDecisions()

    def workable(self, owned: frozenset[tuple[str, int]]) -> frozenset[tuple[str, int]]:
        """Only the writer of a partition's facts may work on it, so its retractions wait where its signals belong to another
        worker (workers of two versions in one group may be assigned so)."""
        return frozenset(at for at in owned if at[0] != RETRACTIONS.name or (SUBMITTED.name, at[1]) in owned)

    def drifts(self, mark: Mark) -> bool:
        """Others write verdicts all the time, so a worker at its barrier may project some at this moment."""
        return super().drifts(mark) or self._is_shared(mark)

    async def _process_poll(self, batch: Batch) -> None:
        """Verdicts first, then signals, then retractions. Partitions are independent here, so a large poll of signals goes in
        halves: one is decided while Redis works for the other."""
        inputs: dict[str, dict[tuple[str, int], Sequence[Record]]] = {topic.name: {} for topic in self.stage.reads}
        for at, records in batch.items():
            inputs[at[0]][at] = records
        if verdicts := inputs[CASE_CHANGES.name]:
            chunks = await self._read_chunks(verdicts)
            point("assess.verdicts_buried")
            await self._fold_chunks(verdicts, chunks)
            point("assess.verdicts_folded")
        if signals := inputs[SUBMITTED.name]:
            halves = _split_halves(signals) if sum(map(len, signals.values())) > SPLIT_ABOVE else [signals]
            await asyncio.gather(*(self._process_part(half) for half in halves))
        if taken_back := inputs[RETRACTIONS.name]:
            await self._retractions.step(taken_back)

    async def _process_part(self, batch: Batch) -> None:
        point("assess.polled")
        steps = Steps("assess")
        works = [read_work(record) for records in batch.values() for record in records]
        partitions = sorted({work.record.partition for work in works})
        nonce = secrets.token_hex(6)
        steps.done("read")
        touched = await self._claim_references(works, partitions, nonce)
        for work in works if self._lost.joins else ():
            if work.signal is not None:
                work.abide(self._lost.of(work.record.partition, work.record.offset, work.signal))
        point("assess.claimed")
        proofs, keep_ms = _make_proofs(partitions, nonce), self.policy.retention.cases_days * DAY_MS
        touched |= await self._retractions.clear(leftovers(works, keep_ms), self._make_checks(partitions), proofs)
        steps.done("claim")
        point("assess.cleared")
        touched |= await self._observe_signals(works, partitions, nonce)
        steps.done("observe")
        point("assess.observed")
        facts = self._decide_facts(works)
        steps.done("decide")
        point("assess.decided")
        await self._dead.flush()
        point("assess.buried")
        await self._record_facts(facts)
        steps.done("record")
        point("assess.recorded")
        await self.emit([(_name_origin(work.record), fact) for work, fact in facts])
        for p in {work.record.partition for work in works if work.is_late}:
            late = [(_name_origin(work.record), fact) for work, fact in facts if work.is_late and work.record.partition == p]
            await self._retractions.catch_up(p, late)
        steps.done("emit")
        point("assess.emitted")
        await self._fold_facts(facts, partitions, touched, nonce)
        steps.done("fold")
        point("assess.folded")

    def _make_checks(self, partitions: Sequence[int]) -> dict[Mark, Check]:
        return {source_mark(p): self.marks.get(source_mark(p), 0) for p in partitions}

    async def _claim_references(self, works: list[Work], partitions: Sequence[int], nonce: str) -> set[int]:
        """Claims each signal's reference for its source; reprocessing finds its own claim."""
        args: dict[int, list[Arg]] = {}
        works_by_bucket: dict[int, list[Work]] = {}
        keep_ms = self.policy.retention.claims_days * DAY_MS
        for work in works:
            if (signal := work.signal) is None:
                continue
            bucket = bucket_of(signal.signal_id)
            work.claimed = held(work.source, signal.body_id)
            args.setdefault(bucket, []).extend(claim_of(work, signal, keep_ms))
            works_by_bucket.setdefault(bucket, []).append(work)
        checks, sets = self._make_checks(partitions), _make_proofs(partitions, nonce)
        answers = await self.store.call("claim", self._stamp, {b: Write(checks, sets, claims) for b, claims in args.items()})
        for bucket, answer in answers.items():
            for work, (holder, floor, older) in zip(works_by_bucket[bucket], _split_threes(answer), strict=True):
                if holder:
                    work.claimed = holder.decode()
                work.floor = floor
                assert work.signal is not None
                work.replaces = [unpack(work.signal.signal_id, raw).contribution for raw in older]
        mark_older_versions(works)
        return set(args)

    async def _observe_signals(self, works: list[Work], partitions: Sequence[int], nonce: str) -> set[int]:
        """Claims the content, adds the evidence and reads the features, for the records that hold their reference."""
        args: dict[int, list[Arg]] = {}
        asked_by_bucket: dict[int, list[tuple[Work, Question]]] = {}
        for work in works:
            signal = work.signal
            if signal is None or not work.holds or work.dead:
                continue
            for question in questions(signal, self.policy, work.record.timestamp_ms):
                args.setdefault(question.bucket, []).extend(question.args)
                asked_by_bucket.setdefault(question.bucket, []).append((work, question))
        checks, sets = self._make_checks(partitions), _make_proofs(partitions, nonce)
        answers = await self.store.call("observe", self._stamp, {b: Write(checks, sets, rows) for b, rows in args.items()})
        for bucket, answer in answers.items():
            at = 0
            for work, question in asked_by_bucket[bucket]:
                width = WIDTHS[str(question.args[0])]
                work.answers.take(question.args, answer[at : at + width])
                at += width
        return set(args)

    def _decide_facts(self, works: list[Work]) -> list[tuple[Work, AssessedSignal]]:
        """Returns the facts in order. Later records know the cases that earlier records of this poll opened."""
        opened: dict[str, set[str]] = {}  # by the leading suspect
        facts = []
        corroborated = 0
        for work in works:
            emitted = self.marks.get(fact_mark(work.record.partition), 0)
            signal = work.signal
            if signal is None:
                fact = decision.refuse(work.why, policy=self.policy, now=work.now, emitted=emitted)
            else:
                measured = work.answers.measured(self.policy.hubs.max_primary_subjects, signal)
                key = case_name(signal, measured)
                observed = work.observed(signal, measured, work.answers.queues.get(key, NOTHING) | opened.get(key, NOTHING))
                fact = decision.decide(
                    signal, observed=observed, source=work.source, policy=self.policy, now=work.now, emitted=emitted
                )
                fact = fact if work.first is None else bind(fact, work.first)
                corroborated += fact.outcome is AssessOutcome.ASSESSED and observed.features.institutions > 1
                if fact.routes:
                    opened.setdefault(key, set()).update(route.queue for route in fact.routes)
            if fact.outcome in (AssessOutcome.REFUSED, AssessOutcome.CONFLICT):
                self._dead.add(SUBMITTED, work.record, fact.detail or "")
                METRICS.dead.labels("assess").inc()
            facts.append((work, fact))
        METRICS.corroborations.inc(corroborated)
        METRICS.score.observe_all(fact.score for _, fact in facts if fact.outcome is AssessOutcome.ASSESSED)
        for outcome, n in Counter(fact.outcome.value for _, fact in facts).items():
            METRICS.facts.labels("assess", outcome).inc(n)
        return facts

    async def _record_facts(self, facts: list[tuple[Work, AssessedSignal]]) -> None:
        appended: list[tuple[Record, bytes | None, bytes]] = []
        written = datetime.now(UTC)
        for work, fact in facts:
            value = encode(
                ASSESSED,
                fact,
                id=f"assessed-{work.source}",
                source="/assess",
                actor=ACTOR,
                time=written,
                origin=_name_origin(work.record),
                subject=fact.signal_id,
            )
            key = work.record.key if work.signal else None  # a poison record's key may be anything, of any size
            appended.append((work.record, key, value))
        await self.append_facts(ASSESSED, appended)

    async def emit(self, facts: Sequence[Sourced]) -> None:
        """Appends the emissions of the facts."""
        if entries := actions(facts):
            await self.log.append_keyed(CASE_COMMANDS, entries)
        point("assess.joined")
        for again in in_batches(retractions(facts)):
            await self.log.append(RETRACTIONS, again)

    async def _fold_facts(
        self, facts: list[tuple[Work, AssessedSignal]], partitions: Sequence[int], touched: set[int], nonce: str
    ) -> None:
        """Moves the watermarks in all buckets. The observations are there already, and the nonce proves that they still are."""
        args: list[list[Arg]] = [[] for _ in range(BUCKETS)]
        for work, fact in facts:
            for effect in added_effects(fact, work.record.partition):
                args[effect.bucket] += effect.args
        behind = self.marks_behind(work.record for work, _ in facts)
        checks, sets = self.checks_before(behind), dict(behind)
        for p in partitions:
            sets |= {Mark(MarkKind.SETTLED, p): behind[fact_mark(p)], Mark(MarkKind.HANDED_ON, p): behind[source_mark(p)]}
        proven = checks | _make_proofs(partitions, nonce)
        writes = {b: Write(proven if b in touched else checks, sets, args[b]) for b in range(BUCKETS)}
        await self.store.call("fold", self._stamp, writes)
        self.marks |= sets

    def _only_ours(self, chunk: Chunk) -> None:
        """A fact that this version can read but not act on comes from a newer version: its joins must not be skipped."""
        for record, why in chunk.unreadable:
            with contextlib.suppress(CodecError):
                decode(ASSESSED, record.value, self.stage.streams[0].view)
                detail = f"{ASSESSED.name}/{record.partition}/{record.offset} is of a newer version ({why})"
                raise LostState(f"{detail}; start a worker of that version to continue")

    async def _take_over(self, partitions: Sequence[int]) -> None:
        """Emits the joins of facts whose owner died between recording and emitting; existing ones are redeliveries."""
        stream = replace(self.stage.streams[0], view=AssessedSignal)  # the whole fact: what it asks for is made of it
        self._lost = LostDecisions()
        if self.log.generations:
            self._lost = await read_lost_decisions(self.log, await self._next_sources())
            await self._claim_again()
        starts, elections = await self.log.starts(ASSESSED), await self.log.count_elections(REQUESTS)
        for p in partitions:
            settled, led = Mark(MarkKind.SETTLED, p), Mark(MarkKind.ELECTIONS, p)
            start, end = max(self.marks.get(settled, 0), starts[p]), self.marks.get(fact_mark(p), 0)
            handed_on = {source_mark(p, name): Mark(MarkKind.HANDED_ON, p, name) for name in stream.sources.values()}
            marks = {source: self.marks.get(handed, 0) for source, handed in handed_on.items()}
            is_led_anew = self.marks.get(led, 0) != elections
            lost_from = await emitted_before_loss(self.log, p, is_led_anew=is_led_anew)
            if lost_from is not None and lost_from < start:
                start, marks = max(lost_from, starts[p]), {}
            async for records in self.log.read(ASSESSED, p, start, end):
                chunk = read_chunk(stream, p, records, marks, effects=False)
                self._only_ours(chunk)
                marks |= chunk.marks
                pairs = [(Origin.parse(fact.envelope.origin or ""), fact.envelope.data) for fact in chunk.counted]
                await self.emit(pairs)
                await self._retractions.catch_up(p, pairs)
            if end:
                point("assess.caught_up")
                checks = {source: self.marks.get(source, 0) for source in handed_on}
                moved = {settled: end, led: elections} | {handed: checks[source] for source, handed in handed_on.items()}
                await self.store.call("fold", self._stamp, {b: Write(checks, moved) for b in range(BUCKETS)})
                self.marks |= moved

    async def _next_sources(self) -> dict[int, int]:
        """The first signal without a fact, by partition, whoever owns it."""
        buckets = await self.store.marks()
        return {p: min(marks.get(source_mark(p), 0) for marks in buckets) for p in range(SUBMITTED.partitions)}

    async def _claim_again(self) -> None:
        """Signals with remaining joins hold their references in all partitions: no other may claim one before their decision."""
        args: dict[int, list[Arg]] = {}
        keep_ms = self.policy.retention.claims_days * DAY_MS
        async for records in self.log.read_ranges(SUBMITTED, self._lost.ranges()):
            works = (read_work(record) for record in records if (record.partition, record.offset) in self._lost.joins)
            for work in works:
                if work.signal is not None:
                    args.setdefault(bucket_of(work.signal.signal_id), []).extend(claim_of(work, work.signal, keep_ms))
        if args:
            await self.store.call("claim", self._stamp, {b: Write({}, {}, claims) for b, claims in args.items()})


def _make_proofs(partitions: Sequence[int], nonce: str) -> dict[Mark, Arg]:
    """Proofs that a bucket was written to in this step, and has not gone back since."""
    return {Mark(MarkKind.PROOF, p): nonce for p in partitions}


def _name_origin(record: Record) -> Origin:
    return Origin(SUBMITTED.name, record.partition, record.offset)


def _split_threes(answer: Sequence[Any]) -> Iterator[tuple[Any, Any, Any]]:
    return zip(answer[0::3], answer[1::3], answer[2::3], strict=True)


def _split_halves(batch: Batch) -> list[Batch]:
    """The partitions in two groups with about the same number of records."""
    halves: list[dict[tuple[str, int], Sequence[Record]]] = [{}, {}]
    sizes = [0, 0]
    for at, records in sorted(batch.items(), key=lambda item: -len(item[1])):
        lighter = sizes.index(min(sizes))
        halves[lighter][at] = records
        sizes[lighter] += len(records)
    return [half for half in halves if half]
