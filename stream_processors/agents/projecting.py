"""Projects fact streams as they arrive: all the work of project, and the way assess learns of verdicts.

Invariant: the live projection is the restore barrier's own, so a rebuilt state equals one that was never lost.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.topics import Topic
from stream_processors.agents.base import Agent, Batch
from stream_processors.runtime.metrics import METRICS
from stream_processors.state.coalesce import Sums
from stream_processors.state.effects import Arg
from stream_processors.state.fold_run import Chunk, fold_run, read_chunk, writes
from stream_processors.state.keys import BUCKETS
from stream_processors.state.marks import Mark, MarkKind
from stream_processors.state.store import Check, LostState, MarkMoved, Write
from stream_processors.state.streams import FactStream

Chunks = Sequence[tuple[FactStream, Chunk]]


class Folding(Agent):
    """An agent that reads topics which are fact streams of its own state."""

    def _find_stream(self, topic: str) -> FactStream | None:
        """The stream of an input topic; None for a topic of source records."""
        reads = {read_topic.name for read_topic in self.stage.reads}
        return next((stream for stream in self.stage.streams if stream.topic.name == topic and topic in reads), None)

    def position_mark(self, topic: Topic, partition: int) -> Mark:
        stream = self._find_stream(topic.name)
        return super().position_mark(topic, partition) if stream is None else stream.fact_mark(partition)

    def tolerated(self, mark: Mark) -> Check:
        """Others may be ahead in a stream that they only project: a worker at its barrier projects all partitions."""
        own = super().tolerated(mark)
        return (self.marks.get(mark, 0), 1 << 52) if self._is_shared(mark) else own

    def _is_shared(self, mark: Mark) -> bool:
        """Whether it is a watermark of a stream that is an input."""
        inputs = [stream for topic in self.stage.reads if (stream := self._find_stream(topic.name))]
        streams = {mark_stream for stream in inputs for mark_stream in (stream.stream, *stream.sources.values())}
        return mark.kind in (MarkKind.FACT, MarkKind.SOURCE) and mark.stream in streams

    async def _read_chunks(self, batch: Batch) -> Chunks:
        """The polled facts; unreadable ones go to the dead letters."""
        chunks = []
        for (topic, p), records in batch.items():
            stream = self._find_stream(topic)
            assert stream is not None
            chunks.append((stream, read_chunk(stream, p, records, self.marks)))
        for stream, chunk in chunks:
            for record, why in chunk.unreadable:
                self._dead.add(stream.topic, record, why)
                METRICS.dead.labels(self.stage.name).inc()
        await self._dead.flush()
        return chunks

    async def _fold_chunks(self, batch: Batch, chunks: Chunks) -> None:
        try:
            await self.store.call("fold", self._stamp, self._merge_writes(chunks))
        except MarkMoved:
            await self._fold_contended(batch)
        for _, chunk in chunks:
            self.marks |= chunk.marks

    async def _fold_contended(self, batch: Batch) -> None:
        """A worker at its barrier projects the same facts at the same time: projects run by run, and skips finished ones."""
        buckets = await self.store.marks()
        for (topic, p), records in batch.items():
            stream = self._find_stream(topic)
            assert stream is not None
            mark = stream.fact_mark(p)
            if min(marks.get(mark, 0) for marks in buckets) < self.marks.get(mark, 0):
                raise LostState(f"the watermark {mark.encode()} went back: this is an older state")
            await fold_run(stream, p, records, self.store, self._stamp, buckets)

    def _merge_writes(self, chunks: Chunks) -> dict[int, Write]:
        """All chunks of a poll as one write for each bucket."""
        before = [self.marks] * BUCKETS
        checks: dict[int, dict[Mark, Check]] = {b: {} for b in range(BUCKETS)}
        sets: dict[int, dict[Mark, Arg]] = {b: {} for b in range(BUCKETS)}
        args: dict[int, list[Arg]] = {b: [] for b in range(BUCKETS)}
        sums = Sums()
        for stream, chunk in chunks:
            for bucket, write in writes(stream, chunk, before, sums).items():
                checks[bucket] |= write.checks
                sets[bucket] |= write.sets
                args[bucket] += write.args
        return {b: Write(checks[b], sets[b], args[b] + sums.drain(b)) for b in range(BUCKETS)}
