"""The restore barrier: every start of a worker passes it, and every new assignment of partitions.

Under a lock, all fact partitions (not only one's own: subjects are shared) are folded from the lowest mark to their end;
then every bucket holds the same stamp: cluster, topic ids, partition counts, bucket count, and a restore generation.
Invariant: a killed worker, a Redis rolled back, emptied or failed over are one case, and end in the same state.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from stream_processors.crash import point
from stream_processors.log import Log
from stream_processors.pipeline import FactStream, Stage
from stream_processors.state.chunk import Chunk, fold_run
from stream_processors.state.keys import BUCKETS, RESTORING
from stream_processors.state.store import Marks, Store, Write

Told = Callable[[str], None]


class OtherLog(RuntimeError):
    """The state in Redis belongs to another cluster, other topics or other partition counts. Nothing is started."""


class Restored(NamedTuple):
    """The stamp that all calls must give from now on, and how many facts were folded."""

    stamp: str
    folded: int


def _belongs(stamp: str, identity: str) -> bool:
    return stamp.removeprefix(RESTORING).rpartition("#")[0] == identity


async def restore(stage: Stage, log: Log, store: Store, told: Told = lambda line: None) -> Restored:
    """Passes the barrier. OtherLog when the state is of another log; `told` hears of progress on long ones."""
    identity = f"{await log.identity(stage.topics)}|buckets={BUCKETS}"
    async with store.lock():
        point("restore.locked")
        stamps = await store.stamps()
        for stamp in stamps:
            if stamp is not None and not _belongs(stamp, identity):
                raise OtherLog(
                    f"the {stage.name} state in Redis was folded from {stamp.rpartition('#')[0]!r}, "
                    f"but the log is {identity!r}; empty that Redis, or point REDIS_URL at another one, and start again"
                )
        whole = stamps[0] is not None and len(set(stamps)) == 1 and not stamps[0].startswith(RESTORING)
        stamp = str(stamps[0]) if whole else f"{RESTORING}{identity}#{secrets.token_hex(8)}"
        if not whole:
            await store.set_stamp(stamp)
        folded = 0
        for stream in stage.streams:
            folded += await _fold_stream(stage, stream, log, store, stamp, told)
        if not whole:
            stamp = stamp.removeprefix(RESTORING)
            await store.set_stamp(stamp)
            point("restore.stamped")
        return Restored(stamp, folded)


async def _fold_stream(stage: Stage, stream: FactStream, log: Log, store: Store, stamp: str, told: Told) -> int:
    buckets = await store.marks()
    starts, ends = await log.starts(stream.topic), await log.ends(stream.topic)
    folded = 0
    for partition, end in ends.items():
        if (lowest := _lowest(stream, partition, buckets)) > end:
            raise OtherLog(f"{stream.topic.name}/{partition} ends at {end}, but the state has folded up to {lowest}")
    for partition, end in ends.items():
        lowest = _lowest(stream, partition, buckets)  # owners at work may have gone past `end` meanwhile
        if starts[partition] == end > lowest:  # every fact has passed its retention; the place goes on
            await _skip(stream, partition, end, store, stamp, buckets)
            continue
        async for n in _fold_partition(stream, partition, max(lowest, starts[partition]), end, log, store, stamp, buckets):
            folded += n
            if folded % 50_000 < n:
                told(f"{stage.name}: {folded} facts of {stream.topic.name} folded")
    return folded


def _lowest(stream: FactStream, partition: int, buckets: list[Marks]) -> int:
    return min(marks.get(stream.fact_mark(partition), 0) for marks in buckets)


async def _skip(stream: FactStream, partition: int, end: int, store: Store, stamp: str, buckets: list[Marks]) -> None:
    mark = stream.fact_mark(partition)
    late = [bucket for bucket, marks in enumerate(buckets) if marks.get(mark, 0) < end]
    await store.call("fold", stamp, {b: Write({mark: buckets[b].get(mark, 0)}, {mark: end}) for b in late})
    for bucket in late:
        buckets[bucket][mark] = end


async def _fold_partition(
    stream: FactStream, partition: int, begin: int, end: int, log: Log, store: Store, stamp: str, buckets: list[Marks]
) -> AsyncIterator[int]:
    """Folds one partition, chunk by chunk; the next is fetched while Redis works on the one before. Yields their sizes."""
    working: asyncio.Task[Chunk | None] | None = None
    async for records in log.read(stream.topic, partition, begin, end):
        if working is not None:
            await working
            point("restore.folded")
        working = asyncio.create_task(fold_run(stream, partition, records, store, stamp, buckets))
        await asyncio.sleep(0)
        yield len(records)
    if working is not None:
        await working
        point("restore.folded")
