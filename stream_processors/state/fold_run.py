"""Projects a run of fact records: which of them count, what they change, and which watermarks move. Pure except for `fold_run`.

Invariant (law 1): the first record of a source counts, later ones are redeliveries. Sources of a partition arrive in order, so
one high-water mark for each partition of each source topic identifies them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.codec import AnyEnvelope, decode
from stream_processors.runtime.log import Record
from stream_processors.state.coalesce import Sums
from stream_processors.state.effects import Arg, Effect
from stream_processors.state.keys import BUCKETS
from stream_processors.state.marks import Marks
from stream_processors.state.store import MarkMoved, Store, Write
from stream_processors.state.streams import FactStream


class Counted(NamedTuple):
    """A counting fact and its changes."""

    offset: int
    envelope: AnyEnvelope
    effects: list[Effect]


class Chunk(NamedTuple):
    """A decoded run of one partition: the counting facts, the watermarks that it moves, its redeliveries and unreadable
    records."""

    partition: int
    end: int
    counted: list[Counted]
    marks: Marks
    echoes: int
    unreadable: list[tuple[Record, str]]


def read_chunk(stream: FactStream, partition: int, records: Sequence[Record], marks: Marks, *, effects: bool = True) -> Chunk:
    """`marks` are those before the run. Without `effects` only sources are read, to find the counting facts."""
    after = dict(marks)
    counted: list[Counted] = []
    unreadable: list[tuple[Record, str]] = []
    echoes = 0
    for record in records:
        try:
            envelope = decode(stream.topic, record.value, stream.view)
            source = stream.source_of(envelope.origin, partition)
        except ValueError as error:
            unreadable.append((record, str(error)))
            continue
        if source is not None:
            mark, number = source
            if number < after.get(mark, 0):
                echoes += 1
                continue
            after[mark] = number + 1
        after.update(stream.marks(envelope, record, after))
        counted.append(Counted(record.offset, envelope, stream.effects(envelope, record) if effects else []))
    end = records[-1].offset + 1
    after[stream.fact_mark(partition)] = end
    moved = {moved_mark: value for moved_mark, value in after.items() if marks.get(moved_mark) != value}
    return Chunk(partition, end, counted, moved, echoes, unreadable)


def writes(stream: FactStream, chunk: Chunk, before: Sequence[Marks], sums: Sums | None = None) -> dict[int, Write]:
    """One write for each bucket. `before` are each bucket's own watermarks: a bucket that is ahead skips projected facts.
    Additive effects go to `sums`, if given, and are not in the writes."""
    mark = stream.fact_mark(chunk.partition)
    folded_to = [marks.get(mark, 0) for marks in before]
    args: list[list[Arg]] = [[] for _ in range(BUCKETS)]
    added = sums or Sums()
    for fact in chunk.counted:
        for bucket, effect in fact.effects:
            if fact.offset >= folded_to[bucket] and not added.take(bucket, effect):
                args[bucket] += effect
    return {
        bucket: Write({mark: folded_to[bucket]}, chunk.marks, args[bucket] + ([] if sums else added.drain(bucket)))
        for bucket in range(BUCKETS)
        if folded_to[bucket] < chunk.end
    }


async def fold_run(
    stream: FactStream, partition: int, records: Sequence[Record], store: Store, stamp: str, buckets: list[Marks]
) -> Chunk | None:
    """Projects a run whose watermarks others may move, too (a worker at its barrier, the owner at work), and skips projected
    facts. `buckets` are updated. None if nothing was left."""
    mark = stream.fact_mark(partition)
    while True:
        lowest = min(buckets, key=lambda marks: marks.get(mark, 0))
        unfolded = [record for record in records if record.offset >= lowest.get(mark, 0)]
        if not unfolded:
            return None
        chunk = read_chunk(stream, partition, unfolded, lowest)
        step = writes(stream, chunk, buckets)
        try:
            await store.call("fold", stamp, step)
        except MarkMoved:
            folded_to, buckets[:] = lowest.get(mark, 0), await store.marks()
            if min(marks.get(mark, 0) for marks in buckets) < folded_to:
                raise
            continue
        for bucket in step:
            buckets[bucket] |= chunk.marks
        return chunk
