"""The folds: from a fact to the effects on a stage's state. Pure, and from the fact alone (law 3).

`intake` keeps its places (marks) and nothing else; `assess` claims, sightings and case queues; `track` the cases; `project`
receipts, queues, outcomes and counters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from schemas.cases import ActionKind, ActionOutcome, Case, CaseStatus
from schemas.codec import dump
from schemas.envelope import Envelope
from schemas.facts import AssessedSignal, Outcome
from schemas.values import DAY_MS, instant_ms
from stream_processors.domain.traces import FLOWS_KEPT, VICTIM_KEPT, flows, victims
from stream_processors.domain.trust import sighted
from stream_processors.state.effects import Effect, add, claim, count, keep, link, put, put_case, rank, see, stand, unrank
from stream_processors.state.index import member_of
from stream_processors.state.keys import bucket_of
from stream_processors.state.receipts import receipt_json
from stream_processors.state.rows import CaseRow, ChangeRow, RawRow, ReceiptRow, VerdictRow

_RANK_STEP = 10**11

Fold = Callable[[Envelope[Any]], list[Effect]]


def fold_intake(envelope: Envelope[RawRow]) -> list[Effect]:
    return []


def held(signal_id: str, source: str, body_id: str) -> str:
    """The value of a reference's claim: its source and the body it came with."""
    return f"{source} {body_id}"


def case_queue_effects(fact: AssessedSignal) -> list[Effect]:
    """Where the subject has a case from now on: the one part of assess's state that no observation has written before."""
    if not fact.routes:
        return []
    token = fact.subjects[0].token
    return [add(bucket_of(token), f"k:{token}", route.queue, fact.cases_until_ms) for route in fact.routes]


def fold_assess(envelope: Envelope[AssessedSignal]) -> list[Effect]:
    """Claims, sightings, case queues. Repeats, conflicts and refused records change nothing."""
    fact = envelope.data
    if fact.outcome not in (Outcome.ASSESSED, Outcome.RESEND):
        return []
    assert fact.signal_id and fact.content_id and fact.body_id and fact.institution
    assert fact.occurred_at and envelope.origin
    _, partition, offset, _ = envelope.origin.rsplit("/", 3)
    value = held(fact.signal_id, f"{partition}:{offset}", fact.body_id)
    effects = [claim(bucket_of(fact.signal_id), f"r:{fact.signal_id}", value, fact.claims_until_ms)]
    primary = bucket_of(fact.subjects[0].token)
    if fact.outcome is Outcome.ASSESSED:
        effects.append(claim(primary, f"c:{fact.content_id}", fact.signal_id, fact.claims_until_ms))
    if fact.derived_from is None:
        effects += _traces(fact)
    return effects + case_queue_effects(fact)


def _traces(fact: AssessedSignal) -> list[Effect]:
    """Sightings, what befell victims, transfers: what the observation of this signal has added (agents/observing.py)."""
    assert fact.content_id and fact.institution and fact.occurred_at
    occurred, until = instant_ms(fact.occurred_at), fact.sightings_until_ms
    effects = [
        see(bucket_of(subject.token), subject.token, fact.content_id, fact.institution, occurred, until)
        for subject in sighted(fact)
    ]
    if fact.victims_until_ms:  # facts of before there were these sets
        for mark in victims(fact):
            ends = fact.victims_until_ms
            effects.append(keep(bucket_of(mark.token), f"v:{mark.token}", mark.at_ms, mark.member, ends, VICTIM_KEPT))
        for flow in flows(fact):
            effects.append(keep(bucket_of(flow.token), f"f:{flow.token}", flow.at_ms, flow.member, until, FLOWS_KEPT))
    return effects


def fold_verdict(envelope: Envelope[VerdictRow]) -> list[Effect]:
    """For assess: whom a disposal confirmed, until when that counts; another disposal of the case takes it back."""
    verdict, case_id = envelope.data.verdict, envelope.data.case_id
    if verdict is None or case_id is None:
        return []
    found = ((bucket_of(token), f"d:{token}") for token in verdict.tokens)
    until = verdict.confirmed_until_ms
    return [keep(bucket, key, until, case_id, until) if until else unrank(bucket, key, case_id) for bucket, key in found]


def case_effect(case: Case | CaseRow) -> Effect:
    """The case as it is now."""
    return put_case(bucket_of(case.case_id), f"k:{case.case_id}", case.revision, dump(case))


def fold_track(envelope: Envelope[ChangeRow]) -> list[Effect]:
    """The whole case, when the action was applied."""
    case = envelope.data.case
    return [] if case is None else [case_effect(case)]


def project_assessed(envelope: Envelope[ReceiptRow]) -> list[Effect]:
    """A receipt for a signal that counts or re-sends; its indicators' way to its cases; a counter for every outcome."""
    fact = envelope.data
    who = fact.institution or "unknown"
    effects = [count(bucket_of(who), "n", f"{fact.outcome.value}:{who}")]
    if fact.outcome in (Outcome.ASSESSED, Outcome.RESEND) and fact.signal_id:
        bucket = bucket_of(fact.signal_id)
        effects.append(put(bucket, f"r:{fact.signal_id}", receipt_json(fact, envelope.time), fact.cases_until_ms))
    return effects + index_effects(fact)


def index_effects(fact: AssessedSignal | ReceiptRow) -> list[Effect]:
    """Every indicator of a routed signal, victims' too, leads to the cases that it joined."""
    return [
        link(bucket_of(subject.token), f"t:{subject.token}", member_of(route.case_id, route.queue), fact.cases_until_ms)
        for route in fact.routes
        for subject in fact.subjects
    ]


def rank_of(score: int, opened_ms: int) -> int:
    """A queue's order as one exact number: by score, then the oldest first."""
    return score * _RANK_STEP + (_RANK_STEP - 1 - opened_ms // 1000)


def standing_key(case: CaseRow) -> str:
    """The set of the cases of one queue, severity and status; each with the time since when it stands there. "" if disposed."""
    return "" if case.status is CaseStatus.DISPOSED else f"w:{case.status.value}:{case.severity}:{case.queue}"


def project_changed(envelope: Envelope[ChangeRow]) -> list[Effect]:
    """The case and its place in the queue; the outcome of an officer's action for who waits for it."""
    change = envelope.data
    kind = change.kind.value if change.kind else "unreadable"
    effects = [count(bucket_of(kind), "n", f"action_{change.outcome.value}:{kind}")]
    if change.action_id and change.kind is not ActionKind.JOIN:
        bucket = bucket_of(change.action_id)
        if change.outcome is not ActionOutcome.ECHO:
            told = dump(change.model_copy(update={"case": None}))
            effects.append(put(bucket, f"a:{change.action_id}", told, instant_ms(change.at) + DAY_MS))
    case = change.case
    if case is None:
        return effects
    bucket = bucket_of(case.case_id)
    effects.append(case_effect(case))
    where = standing_key(case)
    effects.append(stand(bucket, f"k:{case.case_id}", case.revision, where, instant_ms(change.at)))
    if where:
        effects.append(add(bucket, "standings", where))
    if case.status is CaseStatus.DISPOSED:
        effects.append(unrank(bucket, f"q:{case.queue}", case.case_id))
    else:
        effects.append(rank(bucket, f"q:{case.queue}", rank_of(case.score, instant_ms(case.opened_at)), case.case_id))
        effects.append(add(bucket, "queues", case.queue))
    return effects
