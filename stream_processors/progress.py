"""How far the stages are, by their marks alone: for lag limits and metrics, and for those who tell of changes of cases, of which
nothing is told that a view does not hold yet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from schemas.topics import CASE_CHANGES, Topic
from stream_processors.state.keys import BUCKETS, PROJECT, Namespace, whole
from stream_processors.state.marks import STAMP, Mark
from stream_processors.state.store import RedisLike
from stream_processors.state.streams import Stage
from stream_processors.topology import STAGES

STREAM = next(stream for stream in STAGES["project"].streams if stream.topic is CASE_CHANGES)


class Folded(NamedTuple):
    """`stamp` names the log and the restore generation. By partition: the next fact that not all buckets hold, and the next
    source there, which tells echoes apart."""

    stamp: str
    facts: dict[int, int]
    sources: dict[int, int]

    @property
    def log(self) -> str:
        """The log's identity, the same after a rebuild."""
        return self.stamp.rpartition("#")[0]


async def folded(redis: RedisLike) -> Folded | None:
    """None while the views are not whole."""
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
    return Folded(stamp.decode(), {p: at[0] for p, at in lowest.items()}, {p: at[1] for p, at in lowest.items()})


def inputs(stage: Stage) -> list[tuple[Topic, Mark]]:
    """What the stage reads, with the mark, of each partition, that says how far it is there."""
    return [(topic, stage.place_mark(topic)) for topic in stage.reads]


async def places(redis: RedisLike, namespace: Namespace, mark: Mark, partitions: int) -> dict[int, int]:
    """The number of the mark in each partition, by the bucket where it is lowest."""
    pipe = redis.pipeline(transaction=False)
    names = [mark.at(p).encode() for p in range(partitions)]
    for bucket in range(BUCKETS):
        pipe.hmget(namespace.marks(bucket), names)
    rows = await pipe.execute()
    return {p: min(int(row[p] or 0) for row in rows) for p in range(partitions)}


def _count(partition: int, start: int, end: int) -> int:
    return max(0, end - start)


def behind(
    ends: Mapping[int, int], at: Mapping[int, int], starts: Mapping[int, int], count: Callable[[int, int, int], int] = _count
) -> int:
    """Records between the places and the ends. What retention deleted is not waited for. `count` knows the generations of the
    log: how many records can stand between two positions of a partition."""
    return sum(count(p, max(at.get(p, 0), starts.get(p, 0)), end) for p, end in ends.items())
