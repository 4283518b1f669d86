"""The map: which stage reads what, writes which facts, and folds which fact streams into its state.

an institution's raw topic -> intake -> its receipts topic
                                  v
gateway ----------------> signals.submitted ──┬> assess -> signals.assessed -> project
   └────────────────────> signals.retractions ┘    │└────> loop.actions ─> track -> cases.changed -> project
                                            ^──────┤ on to the partition where the signal stands │
                                                   ^─────────────────────────────── (verdicts) ──┤
                                                        loop.actions <─ timekeeper (what is due) <┤
                       what follows for other cases: loop.actions <─┬─ deliver <──────────────────┘
                                                                    └> orders.issued ─┬> project <─┬─ orders.receipts <─ gateway
                                        orders.receipts, webhooks.endpoints <─ webhook <┘         └─ webhooks.endpoints <─ gateway
gateway ─> assessments.actions ─> oversee ─> assessments.changed -> project
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.codec import View
from schemas.common import MAX_OFFSET
from schemas.envelope import Origin
from schemas.notifications.delivery import MOST_NOTICES
from schemas.notifications.webhook import Endpoints
from schemas.topics import (
    ACTIONS,
    ASSESSED,
    CHANGED,
    DELIVERED,
    ENDPOINTS,
    ISSUED,
    OVERSEEN,
    OVERSIGHT,
    RETRACTIONS,
    SUBMITTED,
    TOPICS,
    Topic,
    raw,
    receipts,
)
from stream_processors.runtime.log import Record
from stream_processors.state.effects import Effect
from stream_processors.state.folds import (
    Fold,
    fold_assess,
    fold_intake,
    fold_timekeeper,
    fold_track,
    fold_verdict,
    project_assessed,
    project_changed,
)
from stream_processors.state.keys import ASSESS, DELIVER, OVERSEE, PROJECT, TIMEKEEPER, TRACK, WEBHOOK, Namespace, intake
from stream_processors.state.record_views import (
    AssessedRow,
    ChangeRow,
    DueRow,
    IssuedRow,
    MarkRow,
    RawRow,
    ReceiptRow,
    VerdictRow,
)
from stream_processors.views.inbox_fold import project_delivered, project_issued
from stream_processors.views.oversight import OverseenRow, fold_oversee, project_overseen
from stream_processors.views.webhook_endpoints_fold import project_endpoints


def _no_marks(envelope: Any, record: Record, marks: dict[str, int]) -> dict[str, int]:
    return {}


def _assess_marks(envelope: Any, record: Record, marks: dict[str, int]) -> dict[str, int]:
    """`e`: what the facts before this offset ask for is in the log; `h`, `hw`: the next source of each input there (joins.py)."""
    p = record.partition
    emitted = envelope.data.emitted
    if emitted > marks.get(f"e{p}", 0) and emitted == record.offset:
        origin = Origin.parse(str(envelope.origin))
        before = {f"h{tag}{p}": marks.get(f"s{tag}{p}", 0) for tag in ASSESS_INPUTS.values()}
        return {f"e{p}": emitted, **before, f"h{ASSESS_INPUTS[origin.topic]}{p}": origin.offset}
    return {}


def _track_marks(envelope: Any, record: Record, marks: dict[str, int]) -> dict[str, int]:
    """`o<p>:<q>`: the newest join from partition q of the signals, `o<p>:w<q>` of their retractions, so that an echo is known."""
    if envelope.data.origin is None:
        return {}
    source, code = envelope.data.origin.split(":")
    return {f"o{record.partition}:{source}": int(code)}


ASSESS_INPUTS = {SUBMITTED.name: "", RETRACTIONS.name: "w"}
"""The tags of what assess reads."""


@dataclass(frozen=True)
class FactStream:
    """A topic of facts that a stage folds, through a view of its model.

    `tag` names its mark: `f<tag><p>` is the next fact of a partition. `sources` gives the tag of each topic that the facts are
    about: `s<tag><p>` is its next record. Without any, records have no source, and all count: the fold must bear that.

    `numbered`: the facts lie by another key than their sources, so many of one source at most; `o<tag><p>:<q>` is the next that
    comes from partition q. `placed`: the fold wants to know the fact's offset, too.
    """

    topic: Topic
    sources: Mapping[str, str]
    tag: str
    fold: Fold
    view: View
    marks: Callable[[Any, Record, dict[str, int]], dict[str, int]] = _no_marks
    numbered: int = 0
    placed: bool = False

    def fact_mark(self, partition: int) -> str:
        return f"f{self.tag}{partition}"

    def source_mark(self, partition: int, topic: str | None = None) -> str:
        """`topic` of those that the facts are about; None where there is one."""
        return f"s{self.sources[topic or next(iter(self.sources))]}{partition}"

    def source_of(self, text: str | None, partition: int) -> tuple[str, int] | None:
        """The mark that tells echoes of a fact's source apart, and the source's number there; None for a stream without sources.
        ValueError when no fact in this partition has such a source."""
        if not self.sources:
            return None
        origin, step = Origin.parse(text or ""), self.numbered or 1
        known = origin.topic in self.sources and 0 <= origin.offset < MAX_OFFSET // step
        if self.numbered:
            known = known and 0 <= origin.partition < TOPICS[origin.topic].partitions and 0 <= origin.n < step
            mark, number = f"o{self.tag}{partition}:{origin.partition}", origin.offset * step + origin.n
        else:
            known = known and origin.partition == partition
            mark, number = self.source_mark(partition, origin.topic) if known else "", origin.offset
        if not known:
            raise ValueError(f"a fact about {origin} in partition {partition}")
        return mark, number

    def effects(self, envelope: Any, record: Record) -> list[Effect]:
        """What a fact changes."""
        return self.fold(envelope, record.offset) if self.placed else self.fold(envelope)


@dataclass(frozen=True)
class Stage:
    """`reads`: its input; `streams`: what its state is a fold of. Those of them that are inputs, too, are folded as they
    come (agents/folding.py). Without any, its state is its places (agents/deliver.py). `early`: inputs that leave something
    in the state before their facts are recorded, as the claim of a reference."""

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
        """The topics that the state tells of: what it folds, and what it claimed of its inputs; for places alone, what must
        be written again when it is lost."""
        if self.streams:
            return *(stream.topic for stream in self.streams), *self.early
        return tuple(topic for topic in self.writes if topic not in self.reads)

    @property
    def recorded(self) -> FactStream | None:
        """The facts that this stage alone writes: one for each of its records, in the record's partition."""
        return next((stream for stream in self.streams if stream.topic in self.writes), None)

    def place_mark(self, topic: Topic) -> str:
        """The marks, but for the partition, that say which record of an input is the next one."""
        if not self.streams:
            return ("e", "ea", "eb")[self.reads.index(topic)]
        folded = {stream.topic.name: f"f{stream.tag}" for stream in self.streams}
        return folded.get(topic.name) or f"s{self.streams[0].sources[topic.name]}"


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            "assess",
            ASSESS,
            (SUBMITTED, RETRACTIONS, CHANGED),
            (ASSESSED, ACTIONS),
            (
                FactStream(ASSESSED, ASSESS_INPUTS, "", fold_assess, AssessedRow, _assess_marks),
                FactStream(CHANGED, {ACTIONS.name: "c"}, "c", fold_verdict, VerdictRow),
            ),
            (SUBMITTED, RETRACTIONS),
        ),
        Stage(
            "track",
            TRACK,
            (ACTIONS,),
            (CHANGED,),
            (FactStream(CHANGED, {ACTIONS.name: ""}, "", fold_track, ChangeRow, _track_marks),),
        ),
        Stage("deliver", DELIVER, (CHANGED,), (ISSUED, ACTIONS), ()),
        Stage(
            "timekeeper",
            TIMEKEEPER,
            (CHANGED,),
            (ACTIONS,),
            (FactStream(CHANGED, {ACTIONS.name: "c"}, "c", fold_timekeeper, DueRow),),
        ),
        Stage("webhook", WEBHOOK, (ISSUED, DELIVERED, ENDPOINTS), (DELIVERED, ENDPOINTS), ()),
        Stage(
            "oversee",
            OVERSEE,
            (OVERSIGHT,),
            (OVERSEEN,),
            (FactStream(OVERSEEN, {OVERSIGHT.name: ""}, "", fold_oversee, OverseenRow),),
        ),
        Stage(
            "project",
            PROJECT,
            (ASSESSED, CHANGED, ISSUED, DELIVERED, ENDPOINTS, OVERSEEN),
            (),
            (
                FactStream(ASSESSED, {SUBMITTED.name: "a", RETRACTIONS.name: "aw"}, "a", project_assessed, ReceiptRow),
                FactStream(CHANGED, {ACTIONS.name: "c"}, "c", project_changed, ChangeRow),
                FactStream(ISSUED, {CHANGED.name: "i"}, "i", project_issued, IssuedRow, numbered=MOST_NOTICES, placed=True),
                FactStream(DELIVERED, {}, "d", project_delivered, MarkRow),
                FactStream(ENDPOINTS, {}, "h", project_endpoints, Endpoints),
                FactStream(OVERSEEN, {OVERSIGHT.name: "v"}, "v", project_overseen, OverseenRow),
            ),
        ),
    )
}


def intake_stage(institution: str) -> Stage:
    """`intake` for one institution. It appends to `signals.submitted` too, but no place of its own is there."""
    said, told = raw(institution), receipts(institution)
    return Stage("intake", intake(institution), (said,), (told,), (FactStream(told, {said.name: ""}, "", fold_intake, RawRow),))


def all_stages(institutions: Iterable[str] = ()) -> dict[str, Stage]:
    """Every stage with a state, by a name of its own: `intake bank-001`, `assess`, ..."""
    return {**{f"intake {one}": intake_stage(one) for one in institutions}, **STAGES}
