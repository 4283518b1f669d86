"""Actions of officers in charge of a case: a transition table, guards and effects. Pure.

Invariant: a claim belongs to one officer; only the holder of a case may act on it, until the lease has expired.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from schemas.cases.case import Action, ActionKind, Case, CaseStatus, CaseVerdict, Disposition
from schemas.common import DAY_MS, instant_ms
from schemas.policy import Policy
from schemas.signals.indicators import kinds_where
from schemas.signals.submission import SignalKind
from stream_processors.domain.cases import deadlines as case_clocks
from stream_processors.domain.cases import orders as case_orders
from stream_processors.domain.cases import party_actions as case_loop
from stream_processors.domain.cases import signals as case_signals
from stream_processors.domain.cases import structure as case_structure
from stream_processors.domain.cases.state import LAPSED, state_of
from stream_processors.domain.cases.step import CaseEffects, CaseStep
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.signals import trust
from stream_processors.domain.signals.leads import match_name
from stream_processors.domain.state_machine import DeadlineStart, DeadlineStop, Table, Transition

VERDICT_TOKENS = 64
"""Subjects that one disposal may confirm or clear."""
_TOOLS = kinds_where(lambda spec: spec.is_tool)


def _holder_only(step: CaseStep) -> Refusal | None:
    if step.case.holder != step.action.officer:
        return Refusal("not-holder", f"only the holder of the case may do this; {_describe_holder(step.case)}")
    return None


def _not_held_by_other(step: CaseStep) -> Refusal | None:
    if step.case.holder != step.action.officer:
        return Refusal("held-by-other", f"another officer holds this case; {_describe_holder(step.case)}")
    return None


def _describe_holder(case: Case) -> str:
    until = f" until {case.lease_until:%Y-%m-%dT%H:%M:%SZ}" if case.lease_until else ""
    return f"{case.holder} holds it{until}" if case.holder else "nobody holds it now"


def _not_acknowledged(step: CaseStep) -> Refusal | None:
    case = step.case
    if case.acknowledged_at is not None:
        return Refusal(
            "transition-not-allowed", f"{case.acknowledged_by} acknowledged it at {case.acknowledged_at:%Y-%m-%dT%H:%M:%SZ}"
        )
    return None


def _lease_until(step: CaseStep) -> datetime:
    requested_s = step.policy.leases.default_s if step.action.lease_s is None else step.action.lease_s
    return step.now + timedelta(seconds=min(requested_s, step.policy.leases.max_s))


def _acknowledge_once(step: CaseStep, changes: dict[str, Any]) -> CaseEffects:
    """The first officer who looks at a case acknowledges it (签收): one deadline ends, and the deadline of its disposal
    starts."""
    if step.case.acknowledged_at is not None:
        return CaseEffects(changes)
    changes |= {"acknowledged_at": step.now, "acknowledged_by": step.action.officer}
    stops, starts = (DeadlineStop(case_clocks.ACKNOWLEDGE, None),), (DeadlineStart(case_clocks.DISPOSE, None),)
    return CaseEffects(changes, stops=stops, starts=starts)


def _acknowledge_case(step: CaseStep) -> CaseEffects:
    return _acknowledge_once(step, {})


def _take_case(step: CaseStep) -> CaseEffects:
    return _acknowledge_once(
        step, {"status": CaseStatus.CLAIMED, "holder": step.action.officer, "lease_until": _lease_until(step)}
    )


def _hand_over(step: CaseStep) -> CaseEffects:
    return CaseEffects({"status": CaseStatus.CLAIMED, "holder": step.action.to_officer, "lease_until": _lease_until(step)})


def _release_case(step: CaseStep) -> CaseEffects:
    return CaseEffects({"status": CaseStatus.OPEN, "holder": None, "lease_until": None})


def _dispose_case(step: CaseStep) -> CaseEffects | Refusal:
    """A disposal ends the unit's clocks. One that confirms the case makes due what those who reported it owe then; any other
    calls that off. One that finds nothing wrong releases at once what was ordered, calls off the dissuasions, and nothing is
    asked of institutions any more. Letters stay: they ask for what is known, and hold nothing."""
    action = step.action
    changes = {
        "status": CaseStatus.DISPOSED,
        "holder": None,
        "lease_until": None,
        "disposition": action.disposition,
        "disposed_by": action.officer,
        "disposed_at": step.now,
        "note_sealed": action.note_sealed,
    }
    stops = tuple(DeadlineStop(name, None) for name in (case_clocks.ACKNOWLEDGE, case_clocks.DISPOSE))
    done = CaseEffects(changes, stops=stops, verdict=_give_verdict(action, step.case, step.policy, step.now))
    if action.disposition is Disposition.CONFIRMED:
        return done._replace(starts=case_signals.owed_when_confirmed(step.policy, step.case))
    if action.disposition is not Disposition.FALSE_POSITIVE:
        return done._replace(called_off=case_clocks.of_confirmed(step.policy))
    undone = case_orders.undo_all(step)
    released = done._replace(
        changes={**changes, **undone.changes, "deadlines": case_clocks.never_missed(step.case.deadlines)},
        notices=undone.notices,
        starts=undone.starts,
        stops=(*stops, *undone.stops),
        called_off=(*case_clocks.OF_INSTITUTIONS, *case_clocks.of_confirmed(step.policy)),
    )
    return case_loop.call_off_all(step, released)


def _give_verdict(action: Action, case: Case, policy: Policy, now: datetime) -> CaseVerdict:
    """The verdict on the case's primary subject and on the tools that its signals name. A party that only dealt with a confirmed
    account is not confirmed with it: other accounts and persons have cases of their own. Subjects named by tips do not count, nor
    do hubs of any of the signals. Confirmations of leads of organized crime count for such leads only."""
    kinds = case.kinds or ((SignalKind.ORGANIZED_CRIME if case.leads_only else None),)  # a case without signals has none
    names = {match_name(case.primary_subject.token, kind): None for kind in kinds}
    hubs = {
        match_name(subject.token, signal.kind)
        for signal in case.signals
        for subject in (*signal.subjects, case.primary_subject)
        if subject.hub is not None
    }
    for signal in case.signals:
        for subject in trust.sighted(signal):
            if subject.kind in _TOOLS:
                names[match_name(subject.token, signal.kind)] = None
    confirmed = action.disposition is Disposition.CONFIRMED
    until = instant_ms(now) + policy.retention.cases_days * DAY_MS if confirmed else 0
    tokens = tuple(token for token in names if not confirmed or token not in hubs)
    return CaseVerdict.trusted(tokens=tokens[:VERDICT_TOKENS], confirmed_until_ms=until)


def _as_effect(
    move: Callable[[Action, Case, Policy, datetime], CaseEffects | Refusal],
) -> Callable[[CaseStep], CaseEffects | Refusal]:
    return lambda step: move(step.action, step.case, step.policy, step.now)


Row = Transition[None, CaseStep, CaseEffects, None]
K, S = ActionKind, CaseStatus
_IN_HAND = (S.CLAIMED, LAPSED)
_claim: Row = Row((S.CLAIMED,), _take_case)
_transfer: Row = Row((S.OPEN,), _as_effect(case_structure.transfer))
_reopen: Row = Row((S.OPEN,), _as_effect(case_structure.reopen))
_ROWS: dict[tuple[str, str], Row] = {
    (S.OPEN, K.ACKNOWLEDGE): Row((S.OPEN,), _acknowledge_case, guard=_not_acknowledged),
    (S.OPEN, K.CLAIM): _claim,
    (LAPSED, K.CLAIM): _claim,
    (S.CLAIMED, K.CLAIM): _claim._replace(guard=_not_held_by_other),
    **{(at, K.RENEW): Row((S.CLAIMED,), _take_case, guard=_holder_only) for at in _IN_HAND},
    **{(at, K.RELEASE): Row((S.OPEN,), _release_case, guard=_holder_only) for at in _IN_HAND},
    **{(at, K.HAND_OVER): Row((S.CLAIMED,), _hand_over, guard=_holder_only) for at in _IN_HAND},
    **{(at, K.DISPOSE): Row((S.DISPOSED,), _dispose_case, guard=_holder_only) for at in _IN_HAND},
    (S.OPEN, K.TRANSFER): _transfer,
    **{(at, K.TRANSFER): _transfer._replace(guard=_holder_only) for at in _IN_HAND},
    **{(at, K.MERGE): Row((S.MERGED,), _as_effect(case_structure.merge), guard=_holder_only) for at in _IN_HAND},
    **{(at, K.SPLIT): Row((S.CLAIMED,), _as_effect(case_structure.split), guard=_holder_only) for at in _IN_HAND},
    (S.DISPOSED, K.REOPEN): _reopen,
    (S.CLOSED, K.REOPEN): _reopen,
    (S.DISPOSED, K.CLOSE): Row((S.CLOSED,), _as_effect(case_structure.close)),
}
TABLE = Table("case", _ROWS, problems={S.DISPOSED: "case-disposed"})
"""Transitions of officers. Institutions, signals and deadlines may act in more states (domain/cases/decide.py)."""


def list_allowed(case: Case | None, now: datetime) -> tuple[str, ...]:
    """The officers' actions that the state of the case allows."""
    return TABLE.allowed(state_of(case, now), None)


def move_case(step: CaseStep) -> CaseEffects | Refusal:
    """Decides on an officer's action."""
    return TABLE.apply(state_of(step.case, step.now), step.action.kind, step, thing=None)
