"""The restore barrier, which every start of a worker and every new assignment of partitions passes.

Under a lock, all fact partitions (not only one's own: subjects are shared) are projected from the lowest watermark to their end;
then every bucket gets the same stamp: cluster, topic ids, partition counts, bucket count, and a restore generation. Invariant: a
killed worker and a Redis that was rolled back, emptied or failed over are one case, and end in the same state.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from schemas.topics import GENERATIONS
from stream_processors.runtime.crash_points import point
from stream_processors.runtime.generations import Generations
from stream_processors.runtime.log import CURE, DamagedLog, Log
from stream_processors.state.fold_run import Chunk, fold_run
from stream_processors.state.keys import BUCKETS, FOLDS, RESTORING
from stream_processors.state.marks import Marks
from stream_processors.state.store import Store, Write
from stream_processors.state.streams import FactStream, Stage

Tell = Callable[[str], None]


class OtherLog(RuntimeError):
    """The state in Redis belongs to another cluster, other topics or other partition counts. The process does not start."""


class Restored(NamedTuple):
    """The stamp that all calls must name from now on, and the number of projected facts."""

    stamp: str
    folded: int


class _Stamp(NamedTuple):
    """`[restoring ]<log>|folds=<n>#<opened>.<random>`; a stamp without `folds` is older. `opened_ms`: when the newest generation
    of the log behind the state was opened; absent if there was none."""

    log: str
    folds: int
    opened_ms: int

    @classmethod
    def parse(cls, stamp: str) -> _Stamp:
        made_of, _, restored = stamp.removeprefix(RESTORING).rpartition("#")
        log, _, folds = made_of.partition("|folds=")
        opened_ms, dot, _ = restored.partition(".")
        return cls(log, int(folds or 0), int(opened_ms) if dot else 0)

    def is_of(self, identity: str) -> bool:
        """Whether it is of this log. Older projections may have known fewer of its topics."""
        if self.folds < FOLDS:
            return set(self.log.split("|")) <= set(identity.split("|"))
        return self.log == identity


async def restore(stage: Stage, log: Log, store: Store, tell: Tell = lambda line: None) -> Restored:
    """Passes the barrier. OtherLog if the state is of another log; `tell` receives the progress of long ones."""
    identity = f"{await log.identity(stage.topics)}|buckets={BUCKETS}"
    async with store.lock():
        point("restore.locked")
        stamps = await _check_usable(stage, identity, log.generations, store, tell)
        is_whole = stamps[0] is not None and len(set(stamps)) == 1 and not stamps[0].startswith(RESTORING)
        stamp = str(stamps[0]) if is_whole else _new_stamp(identity, FOLDS, log.generations.opened_ms)
        if not is_whole:
            await store.set_stamp(stamp)
            point("restore.begun")
        folded = 0
        for stream in stage.streams:
            folded += await _fold_stream(stage, stream, log, store, stamp, tell)
        if not is_whole:
            # Not whatever is there: a state that was emptied behind the last fold must not be called whole.
            whole_stamp = stamp.removeprefix(RESTORING)
            await store.call("fold", stamp, {b: Write({}, {}, stamp=whole_stamp) for b in range(BUCKETS)})
            stamp = whole_stamp
            point("restore.stamped")
        return Restored(stamp, folded)


async def empty_state(store: Store) -> None:
    """Clears the state of a stage, so that the next start rebuilds it. An interrupted clearing is repeated then."""
    async with store.lock():
        stamps = [stamp for stamp in await store.stamps() if stamp is not None]
        if stamps:
            await store.set_stamp(_new_stamp(_Stamp.parse(stamps[0]).log, 0))
        await store.clear()


def _new_stamp(identity: str, folds: int, opened_ms: int = 0) -> str:
    opened = f"{opened_ms}." if opened_ms else ""
    return f"{RESTORING}{identity}|folds={folds}#{opened}{secrets.token_hex(8)}"


async def _check_usable(stage: Stage, identity: str, generations: Generations, store: Store, tell: Tell) -> list[str | None]:
    """The stamps of a state that may be continued. A state of older projections is cleared, because theirs differ, and so is one
    that contains lost records."""
    stamps = await store.stamps()
    parsed = {_Stamp.parse(stamp) for stamp in stamps if stamp is not None}
    for stamp in parsed:
        if not stamp.is_of(identity):
            raise OtherLog(
                f"the state of {stage.name} in Redis was built from the log {stamp.log!r}, but the log is "
                f"{identity!r}; empty that Redis, or point REDIS_URL to another one, and start again"
            )
        if stamp.folds > FOLDS:
            raise OtherLog(
                f"a newer version built the state of {stage.name} in Redis (projections {stamp.folds}, this version "
                f"has {FOLDS}); upgrade this worker, or empty that Redis to go back"
            )
        if stamp.opened_ms > generations.opened_ms:
            raise DamagedLog(f"{GENERATIONS.name} lost a generation that the state of {stage.name} was built with; {CURE}")
    since_ms = min((stamp.opened_ms for stamp in parsed), default=generations.opened_ms)
    if renewed := generations.topics_since(since_ms):
        if renewed.isdisjoint(topic.name for topic in stage.made_of):
            return [None] * BUCKETS  # it stays, and gets the new stamp, which ends whoever knows the old positions
        tell(f"{stage.name}: the log lost records that the state contains; the state is rebuilt from the remaining log")
        await store.set_stamp(_new_stamp(identity, 0))  # as below
        await store.clear()
        return [None] * BUCKETS
    if any(stamp.folds < FOLDS for stamp in parsed):
        if not stage.streams:
            return [None] * BUCKETS  # places alone, which are no fold: they get the new stamp and stay
        tell(f"{stage.name}: an older version built the state; it is rebuilt from the log")
        await store.set_stamp(_new_stamp(identity, 0))  # ends the older workers, and a clearing that is cut off is done again
        await store.clear()
        return [None] * BUCKETS
    return stamps


async def _fold_stream(stage: Stage, stream: FactStream, log: Log, store: Store, stamp: str, tell: Tell) -> int:
    buckets = await store.marks()
    starts, ends = await log.starts(stream.topic), await log.ends(stream.topic)
    folded = 0
    for partition, end in ends.items():
        if (lowest := _find_lowest(stream, partition, buckets)) > end:
            raise OtherLog(
                f"{stream.topic.name}/{partition} ends at {end}, but the state of {stage.name} contains facts up to "
                f"{lowest}: the broker lost acknowledged facts; {CURE}"
            )
    for partition, end in ends.items():
        lowest = _find_lowest(stream, partition, buckets)  # owners at work may have gone past `end` meanwhile
        async for n in _fold_partition(stream, partition, max(lowest, starts[partition]), end, log, store, stamp, buckets):
            folded += n
            if folded % 50_000 < n:
                tell(f"{stage.name}: projected {folded} facts of {stream.topic.name}")
        lowest = max(_find_lowest(stream, partition, buckets), starts[partition])
        if not log.generations.count(stream.topic.name, partition, lowest, end):
            # What is left up to there has passed its retention, or was lost for good; the place goes on.
            await _skip_to_end(stream, partition, end, store, stamp, buckets)
    return folded


def _find_lowest(stream: FactStream, partition: int, buckets: list[Marks]) -> int:
    return min(marks.get(stream.fact_mark(partition), 0) for marks in buckets)


async def _skip_to_end(stream: FactStream, partition: int, end: int, store: Store, stamp: str, buckets: list[Marks]) -> None:
    mark = stream.fact_mark(partition)
    late = [bucket for bucket, marks in enumerate(buckets) if marks.get(mark, 0) < end]
    if not late:
        return
    await store.call("fold", stamp, {b: Write({mark: buckets[b].get(mark, 0)}, {mark: end}) for b in late})
    for bucket in late:
        buckets[bucket][mark] = end


async def _fold_partition(
    stream: FactStream, partition: int, begin: int, end: int, log: Log, store: Store, stamp: str, buckets: list[Marks]
) -> AsyncIterator[int]:
    """Projects one partition, chunk by chunk; the next is fetched while Redis works on the previous. Yields their sizes."""
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
