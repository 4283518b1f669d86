"""The clocks of a case after an action: those that it stops, calls off and starts. Pure.

Invariant: whatever asks for something new is refused when its clock finds no place, for a duty without its clock would be
forgotten; nothing else is: an answer, a disposal or a release counts for more than its clock. What joins and
confirmations start leaves room for what officers order, and both leave room for the unit's own and for appeals.
"""

from __future__ import annotations

from datetime import datetime

from schemas.deadlines import Deadline, DeadlineState
from schemas.policy import Policy
from stream_processors.domain.cases.step import CaseEffects, CaseStep
from stream_processors.domain.deadlines import deadlines as clocks
from stream_processors.domain.deadlines.calendar import Calendar, add
from stream_processors.domain.measures import SUSPICIOUS
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.scorecards.changes import INSTITUTION_DUTIES, UNIT_DUTIES
from stream_processors.domain.state_machine import DeadlineStart

ACKNOWLEDGE, DISPOSE = "acknowledge", "dispose"
TO_ACKNOWLEDGE = (DeadlineStart(ACKNOWLEDGE, None),)
"""Deadlines that start when a case enters the queue of a unit."""
OF_INSTITUTIONS = tuple(INSTITUTION_DUTIES)
WHILE_OPEN = (ACKNOWLEDGE, DISPOSE, *OF_INSTITUTIONS)
"""Deadlines that a case without signals no longer owes."""
JOINS_LEAVE = clocks.MAX_CLOCKS // 2
ASKED_LEAVE = 8
RUNNING = frozenset({DeadlineState.OPEN, DeadlineState.FIRED})


def of_confirmed(policy: Policy) -> tuple[str, ...]:
    """Duties of confirmed cases by name, including those that the policy no longer starts."""
    return tuple(dict.fromkeys((SUSPICIOUS, *policy.deadlines.confirmed)))


def never_missed(all_clocks: tuple[Deadline, ...]) -> tuple[Deadline, ...]:
    """Clears the missed deadlines of institutions that left: there was nothing to warn of or to block."""
    return tuple(
        clock.model_copy(update={"late": None})
        if clock.state is DeadlineState.CANCELLED and clock.name in OF_INSTITUTIONS
        else clock
        for clock in all_clocks
    )


def _is_sooner(clock: Deadline, severity: str, policy: Policy, calendar: Calendar, now: datetime) -> bool:
    """Whether the unit's deadline began when the case was less severe, and would be earlier if it began now."""
    if clock.state is not DeadlineState.OPEN or clock.about is not None or clock.severity in (None, severity):
        return False
    rule = policy.deadlines.rule(clock.name, severity)
    if rule is None or clock.name not in UNIT_DUTIES:
        return False
    return add(now, rule.length, working=rule.working, calendar=calendar).at < clock.due_at


def update_clocks(
    before: tuple[Deadline, ...], effects: CaseEffects, step: CaseStep, *, must: bool = False, joins: bool = False
) -> tuple[Deadline, ...] | Refusal:
    """Returns the case's clocks after an action with these effects. `must`: whether it is refused when one of its clocks finds no
    place; `joins`: whether they are institutions' that signals or a confirmation brought."""
    policy, calendar, now = step.policy, step.calendar, step.now
    severity, queue = (effects.changes.get(name, getattr(step.case, name)) for name in ("severity", "queue"))
    current = before
    for clock in before:
        if _is_sooner(clock, severity, policy, calendar, now):
            request = clocks.DeadlineRequest(clock.name, severity=severity, unit=clock.unit)
            current = clocks.start(current, request, rules=policy.deadlines, calendar=calendar, now=now).clocks
    for stop in effects.stops:
        if stop.called_off:
            current = clocks.cancel(current, name=stop.name, about=stop.about, now=now)
        else:
            current = clocks.stop(current, name=stop.name, about=stop.about, now=now).clocks
    for name in effects.called_off:
        current = clocks.cancel(current, now=now, name=name)
    for start in effects.starts:
        running = sum(clock.state in RUNNING for clock in current)
        if joins and start.about is not None and running >= JOINS_LEAVE:
            continue
        if must and running >= clocks.MAX_CLOCKS - ASKED_LEAVE:
            return Refusal("too-many-deadlines", f"the case has {running} running deadlines; end one first")
        unit = queue if start.name in UNIT_DUTIES else None
        request = clocks.DeadlineRequest(start.name, start.about, until=start.due_at, severity=severity, unit=unit)
        started = clocks.start(current, request, rules=policy.deadlines, calendar=calendar, now=now)
        if started.refusal is not None and must:
            return started.refusal
        current = started.clocks
    return current
