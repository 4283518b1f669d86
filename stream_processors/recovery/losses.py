"""The work of `liandong recover`: finds partitions that lost their end, and opens a new generation of each.

The watermarks in Redis, the facts and the origins in the log prove the former content of a partition. The new generation begins
where the log and these part: the records there now count as new. Nothing else is changed here. The barrier of each stage rebuilds
a state that contains lost facts, and the stages repeat lost requests (state/restore.py, agents/repeated_emissions.py). Invariant:
no record in the log is left out, and none counts twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from schemas.codec import CodecError, decode, encode
from schemas.common import MAX_OFFSET, from_ms
from schemas.envelope import Origin
from schemas.generations import LogGeneration
from schemas.notifications.delivery import MOST_NOTICES
from schemas.security import Sealer, text_of
from schemas.signals.assessed import AssessedSignal
from schemas.signals.retraction import JOINS_OF_ONE
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, GENERATIONS, RETRACTIONS, SUBMITTED, TOPICS, Topic
from stream_processors.runtime.damage import TAIL, Evidence, Source, evidence_of, read_tails, sources_of, taken_in_ms
from stream_processors.runtime.generations import shift_above
from stream_processors.runtime.log import Entry, Log, RecordReader
from stream_processors.state.marks import Mark, MarkKind, Marks, MarkStream, origin_mark
from stream_processors.state.streams import Stage
from stream_processors.topology import DELIVER_WRITES

At = tuple[str, int]
"""A topic's name and a partition."""
DEPTHS = (TAIL, TAIL << 5, TAIL << 12)
"""Newest facts of a partition that are compared first; more if they do not reach back to the intact part of the log."""
_JOINS = (
    (SUBMITTED, MarkStream.OWN, JOINS_OF_ONE),
    (RETRACTIONS, MarkStream.RETRACTIONS, 512),
    (CASE_CHANGES, MarkStream.CASES, 512),
)
"""What an ORIGIN mark of track counts: `offset * step + n` of a partition of the source (agents/track.py: ORIGINS)."""


class NoRoom(RuntimeError):
    """The positions of a partition are used up."""


@dataclass(frozen=True)
class LogLoss:
    """A partition that lost its end: the log and the evidence agree before the position `agrees_to`, the broker's offset
    `first_offset`; it ends at `end`. `shown_by` proves it up to `known`. `lost` records are gone, `newer` have their positions;
    `last_ms`: LogAppendTime of the newest remaining record."""

    topic: str
    partition: int
    agrees_to: int
    begins_at: int
    end: int
    known: int
    shown_by: str
    lost: int
    newer: int
    last_ms: int | None


@dataclass
class FarthestPositions:
    """The next position of each partition by the farthest evidence."""

    positions: dict[At, int] = field(default_factory=dict)
    shown_by: dict[At, str] = field(default_factory=dict)

    def add(self, at: At, position: int, shown_by: str) -> None:
        if position > self.positions.get(at, 0):
            self.positions[at], self.shown_by[at] = position, shown_by


def claims(stage: Stage, marks: Marks) -> Iterator[tuple[At, int]]:
    """The positions that the watermarks of a bucket prove."""
    own = {topic.name: topic for topic in stage.topics}
    for topic in stage.reads:
        yield from _read_claims(topic, marks, stage.place_mark(topic))
    for stream in stage.streams:
        yield from _read_claims(stream.topic, marks, stream.fact_mark(0))
        for name in stream.sources:
            topic = own.get(name) or TOPICS[name]
            if stream.numbered:
                yield from _read_numbered(topic, marks, origin_mark(0, 0, stream=stream.stream), stream.numbered)
            else:
                yield from _read_claims(topic, marks, stream.source_mark(0, name))
    if stage.name == "track":
        for topic, source_stream, step in _JOINS:
            yield from _read_numbered(topic, marks, origin_mark(0, 0, source_stream=source_stream), step)
    if stage.name == "deliver":
        yield from _read_claims(CASE_COMMANDS, marks, Mark(MarkKind.HANDED_ON))
        for kind, topic in DELIVER_WRITES.items():
            yield from _read_numbered(topic, marks, Mark(kind, source=0), 1)


def _read_claims(topic: Topic, marks: Marks, like: Mark) -> Iterator[tuple[At, int]]:
    """By the marks that are as `like`, each of its own partition."""
    for p in range(topic.partitions):
        if position := marks.get(like.at(p), 0):
            yield (topic.name, p), position


def _read_numbered(topic: Topic, marks: Marks, like: Mark, step: int) -> Iterator[tuple[At, int]]:
    """By the marks that are as `like`, each of its own partition and source partition."""
    for mark, number in marks.items():
        if number and mark.source is not None and mark._replace(partition=0, source=0) == like:
            yield (topic.name, mark.source), (number - 1) // step + 1


async def find_losses(log: RecordReader, stages: Mapping[str, Stage], marks: Mapping[str, Sequence[Marks]]) -> list[LogLoss]:
    """All losses, by the watermarks of each stage's buckets and by the log itself."""
    topics = list(dict.fromkeys(topic for stage in stages.values() for topic in stage.topics))
    farthest = FarthestPositions()
    for name, buckets in marks.items():
        for bucket in buckets:
            for at, position in claims(stages[name], bucket):
                farthest.add(at, position, f"the state of {name}")
    table = sources_of((topic, stage.writes[0]) for stage in stages.values() for topic in stage.reads if topic.party)
    losses: list[LogLoss] = []
    for topic in topics:
        parted = await _find_parting(log, topic, table, farthest)
        starts, ends = await log.starts(topic), await log.ends(topic)
        for p, end in ends.items():
            at = topic.name, p
            agrees_to = parted.get(p, end)
            if p in parted or farthest.positions.get(at, 0) > end:
                losses.append(await _measure_loss(log, topic, p, agrees_to, starts[p], end, farthest))
    return losses


async def _measure_loss(
    log: RecordReader, topic: Topic, p: int, agrees_to: int, start: int, end: int, farthest: FarthestPositions
) -> LogLoss:
    def offset(position: int) -> int:
        return log.generations.offset(topic.name, p, position)

    last_ms: int | None = None
    before = log.generations.position(topic.name, p, max(0, offset(agrees_to) - 1))
    if start <= before < agrees_to:
        async for records in log.read(topic, p, before, agrees_to):
            last_ms = records[-1].timestamp_ms
    position = farthest.positions.get((topic.name, p), agrees_to)
    return LogLoss(
        topic.name,
        p,
        agrees_to,
        offset(agrees_to),
        end,
        position,
        farthest.shown_by.get((topic.name, p), ""),
        max(0, offset(position) - offset(agrees_to)),
        offset(end) - offset(agrees_to),
        last_ms,
    )


class _Compared(NamedTuple):
    """The lowest record of a partition that contradicts its evidence; whether an earlier one agrees."""

    parted: Evidence | None
    is_anchored: bool


async def _find_parting(log: RecordReader, topic: Topic, table: Sequence[Source], farthest: FarthestPositions) -> dict[int, int]:
    """The position of the first record in place of a lost one, by partition. Reads further back until it is certain."""
    compared: dict[int, _Compared] = {}
    for depth in DEPTHS:
        evidence = await _get_evidence(log, topic, table, depth)
        for p, pieces in evidence.items():
            newest = pieces[max(pieces)]
            farthest.add((topic.name, p), newest.position + 1, newest.place)
        compared = await _compare_all(log, topic, evidence)
        if all(entry.is_anchored or entry.parted is None for entry in compared.values()):
            break
    return {p: await _search_parting(log, topic, p, entry.parted) for p, entry in compared.items() if entry.parted is not None}


async def _get_evidence(log: RecordReader, topic: Topic, table: Sequence[Source], depth: int) -> dict[int, dict[int, Evidence]]:
    evidence: dict[int, dict[int, Evidence]] = {}
    for source in table:
        if topic.name in {entry.name for entry in source.sources}:
            for piece in evidence_of(source, await read_tails(log, source.facts, depth)):
                if piece.topic == topic.name and not log.generations.is_lost(topic.name, piece.partition, piece.position):
                    evidence.setdefault(piece.partition, {}).setdefault(piece.position, piece)
    return evidence


async def _compare_all(log: RecordReader, topic: Topic, evidence: Mapping[int, Mapping[int, Evidence]]) -> dict[int, _Compared]:
    starts, ends = await log.starts(topic), await log.ends(topic)
    compared = dict.fromkeys(evidence, _Compared(None, False))
    ranges = {}
    for p, pieces in evidence.items():
        if positions := [position for position in pieces if starts[p] <= position < ends[p]]:
            ranges[p] = min(positions), max(positions) + 1
    async for records in log.read_ranges(topic, ranges):
        for record in records:
            p, (parted, is_anchored) = record.partition, compared[record.partition]
            piece = evidence[p].get(record.offset)
            at_ms = None if piece is None else taken_in_ms(topic, record)
            if piece is None or at_ms is None or parted is not None:
                continue
            compared[p] = _Compared(None, True) if at_ms == piece.at_ms else _Compared(piece, is_anchored)
    return compared


async def _search_parting(log: RecordReader, topic: Topic, p: int, parted: Evidence) -> int:
    """The first record stored after the lost one: earlier ones are as old as the log knows them."""
    start = (await log.starts(topic))[p]
    begin = parted.position
    while begin > start:
        offset = log.generations.offset(topic.name, p, begin)
        before = max(start, log.generations.position(topic.name, p, max(0, offset - TAIL)))
        newer = begin
        async for records in log.read(topic, p, before, begin):
            for record in records:
                at_ms = taken_in_ms(topic, record)
                if at_ms is None or at_ms <= parted.at_ms:
                    newer = begin
                elif newer == begin:
                    newer = record.offset
        if newer > before or before == start:
            return newer
        begin = before
    return begin


def opened(loss: LogLoss, newest: int) -> LogGeneration:
    """The generation that begins where the log and the evidence part. `newest`: the number of the previous one."""
    shift = shift_above(max(loss.known, loss.end))
    if (loss.begins_at + shift) * MOST_NOTICES >= MAX_OFFSET:
        raise NoRoom(f"{loss.topic}/{loss.partition} has had {newest} generations, and no positions are left above them")
    return LogGeneration(
        topic=loss.topic,
        partition=loss.partition,
        generation=newest + 1,
        first_offset=loss.begins_at,
        position_shift=shift,
        known_position=loss.known,
        lost_records=loss.lost,
        last_at=None if loss.last_ms is None else from_ms(loss.last_ms),
    )


async def open_generations(log: Log, losses: Sequence[LogLoss], at: datetime) -> list[LogGeneration]:
    """Appends them all as one batch, and reads them. From then on everybody counts by them."""
    newest = log.generations.newest
    made = [opened(loss, newest(loss.topic, loss.partition)) for loss in losses]
    entries: list[Entry] = []
    for entry in made:
        where = f"{entry.topic}/{entry.partition}"
        name = f"generation-{entry.topic}-{entry.partition}-{entry.generation}"
        value = encode(GENERATIONS, entry, id=name, source="/recover", actor="stage:recover", time=at, subject=where)
        entries.append((where.encode(), value))
    if entries:
        await log.append(GENERATIONS, {0: entries})
        await log.read_generations()
    return made


@dataclass
class LostSignals:
    """Signals whose records are lost but whose facts remain: their decisions stay valid."""

    by_institution: Counter[str] = field(default_factory=Counter)
    names: list[tuple[str, str, str]] = field(default_factory=list)
    """Institution, its reference (empty when it cannot be decrypted), signal id."""


async def name_lost_signals(log: RecordReader, losses: Iterable[LogLoss], sealer: Sealer | None, most: int = 1000) -> LostSignals:
    """The signals whose facts remain while the log lost their records. `sealer` opens the senders' references."""
    lost = {loss.partition: loss for loss in losses if loss.topic == SUBMITTED.name}
    named = LostSignals()
    if not lost:
        return named
    depth = max(min(loss.lost, DEPTHS[-1]) for loss in lost.values()) + TAIL
    for record in await read_tails(log, ASSESSED, depth):
        try:
            envelope = decode(ASSESSED, record.value)
            origin = Origin.parse(envelope.origin or "")
        except (CodecError, ValueError):
            continue
        fact: AssessedSignal = envelope.data
        loss = lost.get(origin.partition) if origin.topic == SUBMITTED.name else None
        if loss is None or not loss.agrees_to <= origin.offset < loss.known or not fact.signal_id:
            continue
        named.by_institution[fact.institution or ""] += 1
        if len(named.names) < most:
            named.names.append((fact.institution or "", _read_reference(fact, sealer) or "", fact.signal_id))
    return named


def _read_reference(fact: AssessedSignal, sealer: Sealer | None) -> str | None:
    return text_of(sealer, None, fact.reference_sealed, f"{fact.signal_id}/reference") if sealer else None
