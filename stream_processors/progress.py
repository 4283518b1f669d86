"""Progress of the stages by their watermarks alone: for lag limits and metrics, and for live queues, which release a change only
when a view has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from schemas.topics import Topic
from stream_processors.state.keys import BUCKETS, Namespace, whole
from stream_processors.state.marks import STAMP, Mark
from stream_processors.state.store import RedisLike
from stream_processors.state.streams import Stage
from stream_processors.topology import STAGES

STAGE_NAMES = tuple(STAGES)


async def read_places(redis: RedisLike, stage_name: str) -> dict[Topic, dict[int, int]] | None:
    """Returns the next record of a stage in each partition of each of its inputs. None during a rebuild, when watermarks have no
    meaning."""
    stage = STAGES[stage_name]
    stamp: Any = await redis.hget(stage.namespace.marks(0), STAMP)
    if not whole(stamp):
        return None
    return {topic: await places(redis, stage.namespace, mark, topic.partitions) for topic, mark in inputs(stage)}


async def read_place(redis: RedisLike, stage_name: str, topic: Topic) -> dict[int, int]:
    """Returns the same for one input, also during a rebuild."""
    stage = STAGES[stage_name]
    return await places(redis, stage.namespace, stage.place_mark(topic), topic.partitions)


def inputs(stage: Stage) -> list[tuple[Topic, Mark]]:
    """The inputs of the stage, each with the watermark of each partition."""
    return [(topic, stage.place_mark(topic)) for topic in stage.reads]


async def places(redis: RedisLike, namespace: Namespace, mark: Mark, partitions: int) -> dict[int, int]:
    """The watermark of each partition, from the bucket where it is lowest."""
    pipe = redis.pipeline(transaction=False)
    names = [mark.at(p).encode() for p in range(partitions)]
    for bucket in range(BUCKETS):
        pipe.hmget(namespace.marks(bucket), names)
    rows = await pipe.execute()
    return {p: min(int(row[p] or 0) for row in rows) for p in range(partitions)}


def _count_all(partition: int, start: int, end: int) -> int:
    return max(0, end - start)


def behind(
    ends: Mapping[int, int], at: Mapping[int, int], starts: Mapping[int, int], count: Callable[[int, int, int], int] = _count_all
) -> int:
    """Records between the positions and the ends. Records deleted by retention do not count. `count` knows the generations of the
    log: the number of records between two positions of a partition."""
    return sum(count(p, max(at.get(p, 0), starts.get(p, 0)), end) for p, end in ends.items())
