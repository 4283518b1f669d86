"""Effects of signal facts and verdicts on the state of `assess`: claims, sightings, floors, contributions, case queues."""

from __future__ import annotations

from typing import cast

from schemas.codec import RowEnvelope
from schemas.common import instant_ms
from schemas.signals.assessed import AssessedSignal, AssessOutcome
from schemas.signals.retraction import name_of
from stream_processors.domain.signals import hubs
from stream_processors.domain.signals.evidence_sets import FLOWS_KEPT, VICTIM_KEPT, flows, victims
from stream_processors.domain.signals.leads import match_name
from stream_processors.domain.signals.retraction import TAKEN_BACK, corrects, standing_of
from stream_processors.state.contributions import pack
from stream_processors.state.effects import (
    Effect,
    bury,
    claim,
    drop,
    enter,
    keep,
    put,
    raise_floor,
    release,
    see,
    sighting,
    take,
    unrank,
    unsee,
)
from stream_processors.state.keys import AssessKey, bucket_of
from stream_processors.state.record_views import AssessedRow, VerdictRow


def held(source: str, body_id: str) -> str:
    """The value of a reference's claim: its source and the body it came with."""
    return f"{source} {body_id}"


def added_effects(fact: AssessedSignal, partition: int) -> list[Effect]:
    """A signal's contribution, and the case of its subject from now on: the part of assess's state that no observation wrote
    before."""
    contribution = standing_of(fact)
    if contribution is None:
        return []
    until = fact.cases_until_ms  # as long as it is a signal of anything: what takes it back must find what it added, counts too
    effects = [
        put(
            AssessKey.CONTRIBUTIONS.key(contribution.name, bucket_of(contribution.signal_id)),
            pack(partition, contribution),
            until,
        )
    ]
    if hubs.case_key(fact) == fact.signal_id:  # a case of its own, which nothing else joins
        return effects
    key = hubs.case_name(fact)
    return effects + [enter(AssessKey.CASE_QUEUES.key(key), route.queue, fact.cases_until_ms) for route in fact.routes]


def taken_back_effects(fact: AssessedSignal) -> list[Effect]:
    """The floor of a signal, and the removed contributions of its versions."""
    assert fact.signal_id
    bucket = bucket_of(fact.signal_id)
    effects = [raise_floor(AssessKey.FLOORS.key(fact.signal_id), fact.below_version, fact.claims_until_ms)]
    for contribution in fact.retracted_contributions:
        effects.append(drop(AssessKey.CONTRIBUTIONS.key(contribution.name, bucket)))
        if contribution.is_last_of_content:
            effects.append(
                release(AssessKey.CONTENTS.key(contribution.content_id, bucket_of(contribution.primary)), contribution.name)
            )
            for token in contribution.sighting_tokens:
                beside = hubs.beside(token, contribution.primary)
                effects.append(unsee(AssessKey.SIGHTINGS.key(token), contribution.content_id, contribution.institution, beside))
            until = fact.cases_until_ms
            effects += [bury(AssessKey(kind).key(token), member, until) for kind, token, member in contribution.traces]
    return effects


def fold_assess(envelope: RowEnvelope[AssessedRow]) -> list[Effect]:
    """Claims, sightings, contributions, case queues, and retractions. Duplicates, conflicts and refused records change nothing; a
    retracted signal keeps its reference."""
    fact = cast("AssessedSignal", envelope.data)  # its twin, as far as it is read here
    if fact.outcome in TAKEN_BACK:
        return taken_back_effects(fact)
    if fact.outcome not in (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_CONTENT, AssessOutcome.RETRACTED):
        return []
    assert fact.signal_id and fact.content_id and fact.body_id and fact.institution
    assert fact.occurred_at and envelope.origin
    _, partition, offset, _ = envelope.origin.rsplit("/", 3)
    value, name = held(f"{partition}:{offset}", fact.body_id), name_of(fact.signal_id, fact.version)
    own = bucket_of(fact.signal_id)
    effects = [claim(AssessKey.REFERENCES.key(name, own), value, fact.claims_until_ms)]
    if fact.outcome is AssessOutcome.RETRACTED:
        return effects
    if corrects(fact):
        effects.append(raise_floor(AssessKey.FLOORS.key(fact.signal_id), fact.version, fact.claims_until_ms))
    if fact.outcome is AssessOutcome.ASSESSED:
        primary = match_name(fact.subjects[0].token, fact.kind)
        effects.append(take(AssessKey.CONTENTS.key(fact.content_id, bucket_of(primary)), name, fact.claims_until_ms))
    if fact.derived_from is None:
        effects += _keep_traces(fact)
    return effects + added_effects(fact, int(partition))


def _keep_traces(fact: AssessedSignal) -> list[Effect]:
    """Sightings, events of victims, transfers: the additions of this signal's observation (agents/feature_queries.py)."""
    assert fact.content_id and fact.institution and fact.occurred_at
    occurred, until = instant_ms(fact.occurred_at), fact.sightings_until_ms
    effects = [
        see(AssessKey.SIGHTINGS.key(token), sighting(fact.content_id, beside), fact.institution, occurred, until)
        for token, beside in hubs.sightings(fact)
    ]
    for mark in victims(fact):
        ends = fact.victims_until_ms
        effects.append(keep(AssessKey.VICTIMS.key(mark.token), mark.at_ms, mark.member, ends, VICTIM_KEPT))
    for flow in flows(fact):
        effects.append(keep(AssessKey.TRANSFERS.key(flow.token), flow.at_ms, flow.member, until, FLOWS_KEPT))
    return effects


def fold_verdict(envelope: RowEnvelope[VerdictRow]) -> list[Effect]:
    """For assess: the subjects that a disposal confirmed, and until when; another disposal of the case removes them."""
    verdict, case_id = envelope.data.verdict, envelope.data.case_id
    if verdict is None or case_id is None:
        return []
    keys, until = map(AssessKey.CONFIRMED.key, verdict.tokens), verdict.confirmed_until_ms
    return [keep(key, until, case_id, until) if until else unrank(key, case_id) for key in keys]
