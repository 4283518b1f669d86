"""The folds: from a fact to the effects on a stage's state. Pure, and from the fact alone (law 3).

`intake` keeps its places (marks) and nothing else; `assess` claims, sightings, floors, what signals added, and case queues;
`track` the cases; `timekeeper` their due moments; `project` receipts, queues, outcomes,
counters and the scorecards' cells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from schemas.cases.case import ActionKind, ActionOutcome, Case, CaseStatus, Used
from schemas.codec import RowEnvelope, dump
from schemas.common import DAY_MS, instant_ms
from schemas.oversight.scorecards import Counted
from schemas.signals.assessed import AssessedSignal, Outcome
from schemas.signals.retraction import name_of
from stream_processors.domain.deadlines.due_index import moments
from stream_processors.domain.scorecards import change_leaves, signal_leaves
from stream_processors.domain.signals import hubs
from stream_processors.domain.signals.evidence_sets import FLOWS_KEPT, VICTIM_KEPT, flows, victims
from stream_processors.domain.signals.leads import match_name
from stream_processors.domain.signals.retraction import TAKEN_BACK, corrects, standing_of
from stream_processors.state import compression as packing
from stream_processors.state.case_refs import MOVED, brief, member_of
from stream_processors.state.contributions import pack
from stream_processors.state.deadline_index import settled
from stream_processors.state.effects import (
    Effect,
    add,
    bury,
    claim,
    count,
    drop,
    enter,
    keep,
    link,
    put,
    put_case,
    put_newer,
    raise_floor,
    rank,
    release,
    see,
    sighting,
    stand,
    take,
    unrank,
    unsee,
)
from stream_processors.state.keys import bucket_of
from stream_processors.state.record_views import (
    AssessedRow,
    CaseRow,
    ChangeRow,
    DueRow,
    RawRow,
    ReceiptRow,
    UsedRow,
    VerdictRow,
)
from stream_processors.views.receipts import receipt_json, withdrawal_json
from stream_processors.views.scorecards import tallies

_RANK_STEP = 10**11
_NOBODY_WAITS = (ActionKind.JOIN, ActionKind.RETRACT, ActionKind.ABSORB, ActionKind.CLOCK_DUE)
"""Requests of stages: their outcomes are in the log, and nobody asks for them by name."""
OUT_OF_QUEUE = (CaseStatus.DISPOSED, CaseStatus.RETRACTED, CaseStatus.CLOSED, CaseStatus.MERGED)

Fold = Callable[..., list[Effect]]
"""From a RowEnvelope (schemas/codec.py) of the stream's view; where the stream is `placed`, from the fact's offset, too."""


def fold_intake(envelope: RowEnvelope[RawRow]) -> list[Effect]:
    return []


def held(source: str, body_id: str) -> str:
    """The value of a reference's claim: its source and the body it came with."""
    return f"{source} {body_id}"


def added_effects(fact: AssessedSignal, partition: int) -> list[Effect]:
    """What a signal added, and where its subject has a case from now on: the part of assess's state that no observation has
    written before."""
    standing = standing_of(fact)
    if standing is None:
        return []
    until = fact.cases_until_ms  # as long as it is a signal of anything: what takes it back must find what it added, counts too
    effects = [put(bucket_of(standing.signal_id), f"j:{standing.name}", pack(partition, standing), until)]
    if hubs.case_key(fact) == fact.signal_id:  # a case of its own, which nothing else joins
        return effects
    key = hubs.case_name(fact)
    return effects + [enter(bucket_of(key), f"k:{key}", route.queue, fact.cases_until_ms) for route in fact.routes]


def taken_back_effects(fact: AssessedSignal) -> list[Effect]:
    """The floor of a signal, and what it takes away of what its versions had added."""
    assert fact.signal_id
    bucket = bucket_of(fact.signal_id)
    effects = [raise_floor(bucket, f"t:{fact.signal_id}", fact.below, fact.claims_until_ms)]
    for one in fact.undone:
        effects.append(drop(bucket, f"j:{one.name}"))
        if one.freed:
            effects.append(release(bucket_of(one.primary), f"c:{one.content_id}", one.name))
            for token in one.sighted:
                beside = hubs.beside(token, one.primary)
                effects.append(unsee(bucket_of(token), token, one.content_id, one.institution, beside))
            until = fact.cases_until_ms
            effects += [bury(bucket_of(token), f"{kind}:{token}", member, until) for kind, token, member in one.traces]
    return effects


def fold_assess(envelope: RowEnvelope[AssessedRow]) -> list[Effect]:
    """Claims, sightings, what a signal added, case queues, and what was taken back. Repeats, conflicts and refused records change
    nothing; a dead signal holds its reference."""
    fact = cast("AssessedSignal", envelope.data)  # its twin, as far as it is read here
    if fact.outcome in TAKEN_BACK:
        return taken_back_effects(fact)
    if fact.outcome not in (Outcome.ASSESSED, Outcome.RESEND, Outcome.RETRACTED):
        return []
    assert fact.signal_id and fact.content_id and fact.body_id and fact.institution
    assert fact.occurred_at and envelope.origin
    _, partition, offset, _ = envelope.origin.rsplit("/", 3)
    value, name = held(f"{partition}:{offset}", fact.body_id), name_of(fact.signal_id, fact.version)
    own = bucket_of(fact.signal_id)
    effects = [claim(own, f"r:{name}", value, fact.claims_until_ms)]
    if fact.outcome is Outcome.RETRACTED:
        return effects
    if corrects(fact):
        effects.append(raise_floor(own, f"t:{fact.signal_id}", fact.version, fact.claims_until_ms))
    if fact.outcome is Outcome.ASSESSED:
        primary = match_name(fact.subjects[0].token, fact.kind)
        effects.append(take(bucket_of(primary), f"c:{fact.content_id}", name, fact.claims_until_ms))
    if fact.derived_from is None:
        effects += _traces(fact)
    return effects + added_effects(fact, int(partition))


def _traces(fact: AssessedSignal) -> list[Effect]:
    """Sightings, what befell victims, transfers: what the observation of this signal has added (agents/observing.py)."""
    assert fact.content_id and fact.institution and fact.occurred_at
    occurred, until = instant_ms(fact.occurred_at), fact.sightings_until_ms
    effects = [
        see(bucket_of(token), token, sighting(fact.content_id, beside), fact.institution, occurred, until)
        for token, beside in hubs.sightings(fact)
    ]
    if fact.victims_until_ms:  # facts of before there were these sets
        for mark in victims(fact):
            ends = fact.victims_until_ms
            effects.append(keep(bucket_of(mark.token), f"v:{mark.token}", mark.at_ms, mark.member, ends, VICTIM_KEPT))
        for flow in flows(fact):
            effects.append(keep(bucket_of(flow.token), f"f:{flow.token}", flow.at_ms, flow.member, until, FLOWS_KEPT))
    return effects


def fold_verdict(envelope: RowEnvelope[VerdictRow]) -> list[Effect]:
    """For assess: whom a disposal confirmed, until when that counts; another disposal of the case takes it back."""
    verdict, case_id = envelope.data.verdict, envelope.data.case_id
    if verdict is None or case_id is None:
        return []
    found = ((bucket_of(token), f"d:{token}") for token in verdict.tokens)
    until = verdict.confirmed_until_ms
    return [keep(bucket, key, until, case_id, until) if until else unrank(bucket, key, case_id) for bucket, key in found]


def case_effect(case: Case) -> Effect:
    """The case as it is now."""
    return _case_effect(case, dump(case))


def _case_effect(case: Case | CaseRow, raw: bytes) -> Effect:
    return put_case(bucket_of(case.case_id), f"k:{case.case_id}", case.revision, packing.pack(packing.Form.CASE, raw))


def fold_track(envelope: RowEnvelope[ChangeRow]) -> list[Effect]:
    """The whole case, when the action was applied, and how often its orders count against caps."""
    change = envelope.data
    if change.case is None:
        return []
    return [_case_effect(change.case, change.case_json), *used_effects(change.case.case_id, change.used)]


def used_effects(case_id: str, used: Iterable[Used | UsedRow]) -> list[Effect]:
    """What the case's orders count against the caps of accounts. A case's changes are folded in their order: the last stays."""
    effects = []
    for one in used:
        bucket, key = caps_key(one.kind, one.recipient, one.token)
        member = brief(case_id)
        effects.append(rank(bucket, key, one.times, member) if one.times else unrank(bucket, key, member))
    return effects


def caps_key(kind: str, recipient: str, token: str) -> tuple[int, str]:
    """Bucket and key of the cases that ordered something about an account; each with how often."""
    return bucket_of(token), f"u:{kind}:{recipient}:{token}"


def fold_timekeeper(envelope: RowEnvelope[DueRow]) -> list[Effect]:
    """What is still to come of the case's clocks, in place of what was."""
    case = envelope.data.case
    return [] if case is None else [settled(case.case_id, case.revision, moments(case.clocks))]


def project_assessed(envelope: RowEnvelope[ReceiptRow]) -> list[Effect]:
    """A receipt for a signal that counts, re-sends or came dead; its newest retraction; its indicators' way to its cases; a
    counter for every outcome; what it adds to the scorecards."""
    fact = envelope.data
    who = fact.institution or "unknown"
    effects = [count(bucket_of(who), "n", f"{fact.outcome.value}:{who}")]
    effects += tallies(signal_leaves(cast("AssessedSignal", fact)))
    if fact.signal_id is None:
        return effects
    bucket, until = bucket_of(fact.signal_id), fact.cases_until_ms
    if fact.outcome in (Outcome.ASSESSED, Outcome.RESEND, Outcome.RETRACTED):
        name = name_of(fact.signal_id, fact.version)
        effects.append(put(bucket, f"r:{name}", receipt_json(fact, envelope.time), until))
    if fact.outcome in (Outcome.RETRACTION, Outcome.CORRECTION):
        effects.append(put_newer(bucket, f"x:{fact.signal_id}", fact.below, withdrawal_json(fact), until))
    return effects + index_effects(fact)


def index_effects(fact: ReceiptRow) -> list[Effect]:
    """Every indicator of a routed signal, victims' too, leads to the cases that it joined. So it does when the signal is
    taken back: others may have named it, too."""
    return [
        link(bucket_of(subject.token), f"t:{subject.token}", member_of(route.case_id, route.queue), fact.cases_until_ms)
        for route in fact.routes
        for subject in fact.subjects
    ]


def rank_of(score: int, opened_ms: int) -> int:
    """A queue's order as one exact number: by score, then the oldest first."""
    return score * _RANK_STEP + (_RANK_STEP - 1 - opened_ms // 1000)


def standing_key(case: CaseRow) -> str:
    """The set of the cases of one queue, severity and status; each with the time since when it stands there. "" out of it."""
    return "" if case.status in OUT_OF_QUEUE else f"w:{case.status.value}:{case.severity}:{case.queue}"


def project_changed(envelope: RowEnvelope[ChangeRow]) -> list[Effect]:
    """The case and its place in the queue; the outcome of an officer's action for who waits for it; what it changed of the
    scorecards."""
    change = envelope.data
    kind = change.kind.value if change.kind else "unreadable"
    effects = [count(bucket_of(kind), "n", f"action_{change.outcome.value}:{kind}")]
    if change.counted is not None:
        effects += tallies(change_leaves(cast("Counted", change.counted)))
    if change.action_id and change.kind not in _NOBODY_WAITS:
        bucket = bucket_of(change.action_id)
        # Of an action that goes through several cases only the last one tells: their facts are folded in no certain order.
        if change.outcome is not ActionOutcome.ECHO and not change.sent_on:
            effects.append(put(bucket, f"a:{change.action_id}", change.answer(), instant_ms(change.at) + DAY_MS))
    case = change.case
    if case is None:
        return effects
    bucket, member = bucket_of(case.case_id), brief(case.case_id)
    where, packed = standing_key(case), packing.pack(packing.Form.CASE, change.case_json)
    effects.append(stand(bucket, f"k:{case.case_id}", case.revision, packed, where, instant_ms(change.at), member))
    if where:
        effects.append(add(bucket, "standings", where))
    if case.transfers:
        effects.append(add(bucket, MOVED, member))
    if change.left is not None:
        effects.append(unrank(bucket, f"q:{change.left}", member))
    if case.status in OUT_OF_QUEUE:
        effects.append(unrank(bucket, f"q:{case.queue}", member))
    else:
        effects.append(rank(bucket, f"q:{case.queue}", rank_of(case.score, instant_ms(case.opened_at)), member))
        effects.append(add(bucket, "queues", case.queue))
    return effects
