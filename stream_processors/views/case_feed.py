"""Changes of cases as the views have them: which records of the log count, and up to where every bucket has projected them.

Invariant: a change counts here exactly if the views count it; a redelivered one does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schemas.cases.case import ActionOutcome, Case
from schemas.common import Stored
from schemas.topics import CASE_CHANGES, CASE_COMMANDS
from stream_processors.runtime.log import Record
from stream_processors.state.fold_run import read_chunk
from stream_processors.state.keys import BUCKETS, PROJECT, whole
from stream_processors.state.marks import STAMP, Marks, MarkStream
from stream_processors.state.record_views import ListedCase
from stream_processors.state.store import RedisLike
from stream_processors.state.streams import FactStream, fold_nothing


class LiveChange(Stored):
    """A view of CaseChange."""

    outcome: ActionOutcome
    origin: str | None = None
    case: ListedCase | None = None


STREAM = FactStream(CASE_CHANGES, {CASE_COMMANDS.name: MarkStream.CASES}, MarkStream.CASES, fold_nothing, LiveChange)
"""The changes as the views project them (stream_processors/topology.py), read for their cases alone."""


class FeedStart(NamedTuple):
    """`stamp` names the log and the restore generation. By partition: the next fact that not all buckets have projected, and the
    next source there, which tells redeliveries apart."""

    stamp: str
    facts: dict[int, int]
    sources: dict[int, int]

    @property
    def log(self) -> str:
        """The log's identity, the same after a rebuild."""
        return self.stamp.rpartition("#")[0]


async def read_start(redis: RedisLike) -> FeedStart | None:
    """Returns how far the views are; None while they are not whole."""
    partitions = range(CASE_CHANGES.partitions)
    names = [mark.encode() for p in partitions for mark in (STREAM.fact_mark(p), STREAM.source_mark(p))]
    pipe = redis.pipeline(transaction=False)
    for bucket in range(BUCKETS):
        pipe.hmget(PROJECT.marks(bucket), STAMP, *names)
    rows = await pipe.execute()
    stamps = {row[0] for row in rows}
    stamp = rows[0][0]
    if len(stamps) != 1 or not whole(stamp):
        return None
    lowest = {p: min((int(row[1 + 2 * p] or 0), int(row[2 + 2 * p] or 0)) for row in rows) for p in partitions}
    return FeedStart(stamp.decode(), {p: at[0] for p, at in lowest.items()}, {p: at[1] for p, at in lowest.items()})


class CaseFeed:
    """The records that follow a start, in order. `ends`: by partition, the next record."""

    def __init__(self, start: FeedStart) -> None:
        self.ends = dict(start.facts)
        self._marks: Marks = {STREAM.source_mark(p): at for p, at in start.sources.items()}

    def read_cases(self, partition: int, records: Sequence[Record]) -> list[tuple[int, Case]]:
        """Returns the cases of the changes that count, each with the offset of its record. `project` reports unreadable ones."""
        chunk = read_chunk(STREAM, partition, records, self._marks, effects=False)
        self._marks |= chunk.marks
        self.ends[partition] = chunk.end
        return [(offset, envelope.data.case) for offset, envelope, _ in chunk.counted if envelope.data.case is not None]
