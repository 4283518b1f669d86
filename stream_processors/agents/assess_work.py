"""One submitted signal on its way through a poll of assess, with everything known about it so far."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime

from schemas.codec import CodecError, decode
from schemas.common import from_ms, instant_ms
from schemas.signals.retraction import Contribution
from schemas.signals.submission import SubmittedSignal
from schemas.topics import SUBMITTED
from stream_processors.agents.feature_queries import Seen
from stream_processors.agents.retract import Leftover
from stream_processors.domain.signals.deduplication import holds_claim
from stream_processors.domain.signals.features import Observed
from stream_processors.domain.signals.first_decision import FirstDecision
from stream_processors.domain.signals.retraction import as_standing
from stream_processors.folds.assess import held
from stream_processors.runtime.log import Record
from stream_processors.state.effects import Arg
from stream_processors.state.shared_hashes import drawer_of, short


@dataclass(slots=True)
class Work:
    """One source record on its way through a step."""

    record: Record
    now: datetime
    source: str
    signal: SubmittedSignal | None = None
    why: str = ""
    claimed: str = ""
    answers: Seen = field(default_factory=Seen)
    floor: int = 0
    replaces: list[Contribution] = field(default_factory=list)
    first: FirstDecision | None = None
    is_late: bool = False

    def abide(self, first: FirstDecision | None) -> None:
        """Decides again as the log shows the first decision: retracted if all joins were retracted, alive if a join remains. If
        it was retracted in between, the retraction must be emitted again (`is_late`)."""
        self.first = first
        if first is None or self.signal is None:
            return
        if first.is_withdrawn:
            self.floor = max(self.floor, self.signal.version + 1)
        elif first.joins:
            self.is_late, self.floor = self.dead, 0

    def observed(self, signal: SubmittedSignal, measured: frozenset[str], queues: Set[str]) -> Observed:
        """`queues`: those in which the signal's leading suspect has a case."""
        by, _, body = self.claimed.partition(" ")
        features = self.answers.features(signal, measured, self.record.timestamp_ms - instant_ms(signal.occurred_at))
        content_of = None if self.first is not None and self.first.joins else self.answers.content_of or None
        return Observed(by, body, content_of, features, frozenset(queues), self.floor, measured)

    @property
    def holds(self) -> bool:
        """Whether this record holds the claim of its reference."""
        return self.signal is not None and holds_claim(self.claimed.partition(" ")[0], self.source)

    @property
    def dead(self) -> bool:
        return self.signal is not None and self.signal.version < self.floor


def claim_of(work: Work, signal: SubmittedSignal, keep_ms: int) -> tuple[Arg, ...]:
    name, until = signal.signal_id, work.record.timestamp_ms + keep_ms
    return short(name), drawer_of(name), signal.version, held(work.source, signal.body_id), until


def mark_older_versions(works: Sequence[Work]) -> None:
    """Retracts an older version at once if its correction is in the same poll."""
    newer: dict[str, int] = {}
    for work in works:
        if (signal := work.signal) is not None and signal.version > 1 and work.holds:
            newer[signal.signal_id] = max(signal.version, newer.get(signal.signal_id, 0))
    for work in works if newer else ():
        if work.signal is not None:
            work.floor = max(work.floor, newer.get(work.signal.signal_id, 0))


def leftovers(works: Sequence[Work], keep_ms: int) -> list[Leftover]:
    """Evidence to remove before this poll counts: for a retracted signal, the contribution from before its process was killed
    (its content is released, too); for a correction, the sightings of the replaced version, which are removed for good in their
    own partition."""
    remains = []
    for work in works:
        if (signal := work.signal) is not None and work.holds:
            replaced = [contribution for contribution in work.replaces if contribution.content_id != signal.content_id]
            until = work.record.timestamp_ms + keep_ms
            remains += [(as_standing(signal), 0)] if work.dead else [(contribution, until) for contribution in replaced]
    return remains


def read_work(record: Record) -> Work:
    now, source = from_ms(record.timestamp_ms), f"{record.partition}:{record.offset}"
    try:
        signal: SubmittedSignal = decode(SUBMITTED, record.value).data
        if record.key != signal.primary.token.encode():
            raise CodecError("the key of the record is not the primary subject of the signal")
        return Work(record, now, source, signal)
    except CodecError as error:
        return Work(record, now, source, None, str(error))
