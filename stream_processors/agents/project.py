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
from stream_processors.state.chunk import Chunk, read_chunk, writes
from stream_processors.state.effects import Arg
from stream_processors.state.keys import BUCKETS
from stream_processors.state.restore import Told
from stream_processors.state.store import Store, Write


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
        chunks = [(stream := self._stream(topic), read_chunk(stream, p, records, self.marks)) for (topic, p), records in batch.items()]
        for stream, chunk in chunks:
            for record, why in chunk.unreadable:
                self._dead.add(stream.topic, record, why)
                METRICS.dead.labels("project").inc()
        await self._dead.flush()
        await self.store.call("fold", self._stamp, self._merged(chunks))
        for _, chunk in chunks:
            self.marks |= chunk.marks
        point("project.folded")

    def _merged(self, chunks: Sequence[tuple[FactStream, Chunk]]) -> dict[int, Write]:
        """All chunks of a poll as one write a bucket."""
        before = [self.marks] * BUCKETS
        checks: dict[int, dict[str, Arg]] = {b: {} for b in range(BUCKETS)}
        sets: dict[int, dict[str, Arg]] = {b: {} for b in range(BUCKETS)}
        args: dict[int, list[Arg]] = {b: [] for b in range(BUCKETS)}
        for stream, chunk in chunks:
            for bucket, write in writes(stream, chunk, before).items():
                checks[bucket] |= write.checks
                sets[bucket] |= write.sets
                args[bucket] += write.args
        return {b: Write(checks[b], sets[b], args[b]) for b in range(BUCKETS)}
