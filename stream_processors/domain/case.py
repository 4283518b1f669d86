"""What an action does to a case: a transition table, guards and effects. Pure.

State x action -> move. A claim whose lease has run out is `lapsed`: its holder may go on, anybody else may take it.
Invariant: an applied action gives the next revision and nothing else does; a refused one changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from schemas.cases import (
    Action,
    ActionKind,
    ActionOutcome,
    Case,
    CaseChange,
    CaseStatus,
    Disposition,
    JoinedSignal,
    Tally,
    Verdict,
)
from schemas.policy import Policy
from schemas.retractions import Standing
from schemas.values import DAY_MS, instant_ms
from stream_processors.domain import tally, trust
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.scoring import severity

APPLIED_KEPT = 64
KEPT_CHARACTERS = 400_000
VERDICT_TOKENS = 64
"""Subjects that one disposal says something of."""
_TOOLS = frozenset({"phone", "sim", "imsi", "imei", "device", "handle", "app", "url", "domain", "ip"})
NONE, LAPSED = "none", "lapsed"


Guard = Callable[[Action, Case], Refusal | None]
Effect = Callable[[Action, Case, Policy, datetime], dict[str, Any]]


def _holder_only(action: Action, case: Case) -> Refusal | None:
    if case.holder != action.officer:
        return Refusal("not-holder", f"only the holder of the case may do this; {_held(case)}")
    return None


def _not_held_by_other(action: Action, case: Case) -> Refusal | None:
    if case.holder != action.officer:
        return Refusal("held-by-other", f"another officer works on this case; {_held(case)}")
    return None


def _held(case: Case) -> str:
    until = f" until {case.lease_until:%Y-%m-%dT%H:%M:%SZ}" if case.lease_until else ""
    return f"it is held by {case.holder}{until}" if case.holder else "nobody holds it now"


def _free(action: Action, case: Case) -> Refusal | None:
    return None


def _lease(action: Action, policy: Policy, now: datetime) -> datetime:
    wanted = policy.leases.default_s if action.lease_s is None else action.lease_s
    return now + timedelta(seconds=min(wanted, policy.leases.longest_s))


def _take(action: Action, case: Case, policy: Policy, now: datetime) -> dict[str, Any]:
    return {"status": CaseStatus.CLAIMED, "holder": action.officer, "lease_until": _lease(action, policy, now)}


def _hand_over(action: Action, case: Case, policy: Policy, now: datetime) -> dict[str, Any]:
    return {"status": CaseStatus.CLAIMED, "holder": action.to, "lease_until": _lease(action, policy, now)}


def _release(action: Action, case: Case, policy: Policy, now: datetime) -> dict[str, Any]:
    return {"status": CaseStatus.OPEN, "holder": None, "lease_until": None}


def _dispose(action: Action, case: Case, policy: Policy, now: datetime) -> dict[str, Any]:
    return {
        "status": CaseStatus.DISPOSED,
        "holder": None,
        "lease_until": None,
        "disposition": action.disposition,
        "disposed_by": action.officer,
        "disposed_at": now,
        "note_sealed": action.note_sealed,
    }


class Move(NamedTuple):
    guard: Guard
    effect: Effect


TABLE: dict[tuple[str, ActionKind], Move] = {
    (CaseStatus.OPEN, ActionKind.CLAIM): Move(_free, _take),
    (LAPSED, ActionKind.CLAIM): Move(_free, _take),
    (CaseStatus.CLAIMED, ActionKind.CLAIM): Move(_not_held_by_other, _take),
    (CaseStatus.CLAIMED, ActionKind.RENEW): Move(_holder_only, _take),
    (LAPSED, ActionKind.RENEW): Move(_holder_only, _take),
    (CaseStatus.CLAIMED, ActionKind.RELEASE): Move(_holder_only, _release),
    (LAPSED, ActionKind.RELEASE): Move(_holder_only, _release),
    (CaseStatus.CLAIMED, ActionKind.HAND_OVER): Move(_holder_only, _hand_over),
    (LAPSED, ActionKind.HAND_OVER): Move(_holder_only, _hand_over),
    (CaseStatus.CLAIMED, ActionKind.DISPOSE): Move(_holder_only, _dispose),
    (LAPSED, ActionKind.DISPOSE): Move(_holder_only, _dispose),
}
"""Officers' moves. A join is open in every state: a disposed case, or one whose signals were all taken back, is opened again by
it. So is the retraction of a signal: it leaves a disposed case disposed."""


def state_of(case: Case | None, now: datetime) -> str:
    """none, open, claimed, lapsed, disposed or retracted."""
    if case is None:
        return NONE
    if case.status is CaseStatus.CLAIMED and case.lease_until is not None and case.lease_until <= now:
        return LAPSED
    return case.status


def open_moves(case: Case | None, now: datetime) -> list[str]:
    """The officers' moves that the case's state allows."""
    return [kind.value for (state, kind) in TABLE if state == state_of(case, now)]


def decide(*, action: Action, actor: str, case: Case | None, policy: Policy, now: datetime) -> CaseChange:
    """What becomes of the action."""
    if action.kind is ActionKind.JOIN:
        return _join(action, actor, case, policy, now)
    if action.kind is ActionKind.RETRACT:
        return _retract(action, actor, case, policy, now)
    if case is None:
        return _refused(action, actor, None, now, Refusal("unknown-case", f"there is no case {action.case_id}"))
    if action.action_id in case.applied:
        return _change(action, actor, now, ActionOutcome.ECHO, revision=case.revision)
    if action.revision is not None and action.revision != case.revision:
        said = f"the case is at revision {case.revision}, the request was made on {action.revision}; read it again"
        return _refused(action, actor, case, now, Refusal("stale-revision", said))
    state = state_of(case, now)
    move = TABLE.get((state, action.kind))
    if move is None:
        slug = "disposed" if state == CaseStatus.DISPOSED else "not-allowed"
        moves = ", ".join(open_moves(case, now)) or "none"
        return _refused(action, actor, case, now, Refusal(slug, f"the case is {state}; moves open now: {moves}"))
    refusal = move.guard(action, case)
    if refusal is not None:
        return _refused(action, actor, case, now, refusal)
    changes = move.effect(action, case, policy, now)
    changes["applied"] = (*case.applied[1 - APPLIED_KEPT :], action.action_id)
    verdict = _verdict(action, case, policy, now) if action.kind is ActionKind.DISPOSE else None
    return _applied(action, actor, case, now, changes, verdict)


def _verdict(action: Action, case: Case, policy: Policy, now: datetime) -> Verdict:
    """Of the case's primary subject, and of the tools that its signals name. Who only dealt with a confirmed account is not
    confirmed with it: other accounts and persons have cases of their own. What a tip names does not count."""
    found = {case.primary.token: None}
    for signal in case.signals:
        for subject in trust.sighted(signal):
            if subject.kind in _TOOLS:
                found[subject.token] = None
    confirmed = action.disposition is Disposition.CONFIRMED
    until = instant_ms(now) + policy.keep.cases_days * DAY_MS if confirmed else 0
    return Verdict.trusted(tokens=tuple(found)[:VERDICT_TOKENS], confirmed_until_ms=until)


def echo(action: Action, actor: str, now: datetime) -> CaseChange:
    """A join or retraction whose source was there before: the first record per source counts."""
    return _change(action, actor, now, ActionOutcome.ECHO)


def unreadable(why: str, now: datetime) -> CaseChange:
    """The fact of an action record that cannot be read. It goes to the dead letters too."""
    return CaseChange.trusted(
        action_id=None,
        case_id=None,
        kind=None,
        outcome=ActionOutcome.REFUSED,
        at=now,
        actor="unknown",
        why=why,
        problem="unreadable",
    )


def _join(action: Action, actor: str, case: Case | None, policy: Policy, now: datetime) -> CaseChange:
    signal = action.signal
    if signal is None:
        return _refused(action, actor, case, now, Refusal("unreadable", "a join without its signal"))
    if case is None:
        return _change(action, actor, now, ActionOutcome.APPLIED, case=_opened(action, signal, now), revision=1)
    worse = signal.score > case.score or not case.signal_count
    changes: dict[str, Any] = {
        "score": signal.score if worse else case.score,
        "severity": signal.severity if worse else case.severity,
        "kinds": tuple(sorted({*case.kinds, signal.kind})),
        "institutions": tuple(sorted({*case.institutions, *trust.corroborating(signal)})),
        "signal_count": case.signal_count + 1,
        "amount_minor": tally.money(case.amount_minor, signal),
        "signals": _kept((signal, *case.signals), policy.case_signals_kept),
        "tally": tally.counted(tally.of(case), signal),
    }
    if case.status in (CaseStatus.DISPOSED, CaseStatus.RETRACTED):
        changes |= {"status": CaseStatus.OPEN, "reopened": case.reopened + 1}
    return _applied(action, actor, case, now, changes)


def _retract(action: Action, actor: str, case: Case | None, policy: Policy, now: datetime) -> CaseChange:
    """The case of the signals that are left. Without any it leaves its queue, whoever holds it."""
    gone = action.withdrawn
    if gone is None:
        return _refused(action, actor, case, now, Refusal("unreadable", "a retraction without what it takes away"))
    if case is None or not case.signal_count:
        return _refused(action, actor, case, now, Refusal("unknown-case", "there is no such signal in this case"))
    changes = _left(case, gone, policy)
    if not changes["signal_count"] and case.status in (CaseStatus.OPEN, CaseStatus.CLAIMED):
        changes |= {"status": CaseStatus.RETRACTED, "holder": None, "lease_until": None}
    return _applied(action, actor, case, now, changes)


def _left(case: Case, gone: Standing, policy: Policy) -> dict[str, Any]:
    counts: Tally = tally.uncounted(tally.of(case), gone)
    points = tally.highest(counts)
    return {
        "score": points,
        "severity": severity(points, policy),
        "kinds": tuple(sorted(counts.kinds)),
        "institutions": tuple(sorted(counts.institutions)),
        "signal_count": case.signal_count - 1,
        "amount_minor": tally.without(case.amount_minor, gone),
        "signals": tuple(one for one in case.signals if (one.signal_id, one.version) != (gone.signal_id, gone.version)),
        "retracted": case.retracted + 1,
        "tally": counts,
    }


def _kept(signals: tuple[JoinedSignal, ...], most: int) -> tuple[JoinedSignal, ...]:
    """The newest signals, so many as fit: a case of large signals must still be one record of the log."""
    kept: list[JoinedSignal] = []
    room, tips = KEPT_CHARACTERS, 0
    for signal in signals:
        tips += trust.low(signal)
        if trust.low(signal) and tips > trust.LOW_KEPT:
            continue
        if len(kept) == most:
            break
        room -= 2000 + len(signal.narrative_sealed or "") + len(signal.contact_sealed or "")
        room -= sum(150 + len(subject.sealed) for subject in signal.subjects)
        if room < 0 and kept:
            break
        kept.append(signal)
    return tuple(kept)


def _opened(action: Action, signal: JoinedSignal, now: datetime) -> Case:
    return Case.trusted(
        case_id=action.case_id,
        queue=action.queue,
        revision=1,
        status=CaseStatus.OPEN,
        opened_at=now,
        changed_at=now,
        primary=signal.subjects[0],
        primary_signal_id=signal.signal_id,
        score=signal.score,
        severity=signal.severity,
        kinds=(signal.kind,),
        institutions=trust.corroborating(signal),
        signal_count=1,
        amount_minor=tally.money({}, signal),
        signals=(signal,),
        tally=tally.counted(tally.EMPTY, signal),
    )


def _applied(
    action: Action, actor: str, case: Case, now: datetime, changes: dict[str, Any], verdict: Verdict | None = None
) -> CaseChange:
    changed = case.model_copy(update={**changes, "revision": case.revision + 1, "changed_at": now})
    more = {"case": changed, "revision": changed.revision, "verdict": verdict}
    return _change(action, actor, now, ActionOutcome.APPLIED, **more)


def _refused(action: Action, actor: str, case: Case | None, now: datetime, refusal: Refusal) -> CaseChange:
    revision = case.revision if case else None
    return _change(action, actor, now, ActionOutcome.REFUSED, revision=revision, why=refusal.why, problem=refusal.problem)


def _change(action: Action, actor: str, now: datetime, outcome: ActionOutcome, **more: Any) -> CaseChange:
    return CaseChange.trusted(
        action_id=action.action_id, case_id=action.case_id, kind=action.kind, outcome=outcome, at=now, actor=actor, **more
    )
