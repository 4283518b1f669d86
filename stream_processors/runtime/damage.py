"""Finds acknowledged records that the broker lost: the log must still contain what its own records prove.

Every fact names its source and the source's LogAppendTime, so the newest facts prove where a source topic ended and which record
was there. A source that ends earlier, or has another record at that position (it was cut and filled up again), has lost its end.
Invariant: records deleted by retention, and those lost before a newer generation of the log was opened, are no damage.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, NamedTuple

import msgspec

from schemas.common import MAX_OFFSET, instant_ms
from schemas.envelope import Origin
from schemas.signals.retraction import signal_of_join, source_of_join
from schemas.topics import (
    APPRAISAL_CHANGES,
    APPRAISAL_COMMANDS,
    ASSESSED,
    CASE_CHANGES,
    CASE_COMMANDS,
    NOTIFICATIONS,
    RETRACTIONS,
    SUBMITTED,
    Topic,
)
from stream_processors.runtime.log import CURE, DamagedLog, Record, RecordReader

TAIL = 200
"""Newest records of a partition that are compared."""

_Utc = Annotated[datetime, msgspec.Meta(tz=True)]


class Damage(NamedTuple):
    """A partition that lost its end. `end` is its current end, `known_end` the next position by the evidence of `shown_by`.
    `is_refilled`: other records have the lost positions, one of them `end`."""

    topic: str
    partition: int
    end: int
    known_end: int
    shown_by: str
    is_refilled: bool = False

    def __str__(self) -> str:
        where = f"{self.topic}/{self.partition}"
        if self.is_refilled:
            return (
                f"{where} contains at {self.end} another record than {self.shown_by} refers to: the broker lost "
                f"acknowledged records, and new records took their positions; {CURE}"
            )
        return (
            f"{where} ends at {self.end}, but {self.shown_by} refers to it up to {self.known_end}: the broker lost "
            f"{self.known_end - self.end} acknowledged records; {CURE}"
        )


class Source(NamedTuple):
    """A topic whose facts prove the records of another. `field` holds the source's LogAppendTime; None: the envelope's time does.
    `by_stage`: only records of our own stages are evidence. `of_joins`: the sources are the signals behind changes; the actions
    between them may be lost, too."""

    facts: Topic
    sources: tuple[Topic, ...]
    field: str | None = None
    by_stage: bool = False
    of_joins: bool = False


SOURCES: tuple[Source, ...] = (
    Source(ASSESSED, (SUBMITTED, RETRACTIONS), "accepted_at"),
    Source(CASE_CHANGES, (CASE_COMMANDS,), "at"),
    Source(CASE_CHANGES, (SUBMITTED,), of_joins=True),
    Source(APPRAISAL_CHANGES, (APPRAISAL_COMMANDS,), "at"),
    Source(CASE_COMMANDS, (SUBMITTED, RETRACTIONS, CASE_CHANGES), by_stage=True),
    Source(RETRACTIONS, (SUBMITTED, RETRACTIONS), by_stage=True),
    Source(NOTIFICATIONS, (CASE_CHANGES,), by_stage=True),
)
"""A change of a case is compared by its own `at`, not its LogAppendTime: a loss of its own may lead to a second decision."""


def sources_of(raw: Iterable[tuple[Topic, Topic]] = ()) -> tuple[Source, ...]:
    """The table, and the receipts of each institution that writes raw: (raw topic, receipts topic)."""
    return (*SOURCES, *(Source(facts, (source,), "received_at") for source, facts in raw))


class Evidence(NamedTuple):
    """The record at `place` proves that the record at `position` of a source was stored at `at_ms`."""

    topic: str
    partition: int
    position: int
    at_ms: int
    place: str


class _Signal(msgspec.Struct, frozen=True):
    signal_id: str
    accepted_at: _Utc
    version: int = 1


class _Case(msgspec.Struct, frozen=True):
    signals: tuple[_Signal, ...]


class _Data(msgspec.Struct, frozen=True):
    accepted_at: _Utc | None = None
    at: _Utc | None = None
    received_at: _Utc | None = None
    action_id: str | None = None
    origin: str | None = None
    case: _Case | None = None


class _FactEnvelope(msgspec.Struct, frozen=True):
    type: str
    time: _Utc
    actor: str
    origin: str
    data: _Data


_read_envelope = msgspec.json.Decoder(_FactEnvelope).decode


def evidence_of(source: Source, records: Iterable[Record]) -> Iterator[Evidence]:
    """The evidence of records about their sources. A record of another topic proves nothing."""
    topics = {topic.name: topic for topic in source.sources}
    for record in records:
        try:
            envelope = _read_envelope(record.value or b"")
            origin = Origin.parse(envelope.origin)
        except ValueError:
            continue
        at: datetime | None = envelope.time
        if source.of_joins:
            origin, at = _join_of(envelope.data, origin)
        elif source.field is not None:
            at = getattr(envelope.data, source.field)
        topic = topics.get(origin.topic)
        if topic is None or at is None or envelope.type != source.facts.type:
            continue
        if source.by_stage and not envelope.actor.startswith("stage:"):
            continue
        if 0 <= origin.partition < topic.partitions and 0 <= origin.offset < MAX_OFFSET:
            place = f"{source.facts.name}/{record.partition}/{record.offset}"
            yield Evidence(topic.name, origin.partition, origin.offset, instant_ms(at), place)


def _join_of(change: _Data, action: Origin) -> tuple[Origin, datetime | None]:
    """The signal behind a join's change, and its LogAppendTime. For any other change: the action, and no time."""
    source = source_of_join(change.origin)
    if source is None or change.case is None:
        return action, None
    signal = signal_of_join(change.action_id or "", change.case.signals)
    return Origin(SUBMITTED.name, *source), None if signal is None else signal.accepted_at


def taken_in_ms(topic: Topic, record: Record) -> int | None:
    """The time of a record as evidence uses it: its LogAppendTime, or the `at` of a change. None: it proves nothing."""
    if topic is not CASE_CHANGES:
        return record.timestamp_ms
    try:
        at = _read_change(record.value or b"").data.at
    except ValueError:
        return None
    return None if at is None else instant_ms(at)


class _Change(msgspec.Struct, frozen=True):
    data: _Data


_read_change = msgspec.json.Decoder(_Change).decode


async def find_damage(
    log: RecordReader, topics: Collection[Topic], table: Sequence[Source] = SOURCES, *, tail: int = TAIL
) -> list[Damage]:
    """The partitions of these topics that lost their end, by the newest records of the log."""
    names = {topic.name: topic for topic in topics}
    evidence: dict[str, dict[int, dict[int, Evidence]]] = {}
    for source in table:
        if names.keys().isdisjoint(topic.name for topic in source.sources):
            continue
        for piece in evidence_of(source, await read_tails(log, source.facts, tail)):
            if piece.topic in names and not log.generations.is_lost(piece.topic, piece.partition, piece.position):
                evidence.setdefault(piece.topic, {}).setdefault(piece.partition, {}).setdefault(piece.position, piece)
    damages: list[Damage] = []
    for name in sorted(evidence):
        damages += await _compare_topic(log, names[name], evidence[name])
    return damages


async def read_tails(log: RecordReader, topic: Topic, tail: int) -> list[Record]:
    """The newest records of each partition."""
    starts, ends = await log.starts(topic), await log.ends(topic)
    ranges = {}
    for p, end in ends.items():
        offset = max(0, log.generations.offset(topic.name, p, end) - tail)
        ranges[p] = max(starts[p], log.generations.position(topic.name, p, offset)), end
    return [record async for records in log.read_ranges(topic, ranges) for record in records]


async def _compare_topic(log: RecordReader, topic: Topic, evidence: Mapping[int, Mapping[int, Evidence]]) -> list[Damage]:
    """Compares the ends with the newest evidence, and each record with its evidence."""
    starts, ends = await log.starts(topic), await log.ends(topic)
    newest = {p: pieces[max(pieces)] for p, pieces in evidence.items()}
    damages = {
        p: Damage(topic.name, p, ends[p], piece.position + 1, piece.place)
        for p, piece in newest.items()
        if piece.position >= ends[p]
    }
    ranges = {}
    for p in evidence.keys() - damages.keys():
        if positions := [position for position in evidence[p] if position >= starts[p]]:
            ranges[p] = min(positions), max(positions) + 1
    async for records in log.read_ranges(topic, ranges):
        for record in records:
            piece = evidence[record.partition].get(record.offset)
            at_ms = None if piece is None else taken_in_ms(topic, record)
            if piece is not None and at_ms is not None and at_ms != piece.at_ms and record.partition not in damages:
                known_end = newest[record.partition].position + 1
                damages[record.partition] = Damage(topic.name, record.partition, record.offset, known_end, piece.place, True)
    return [damages[p] for p in sorted(damages)]


def lost_tails(who: str, marks: Mapping[tuple[str, int], int], ends: Mapping[str, Mapping[int, int]]) -> list[Damage]:
    """Watermarks beyond the end of their topic."""
    return [Damage(name, p, ends[name][p], mark, who) for (name, p), mark in sorted(marks.items()) if mark > ends[name][p]]


def check_undamaged(damages: Sequence[Damage]) -> None:
    """DamagedLog with a sentence for each damage, if there is any."""
    if damages:
        raise DamagedLog("; ".join(map(str, damages)))
