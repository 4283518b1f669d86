"""project: the views. Folds the fact streams as they come; writes nothing but dead letters.

Its live step is the restore barrier's own fold, so a view that was rebuilt is the view that was never lost.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.policy import Policy
from schemas.protect import Sealer
from schemas.topics import Topic
from stream_processors.agents.base import Agent, Batch
from stream_processors.agents.dead_letters import DeadLetters
from stream_processors.crash import point
from stream_processors.log import Log
from stream_processors.metrics import METRICS
from stream_processors.pipeline import STAGES, FactStream
from stream_processors.state.chunk import Chunk, fold_run, read_chunk, writes
from stream_processors.state.effects import Arg
from stream_processors.state.keys import BUCKETS
from stream_processors.state.restore import Told
from stream_processors.state.store import Check, LostState, MarkMoved, Store, Write


class Project(Agent):
    stage = STAGES["project"]

    def __init__(self, log: Log, store: Store, policy: Policy, sealer: Sealer, told: Told = lambda line: None) -> None:
        super().__init__(log, store, policy, told)
        self._dead = DeadLetters("project", log, sealer)

    def _stream(self, topic: str) -> FactStream:
        return next(stream for stream in self.stage.streams if stream.topic.name == topic)

    def position_mark(self, topic: Topic, partition: int) -> str:
        return self._stream(topic.name).fact_mark(partition)

    async def _step(self, batch: Batch) -> None:
        point("project.polled")
        chunks = [
            (stream := self._stream(topic), read_chunk(stream, p, records, self.marks)) for (topic, p), records in batch.items()
        ]
        for stream, chunk in chunks:
            for record, why in chunk.unreadable:
                self._dead.add(stream.topic, record, why)
                METRICS.dead.labels("project").inc()
        await self._dead.flush()
        try:
            await self.store.call("fold", self._stamp, self._merged(chunks))
        except MarkMoved:
            await self._fold_contended(batch)
        for _, chunk in chunks:
            self.marks |= chunk.marks
        point("project.folded")

    async def _fold_contended(self, batch: Batch) -> None:
        """A worker at its barrier folds the same facts at the same time: run by run, passing over what it has folded."""
        buckets = await self.store.marks()
        for (topic, p), records in batch.items():
            mark = self._stream(topic).fact_mark(p)
            if min(marks.get(mark, 0) for marks in buckets) < self.marks.get(mark, 0):
                raise LostState(f"{mark} went back: the state is an older one")
            await fold_run(self._stream(topic), p, records, self.store, self._stamp, buckets)

    def tolerated(self, mark: int) -> Check:
        """Others may be ahead: a worker at its barrier folds all partitions."""
        return mark, 1 << 52

    def _merged(self, chunks: Sequence[tuple[FactStream, Chunk]]) -> dict[int, Write]:
        """All chunks of a poll as one write a bucket."""
        before = [self.marks] * BUCKETS
        checks: dict[int, dict[str, Check]] = {b: {} for b in range(BUCKETS)}
        sets: dict[int, dict[str, Arg]] = {b: {} for b in range(BUCKETS)}
        args: dict[int, list[Arg]] = {b: [] for b in range(BUCKETS)}
        for stream, chunk in chunks:
            for bucket, write in writes(stream, chunk, before).items():
                checks[bucket] |= write.checks
                sets[bucket] |= write.sets
                args[bucket] += write.args
        return {b: Write(checks[b], sets[b], args[b]) for b in range(BUCKETS)}
