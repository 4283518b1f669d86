"""Emissions of the facts of assess: joins and retractions to the cases, retractions to its own input. From the facts alone.

Invariant: the same facts emit the same records, whoever owns the partition; a second copy in the log is a redelivery.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from schemas.codec import encode
from schemas.envelope import Origin
from schemas.signals.assessed import AssessedSignal
from schemas.signals.retraction import Retraction
from schemas.topics import CASE_COMMANDS, RETRACTIONS
from stream_processors.domain.signals.case_joins import joins
from stream_processors.domain.signals.retraction import forwards, replaced, retracts
from stream_processors.runtime.log import Entry, partition_of

ACTOR = "stage:assess"
AT_ONCE = 500
Sourced = tuple[Origin, AssessedSignal]


def actions(facts: Sequence[Sourced]) -> list[tuple[bytes, bytes]]:
    """Joins and retractions by case. `n` of the origin numbers those of one source."""
    entries = []
    for source, fact in facts:
        for n, action in enumerate((*joins(fact), *retracts(fact))):
            value = encode(
                CASE_COMMANDS,
                action,
                id=action.action_id,
                source="/assess",
                actor=ACTOR,
                time=fact.accepted_at,
                origin=source._replace(n=n),
                subject=action.case_id,
            )
            entries.append((action.case_id.encode(), value))
    return entries


def retractions(facts: Sequence[Sourced]) -> dict[int, list[Entry]]:
    """Retractions of corrected versions go to the partition of the signal's id; forwarded ones to those of the versions."""
    entries: dict[int, list[Entry]] = {}
    for source, fact in facts:
        if (older := replaced(fact)) is not None:
            at = partition_of(older.signal_id.encode(), RETRACTIONS.partitions)
            entries.setdefault(at, []).append(request(older, source, fact.accepted_at))
        for at, sent_on in forwards(fact):
            entries.setdefault(at, []).append(request(sent_on, source, fact.accepted_at))
    return entries


def in_batches(entries: Mapping[int, Sequence[Entry]]) -> Iterator[dict[int, Sequence[Entry]]]:
    """Batches small enough that the records of a partition stay adjacent: others write between two batches."""
    for at in range(0, max(map(len, entries.values()), default=0), AT_ONCE):
        yield {p: some for p, partition_entries in entries.items() if (some := partition_entries[at : at + AT_ONCE])}


def request(retraction: Retraction, origin: Origin, at: datetime) -> Entry:
    """A retraction as assess appends it, caused by the record at `origin`."""
    value = encode(
        RETRACTIONS,
        retraction,
        id=f"retract-{origin.partition}:{origin.offset}",
        source="/assess",
        actor=ACTOR,
        time=at,
        origin=origin,
        subject=retraction.signal_id,
    )
    return retraction.signal_id.encode(), value
