"""project: the views. Folds the fact streams as they come; writes nothing but dead letters.

Its live step is the restore barrier's own fold, so a view that was rebuilt is the view that was never lost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime

from schemas.cases import ActionKind
from schemas.facts import Outcome
from schemas.policy import Policy
from schemas.protect import Sealer
from schemas.topics import ASSESSED, CHANGED, Topic
from stream_processors.agents.base import Agent, Batch
from stream_processors.agents.dead_letters import DeadLetters
from stream_processors.crash import point
from stream_processors.log import Log
from stream_processors.metrics import METRICS, Steps
from stream_processors.pipeline import STAGES, FactStream
from stream_processors.state.chunk import Chunk, fold_run, read_chunk, writes
from stream_processors.state.effects import Arg
from stream_processors.state.keys import BUCKETS
from stream_processors.state.restore import Told
from stream_processors.state.rows import ChangeRow, ReceiptRow
from stream_processors.state.store import Check, LostState, MarkMoved, Store, Write

_VIEWS = {ASSESSED.name: "receipt", CHANGED.name: "queue"}
"""What a fact of the topic makes visible."""


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
        steps = Steps("project")
        chunks = [
            (stream := self._stream(topic), read_chunk(stream, p, records, self.marks)) for (topic, p), records in batch.items()
        ]
        for stream, chunk in chunks:
            for record, why in chunk.unreadable:
                self._dead.add(stream.topic, record, why)
                METRICS.dead.labels("project").inc()
        await self._dead.flush()
        steps.done("read")
        try:
            await self.store.call("fold", self._stamp, self._merged(chunks))
        except MarkMoved:
            await self._fold_contended(batch)
        for _, chunk in chunks:
            self.marks |= chunk.marks
        steps.done("fold")
        _tell_visible(chunks)
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


def _tell_visible(chunks: Sequence[tuple[FactStream, Chunk]]) -> None:
    """How long the oldest signal of each chunk took from its acceptance to here."""
    now = time.time()
    for stream, chunk in chunks:
        view = _VIEWS[stream.topic.name]
        accepted = next(filter(None, (_accepted_at(fact.envelope.data) for fact in chunk.counted)), None)
        if accepted is not None:
            METRICS.visible_s.labels(view).observe(max(0.0, now - accepted.timestamp()))


def _accepted_at(data: ReceiptRow | ChangeRow) -> datetime | None:
    """When the signal that this fact is about was accepted; None for a fact that shows none (a repeat, an officer's move)."""
    if isinstance(data, ReceiptRow):
        return data.accepted_at if data.outcome in (Outcome.ASSESSED, Outcome.RESEND) else None
    if data.case is None or data.kind is not ActionKind.JOIN:
        return None
    newest = (data.case.model_extra or {}).get("signals") or [{}]
    return datetime.fromisoformat(newest[0]["accepted_at"]) if "accepted_at" in newest[0] else None
