"""The decision of `assess` on one source record: a submitted signal or a retraction. One source, one fact.

Invariant: a projection needs nothing else: the fact contains every time, name and expiry that it uses.
"""

from __future__ import annotations

from enum import StrEnum

from schemas.common import Instant, Stored
from schemas.signals.events import EventFact
from schemas.signals.retraction import Contribution
from schemas.signals.submission import ScamStage, SignalKind, Subject, Trust


class AssessOutcome(StrEnum):
    """ASSESSED counts. REPEAT: the same reference of the same sender again. RESEND: the same content under another reference.
    CONFLICT: the same reference with another body. REFUSED: an unreadable record. RETRACTED: retracted before it arrived, or a
    version that a newer one replaced.

    Of retractions: RETRACTION retracts a signal, CORRECTION its older versions; REVERSAL is either of them in the signal's
    partition.
    """

    ASSESSED = "assessed"
    DUPLICATE_REFERENCE = "duplicate_reference"
    DUPLICATE_CONTENT = "duplicate_content"
    CONFLICT = "conflict"
    REFUSED = "refused"
    RETRACTED = "retracted"
    RETRACTION = "retraction"
    CORRECTION = "correction"
    REVERSAL = "reversal"


class Reason(Stored):
    """The points of one rule and their evidence, for example `velocity, 20, {"sightings": 5}`."""

    rule: str
    points: int
    evidence: dict[str, int | str] = {}


class Route(Stored):
    """The route of the signal: the agency's queue and the case it joins there."""

    queue: str
    case_id: str


class AssessedSignal(Stored):
    """The value of `signals.assessed.v1`.

    `accepted_at` is the source record's LogAppendTime, the `now` of the decision. `duplicate_of` is the signal that this one
    repeats. `sender_severity`: of a lead of organized crime what its sender is told, from the reasons that the sender may read.
    The `_until_ms` are when the state that this fact makes ends (milliseconds since 1970). `emitted` is the offset of this topic
    up to which the joins of earlier facts were appended before this fact was. Of a retraction: the versions below `below_version`
    are dead, `retracted_contributions` is what they had added in this partition, `forward_partitions` are the partitions where
    other versions stand. `reference_sealed` is as the submitted signal has it.
    """

    outcome: AssessOutcome
    emitted: int
    accepted_at: Instant
    signal_id: str | None = None
    duplicate_of: str | None = None
    detail: str | None = None
    institution: str | None = None
    kind: SignalKind | None = None
    occurred_at: Instant | None = None
    region: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    subjects: tuple[Subject, ...] = ()
    narrative_sealed: str | None = None
    content_id: str | None = None
    body_id: str | None = None
    score: int = 0
    severity: str = "none"
    sender_severity: str | None = None
    reasons: tuple[Reason, ...] = ()
    routes: tuple[Route, ...] = ()
    policy: str = ""
    claims_until_ms: int = 0
    sightings_until_ms: int = 0
    victims_until_ms: int = 0
    cases_until_ms: int = 0
    typology: str | None = None
    stage: ScamStage | None = None
    loss_minor: int | None = None
    loss_currency: str | None = None
    detected_at: Instant | None = None
    derived_from: str | None = None
    event: EventFact | None = None
    trust: Trust | None = None
    contact_sealed: str | None = None
    version: int = 1
    below_version: int = 0
    retracted_contributions: tuple[Contribution, ...] = ()
    forward_partitions: tuple[int, ...] = ()
    reference_sealed: str | None = None


class DeadLetter(Stored):
    """The value of `deadletter.v1`: the record, its source and the reason; its bytes, sealed."""

    stage: str
    reason: str
    topic: str
    partition: int
    offset: int
    key_sealed: str | None = None
    value_sealed: str
    truncated: bool = False
