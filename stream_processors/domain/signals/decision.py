"""The decision on one submitted signal: duplicate or not, score with reasons, routes. Pure.

Invariant: the fact contains everything that a projection uses, expiries included; `now` is the source record's LogAppendTime.
"""

from __future__ import annotations

from datetime import datetime

from schemas.common import DAY_MS, instant_ms
from schemas.policy import Policy
from schemas.signals.assessed import AssessedSignal, AssessOutcome
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals import hubs, trust
from stream_processors.domain.signals.deduplication import classify
from stream_processors.domain.signals.evidence_sets import latest_ms
from stream_processors.domain.signals.features import Observed
from stream_processors.domain.signals.leads import is_lead, sender_points
from stream_processors.domain.signals.routing import routes
from stream_processors.domain.signals.scoring import score, severity

_WHY = {
    AssessOutcome.CONFLICT: "the reference was used before for another body",
    AssessOutcome.RETRACTED: "retracted, or replaced by a newer version, before it arrived",
}


def decide(
    signal: SubmittedSignal, *, observed: Observed, source: str, policy: Policy, now: datetime, emitted: int
) -> AssessedSignal:
    """The fact of this source record. `source` is `partition:offset`, `emitted` see AssessedSignal."""
    outcome, of = classify(signal, observed=observed, source=source)
    points, reasons = score(signal, observed.features, policy) if outcome is AssessOutcome.ASSESSED else (0, ())
    own, _ = trust.weigh(signal, sender_points(reasons), (), policy)
    points, reasons = trust.weigh(signal, points, reasons, policy)
    routed_by = own if is_lead(signal.kind) else points
    now_ms, keep = instant_ms(now), policy.retention
    latest = latest_ms(signal, now_ms)
    return AssessedSignal.trusted(
        outcome=outcome,
        emitted=emitted,
        accepted_at=now,
        signal_id=signal.signal_id,
        duplicate_of=of,
        detail=_WHY.get(outcome),
        institution=signal.institution,
        reference_sealed=signal.reference_sealed,
        kind=signal.kind,
        occurred_at=signal.occurred_at,
        region=signal.region,
        amount_minor=signal.amount_minor,
        currency=signal.currency,
        subjects=hubs.marked(signal.subjects, observed.measured),
        narrative_sealed=signal.narrative_sealed,
        content_id=signal.content_id,
        body_id=signal.body_id,
        version=signal.version,
        score=points,
        severity=severity(points, policy) if outcome is AssessOutcome.ASSESSED else "none",
        reasons=reasons,
        sender_severity=severity(own, policy) if outcome is AssessOutcome.ASSESSED and is_lead(signal.kind) else None,
        routes=routes(signal, routed_by, observed.queues, policy, observed.measured) if outcome is AssessOutcome.ASSESSED else (),
        policy=policy.label,
        claims_until_ms=now_ms + keep.claims_days * DAY_MS,
        sightings_until_ms=latest + keep.sightings_days * DAY_MS,
        victims_until_ms=latest + keep.victims_days * DAY_MS,
        cases_until_ms=now_ms + keep.cases_days * DAY_MS,
        typology=signal.typology,
        stage=signal.stage,
        loss_minor=signal.loss_minor,
        loss_currency=signal.loss_currency,
        detected_at=signal.detected_at,
        derived_from=signal.derived_from,
        event=signal.event,
        trust=signal.trust,
        contact_sealed=signal.contact_sealed,
    )


def refuse(why: str, *, policy: Policy, now: datetime, emitted: int) -> AssessedSignal:
    """The fact of an unreadable source record, which also goes to the dead letters."""
    return AssessedSignal.trusted(
        outcome=AssessOutcome.REFUSED, emitted=emitted, accepted_at=now, detail=why, policy=policy.label
    )
