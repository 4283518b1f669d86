"""Retractions: the effect where they were sent, and where the signal is. Pure.

A retraction names its signal only, so it is read in a partition of its own. It raises the signal's floor there. The contribution
of a version is removed in the partition of that version, after it, in the order of its subject. Invariant: the fact names every
removed contribution, so that a projection needs no look-up, and each one once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from schemas.cases.case import Action, ActionKind
from schemas.common import DAY_MS, instant_ms
from schemas.policy import Policy
from schemas.signals.assessed import AssessedSignal, AssessOutcome
from schemas.signals.retraction import FOREVER, Contribution, Retraction
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals import hubs
from stream_processors.domain.signals.evidence_sets import flows, victims
from stream_processors.domain.signals.leads import match_name
from stream_processors.domain.signals.routing import case_id
from stream_processors.domain.signals.trust import sighted

TAKEN_BACK = (AssessOutcome.RETRACTION, AssessOutcome.CORRECTION, AssessOutcome.REVERSAL)


class Known(NamedTuple):
    """The state's knowledge of a retracted signal: the partitions of its versions, and their contributions."""

    partitions: frozenset[int]
    standings: Mapping[int, tuple[Contribution, ...]]


def decide(
    retraction: Retraction, *, known: Known, held: frozenset[str], partition: int, policy: Policy, now: datetime, emitted: int
) -> AssessedSignal:
    """The fact of a retraction read in `partition`. `held` names the versions whose content another signal holds."""
    own = known.standings.get(partition, ())
    undone = tuple(version.model_copy(update={"is_last_of_content": version.name not in held}) for version in own)
    outcome = AssessOutcome.RETRACTION if retraction.below_version == FOREVER else AssessOutcome.CORRECTION
    return AssessedSignal.trusted(
        outcome=AssessOutcome.REVERSAL if retraction.forwarded else outcome,
        emitted=emitted,
        accepted_at=now,
        signal_id=retraction.signal_id,
        institution=retraction.institution,
        below_version=retraction.below_version,
        retracted_contributions=undone,
        forward_partitions=() if retraction.forwarded else tuple(sorted(known.partitions - {partition})),
        policy=policy.label,
        claims_until_ms=instant_ms(now) + policy.retention.claims_days * DAY_MS,
        cases_until_ms=instant_ms(now) + policy.retention.cases_days * DAY_MS,
    )


def standing_of(fact: AssessedSignal) -> Contribution | None:
    """The contribution of a counting signal. Duplicate content adds nothing: it falls with its first signal."""
    if fact.outcome is not AssessOutcome.ASSESSED:
        return None
    key, primary = hubs.case_name(fact), match_name(fact.subjects[0].token, fact.kind)
    return Contribution.trusted(
        signal_id=fact.signal_id,
        version=fact.version,
        institution=fact.institution,
        kind=fact.kind,
        score=fact.score,
        amount_minor=fact.amount_minor,
        currency=fact.currency,
        trust=fact.trust,
        content_id=fact.content_id,
        primary=primary,
        **_left_of(fact),
        queues=tuple(route.queue for route in fact.routes),
        accepted_at=fact.accepted_at,
        known_at=fact.detected_at or fact.occurred_at,
        case_key=None if key == primary else key,
    )


def as_standing(signal: SubmittedSignal) -> Contribution:
    """The contribution to the features that a signal would have made that never counted."""
    return Contribution.trusted(
        signal_id=signal.signal_id,
        version=signal.version,
        institution=signal.institution,
        kind=signal.kind,
        score=0,
        content_id=signal.content_id,
        primary=match_name(signal.primary.token, signal.kind),
        **_left_of(signal),
    )


def _left_of(signal: AssessedSignal | SubmittedSignal) -> dict[str, Any]:
    """Sightings and traces. A signal that repeats another sender's leaves none."""
    if signal.derived_from is not None:
        return {}
    traces = [("v", mark.token, mark.member) for mark in victims(signal)]
    traces += [("f", flow.token, flow.member) for flow in flows(signal)]
    names = (match_name(subject.token, signal.kind) for subject in sighted(signal))
    return {"sighting_tokens": tuple(dict.fromkeys(names)), "traces": tuple(traces)}


def corrects(fact: AssessedSignal) -> bool:
    """Whether the signal retracts older versions of itself."""
    return fact.version > 1 and fact.outcome in (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_CONTENT)


def replaced(fact: AssessedSignal) -> Retraction | None:
    """The retraction of the older versions that a correction requests."""
    if not corrects(fact):
        return None
    return Retraction.trusted(signal_id=fact.signal_id, institution=fact.institution, below_version=fact.version)


def forwards(fact: AssessedSignal) -> Iterable[tuple[int, Retraction]]:
    """The same retraction for every other partition of a version."""
    for partition in fact.forward_partitions:
        yield (
            partition,
            Retraction.trusted(
                signal_id=fact.signal_id, institution=fact.institution, below_version=fact.below_version, forwarded=True
            ),
        )


def retracts(fact: AssessedSignal) -> list[Action]:
    """One action for each case that a version joined. It comes after the join: the owner of the same partition appends both."""
    return [
        Action.trusted(
            action_id=f"retract-{version.name}-{queue}",
            case_id=case_id(queue, version.case_key or version.primary),
            kind=ActionKind.RETRACT,
            queue=queue,
            retracted_contribution=version,
        )
        for version in fact.retracted_contributions
        for queue in version.queues
    ]
