"""Signals of a case: joins and retractions. Pure.

Invariant: all members but `primary_subject` and `opened_at` describe the live signals alone. A join is possible in every state:
it reopens a case that was disposed of, closed, or emptied. The retraction of a signal leaves a disposed case disposed."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from schemas.cases.case import Action, Case, CaseStatus, JoinedSignal, Tally
from schemas.deadlines import Deadline, DeadlineState
from schemas.policy import Policy
from schemas.signals.retraction import Contribution
from stream_processors.domain.cases import counters as tally
from stream_processors.domain.cases import deadlines as case_clocks
from stream_processors.domain.cases import party_actions as case_loop
from stream_processors.domain.cases.evidence import keep_evidence
from stream_processors.domain.cases.state import SLEEPING
from stream_processors.domain.cases.step import CaseEffects, CaseStep
from stream_processors.domain.deadlines import deadlines as clocks
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.signals import hubs, trust
from stream_processors.domain.signals.leads import is_lead
from stream_processors.domain.signals.scoring import severity
from stream_processors.domain.state_machine import DeadlineStart, DeadlineStop

LINKED_KEPT = 16
AFRESH: dict[str, Any] = {
    "status": CaseStatus.OPEN,
    "holder": None,
    "lease_until": None,
    "acknowledged_at": None,
    "acknowledged_by": None,
    "closed_at": None,
    "closed_by": None,
}
"""Fields of a case that nobody works on. An earlier acknowledgement concerned an earlier content of the case."""


def opened(action: Action, signal: JoinedSignal, now: datetime) -> Case:
    """The case made by a first signal."""
    return Case.trusted(
        case_id=action.case_id,
        queue=action.queue,
        revision=0,
        status=CaseStatus.OPEN,
        opened_at=now,
        changed_at=now,
        primary_subject=hubs.leading(signal.subjects) or signal.subjects[0],
        primary_signal_id=signal.signal_id,
        score=signal.score,
        severity=signal.severity,
        kinds=(signal.kind,),
        institutions=trust.corroborating(signal),
        signal_count=1,
        amount_minor=tally.money({}, signal),
        signals=(signal,),
        tally=tally.counted(tally.EMPTY, signal),
        linked_case_ids=action.linked_case_ids,
        leads_only=is_lead(signal.kind),
    )


def joined(step: CaseStep, signal: JoinedSignal) -> CaseEffects:
    """The case with one more signal."""
    case = step.case
    worse = signal.score > case.score or not case.signal_count
    changes: dict[str, Any] = {
        "score": signal.score if worse else case.score,
        "severity": signal.severity if worse else case.severity,
        "kinds": tuple(sorted({*case.kinds, signal.kind})),
        "institutions": tuple(sorted({*case.institutions, *trust.corroborating(signal)})),
        "signal_count": case.signal_count + 1,
        "amount_minor": tally.money(case.amount_minor, signal),
        "signals": keep_evidence((signal, *case.signals), step.policy.case_signals_kept),
        "tally": tally.counted(case.tally, signal),
    }
    if step.action.linked_case_ids and not set(step.action.linked_case_ids) <= set(case.linked_case_ids):
        changes["linked_case_ids"] = tuple(dict.fromkeys((*case.linked_case_ids, *step.action.linked_case_ids)))[:LINKED_KEPT]
    starts, stops = duties(step.policy, signal, case), _told_wrong(step.policy, signal, case)
    if case.status in SLEEPING:
        return CaseEffects(changes | again(case), starts=(*case_clocks.TO_ACKNOWLEDGE, *starts), stops=stops)
    return CaseEffects(changes, starts=starts, stops=stops)


def again(case: Case) -> dict[str, Any]:
    """Fields that reopen a case."""
    return {**AFRESH, "reopen_count": case.reopen_count + 1}


def duties(policy: Policy, signal: JoinedSignal, case: Case | None) -> tuple[DeadlineStart, ...]:
    """The deadlines that a report starts for its institution (policy: `deadlines.duties`), once in a case; again if its duty was
    cancelled meanwhile."""
    if trust.low(signal):
        return ()
    owed_before = _owed_before(case) if case is not None else set()
    names = policy.deadlines.duties.get(signal.kind, ())
    return tuple(DeadlineStart(name, signal.institution) for name in names if (name, signal.institution) not in owed_before)


def _owed_before(case: Case) -> set[tuple[str, str | None]]:
    """Its former and running deadlines, without cancelled ones, which belonged to something else."""
    return {(clock.name, clock.about) for clock in case.deadlines if clock.state is not DeadlineState.CANCELLED}


def owed_when_confirmed(policy: Policy, case: Case) -> tuple[DeadlineStart, ...]:
    """The deadlines that a confirmation starts for those whose reports of the case are in force (policy: `deadlines.confirmed`).
    Institutions that already filed after an earlier one, or still owe it, are not asked again."""
    owed_before = _owed_before(case)
    return tuple(
        DeadlineStart(name, who)
        for name, beginnings in policy.deadlines.confirmed.items()
        for who in case.institutions
        if who.startswith(beginnings or "") and (name, who) not in owed_before
    )


def _told_wrong(policy: Policy, signal: JoinedSignal, case: Case) -> tuple[DeadlineStop, ...]:
    """A correction: cancels its institution's duty from the confirmation, which concerned the earlier report. Another report
    confirms and reverses nothing, and a missed deadline stays missed."""
    if signal.version == 1:
        return ()
    names = case_clocks.of_confirmed(policy)
    theirs = (clock for clock in case.deadlines if clock.about == signal.institution and clock.state is DeadlineState.OPEN)
    return tuple(DeadlineStop(clock.name, clock.about, called_off=True) for clock in theirs if clock.name in names)


def retracted(step: CaseStep) -> CaseEffects | Refusal:
    """The case of the remaining signals. Without any it leaves its queue, whoever holds it, and nobody needs a warning."""
    case, withdrawn = step.case, step.action.retracted_contribution
    if withdrawn is None:
        return Refusal("action-unreadable", "the retraction names no contribution to remove")
    if not case.signal_count or _is_surely_absent(case, withdrawn):
        return Refusal("unknown-case", "the case has no such signal")
    changes = remove_signal(case, withdrawn, step.policy)
    emptied = not changes["signal_count"]
    changes["deadlines"] = deadlines_without(case, changes["institutions"], step.now, stays_missed=not emptied)
    if not emptied:
        return CaseEffects(changes)
    if case.status in (CaseStatus.OPEN, CaseStatus.CLAIMED):
        changes |= {"status": CaseStatus.RETRACTED, "holder": None, "lease_until": None}
        return case_loop.call_off_all(step, CaseEffects(changes, called_off=case_clocks.WHILE_OPEN))
    return case_loop.call_off_all(step, CaseEffects(changes))


def _is_surely_absent(case: Case, withdrawn: Contribution) -> bool:
    """Whether the signal is certainly not in the case: it was removed before, and is retracted again because the log lost the
    first retraction. A case with many signals does not list them all, and cannot tell."""
    if len(case.signals) < case.signal_count:
        return False
    return all((signal.signal_id, signal.version) != (withdrawn.signal_id, withdrawn.version) for signal in case.signals)


def deadlines_without(
    case: Case, institutions: Iterable[str], now: datetime, *, stays_missed: bool = True
) -> tuple[Deadline, ...]:
    """The case's deadlines; those of an institution that left are cancelled, because it owes nothing here. `stays_missed`: except
    what it had missed by then."""
    departed = _find_departed(case, institutions)
    return tuple(
        clocks.cancel((clock,), now=now, stays_missed=stays_missed)[0] if clock.about in departed else clock
        for clock in case.deadlines
    )


def owed_elsewhere(case: Case, institutions: Iterable[str]) -> tuple[Deadline, ...]:
    """The running deadlines of institutions in the case that are not among the remaining `institutions`."""
    departed = _find_departed(case, institutions)
    return tuple(clock for clock in case.deadlines if clock.about in departed and clock.state is DeadlineState.OPEN)


def _find_departed(case: Case, institutions: Iterable[str]) -> set[str]:
    return set(case.institutions) - set(institutions)


def remove_signal(case: Case, withdrawn: Contribution, policy: Policy) -> dict[str, Any]:
    counts: Tally = tally.uncounted(case.tally, withdrawn)
    points = tally.highest(counts)
    return {
        "score": points,
        "severity": severity(points, policy),
        "kinds": tuple(sorted(counts.kinds)),
        "institutions": tuple(sorted(counts.institutions)),
        "signal_count": case.signal_count - 1,
        "amount_minor": tally.without(case.amount_minor, withdrawn),
        "signals": tuple(
            signal for signal in case.signals if (signal.signal_id, signal.version) != (withdrawn.signal_id, withdrawn.version)
        ),
        "retracted_signal_count": case.retracted_signal_count + 1,
        "tally": counts,
    }
