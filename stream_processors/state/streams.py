"""Types of the table in topology.py: a stage, and a stream of facts that it projects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.codec import View
from schemas.common import MAX_OFFSET
from schemas.envelope import Origin
from schemas.topics import TOPICS, Topic
from stream_processors.runtime.log import Record
from stream_processors.state.effects import Effect
from stream_processors.state.keys import Namespace
from stream_processors.state.marks import PLACES, Mark, Marks, MarkStream, fact_mark, origin_mark, source_mark

Fold = Callable[..., list[Effect]]
"""Effects of a RowEnvelope (schemas/codec.py) of the stream's view; of a `placed` stream also from the fact's offset."""


def fold_nothing(envelope: Any) -> list[Effect]:
    """For a stream that changes nothing but watermarks."""
    return []


def _no_marks(envelope: Any, record: Record, marks: Marks) -> Marks:
    return {}


@dataclass(frozen=True)
class FactStream:
    """A topic of facts that a stage projects, through a view of its model.

    `stream` names its FACT watermark. `sources` gives the stream of each source topic of the facts, for its SOURCE watermark.
    Without any, records have no source, and all count: the projection must tolerate that.

    `numbered`: the facts have another key than their sources, so there may be many for one source; an ORIGIN watermark counts
    those of a partition of the source topic. `placed`: the projection needs the fact's offset, too.
    """

    topic: Topic
    sources: Mapping[str, MarkStream]
    stream: MarkStream
    fold: Fold
    view: View
    marks: Callable[[Any, Record, Marks], Marks] = _no_marks
    numbered: int = 0
    placed: bool = False

    def fact_mark(self, partition: int) -> Mark:
        return fact_mark(partition, self.stream)

    def source_mark(self, partition: int, topic: str | None = None) -> Mark:
        """`topic` of the sources of the facts; None if there is one."""
        return source_mark(partition, self.sources[topic or next(iter(self.sources))])

    def source_of(self, text: str | None, partition: int) -> tuple[Mark, int] | None:
        """The watermark that identifies redeliveries of a fact's source, and the source's number there; None for a stream without
        sources. ValueError if no fact in this partition has such a source."""
        if not self.sources:
            return None
        origin, step = Origin.parse(text or ""), self.numbered or 1
        is_possible = origin.topic in self.sources and 0 <= origin.offset < MAX_OFFSET // step
        if self.numbered:
            is_possible = is_possible and 0 <= origin.partition < TOPICS[origin.topic].partitions and 0 <= origin.n < step
        else:
            is_possible = is_possible and origin.partition == partition
        if not is_possible:
            raise ValueError(f"partition {partition} contains a fact about {origin}")
        if self.numbered:
            return origin_mark(partition, origin.partition, stream=self.stream), origin.offset * step + origin.n
        return self.source_mark(partition, origin.topic), origin.offset

    def effects(self, envelope: Any, record: Record) -> list[Effect]:
        """The changes of a fact."""
        return self.fold(envelope, record.offset) if self.placed else self.fold(envelope)


@dataclass(frozen=True)
class Stage:
    """`reads`: its input; `streams`: the streams that its state projects. Those that are also inputs are projected as they arrive
    (agents/projecting.py). Without any, its state consists of positions (agents/deliver.py). `early`: inputs that change the
    state before their facts are recorded, such as the claim of a reference."""

    name: str
    namespace: Namespace
    reads: tuple[Topic, ...]
    writes: tuple[Topic, ...]
    streams: tuple[FactStream, ...]
    early: tuple[Topic, ...] = ()

    @property
    def topics(self) -> tuple[Topic, ...]:
        """All topics whose identity the state depends on."""
        return tuple(dict.fromkeys((*self.reads, *self.writes)))

    @property
    def made_of(self) -> tuple[Topic, ...]:
        """The topics behind the state: the projected ones, and the inputs it claimed; for positions alone, the topics to write
        again after a loss."""
        if self.streams:
            return *(stream.topic for stream in self.streams), *self.early
        return tuple(topic for topic in self.writes if topic not in self.reads)

    @property
    def recorded(self) -> FactStream | None:
        """The facts that only this stage writes: one for each of its records, in the record's partition."""
        return next((stream for stream in self.streams if stream.topic in self.writes), None)

    def place_mark(self, topic: Topic, partition: int = 0) -> Mark:
        """The watermark of the next record of an input."""
        if not self.streams:
            return Mark(PLACES[self.reads.index(topic)], partition)
        folded = next((stream for stream in self.streams if stream.topic.name == topic.name), None)
        return self.streams[0].source_mark(partition, topic.name) if folded is None else folded.fact_mark(partition)
