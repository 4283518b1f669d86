"""How far the stages are, for lag limits and lag metrics. Reads marks only."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from schemas.topics import Topic
from stream_processors.state.keys import BUCKETS, Namespace
from stream_processors.state.store import RedisLike
from stream_processors.state.streams import Stage


def inputs(stage: Stage) -> list[tuple[Topic, str]]:
    """What the stage reads, with the prefix of the marks that say how far it is there."""
    return [(topic, stage.place_mark(topic)) for topic in stage.reads]


async def places(redis: RedisLike, namespace: Namespace, prefix: str, partitions: int) -> dict[int, int]:
    """The next record of each partition by the lowest mark; `prefix` is `s` for a stage's source."""
    pipe = redis.pipeline(transaction=False)
    names = [f"{prefix}{p}" for p in range(partitions)]
    for bucket in range(BUCKETS):
        pipe.hmget(namespace.marks(bucket), names)
    rows = await pipe.execute()
    return {p: min(int(row[p] or 0) for row in rows) for p in range(partitions)}


def _count(partition: int, start: int, end: int) -> int:
    return max(0, end - start)


def behind(
    ends: Mapping[int, int],
    at: Mapping[int, int],
    starts: Mapping[int, int],
    count: Callable[[int, int, int], int] = _count,
) -> int:
    """Records between the places and the ends. What retention deleted is not waited for. `count` knows the generations of the
    log: how many records can stand between two positions of a partition."""
    return sum(count(p, max(at.get(p, 0), starts.get(p, 0)), end) for p, end in ends.items())
