"""How far the views are in `cases.changed.v1`, for those who tell of changes: nothing is told that a view does not hold yet."""

from __future__ import annotations

from typing import NamedTuple

from schemas.topics import CASE_CHANGES
from stream_processors.state.keys import BUCKETS, PROJECT, whole
from stream_processors.state.store import RedisLike
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
    names = [name for p in partitions for name in (STREAM.fact_mark(p), STREAM.source_mark(p))]
    pipe = redis.pipeline(transaction=False)
    for bucket in range(BUCKETS):
        pipe.hmget(PROJECT.marks(bucket), "stamp", *names)
    rows = await pipe.execute()
    stamps = {row[0] for row in rows}
    stamp = rows[0][0]
    if len(stamps) != 1 or not whole(stamp):
        return None
    lowest = {p: min((int(row[1 + 2 * p] or 0), int(row[2 + 2 * p] or 0)) for row in rows) for p in partitions}
    return Folded(stamp.decode(), {p: at[0] for p, at in lowest.items()}, {p: at[1] for p, at in lowest.items()})
