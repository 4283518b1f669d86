"""The deadlines of a case: started, stopped, cancelled, due. Pure: deadlines in, deadlines out, and the notifications.

`TABLE` has the states; warnings and escalation steps are due moments as well and leave the state as it is. Invariant: each (name,
run, step) falls due at most once and never early; any other request is refused and changes nothing. A run number is never used
again within a case.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from schemas.deadlines import Deadline, DeadlineRule, Deadlines, DeadlineState, DeadlineStep, DutyRole, Rung
from stream_processors.domain.deadlines.calendar import Calendar, add
from stream_processors.domain.refusal import Refusal

MAX_CLOCKS = 64
"""Running deadlines of a case at most: more than its orders need, and a bound for the case, which is one record of the log."""

TABLE: dict[tuple[DeadlineState, str], DeadlineState] = {
    (DeadlineState.OPEN, "due"): DeadlineState.FIRED,
    (DeadlineState.OPEN, "stop"): DeadlineState.STOPPED,
    (DeadlineState.FIRED, "stop"): DeadlineState.STOPPED,
    (DeadlineState.OPEN, "cancel"): DeadlineState.CANCELLED,
    (DeadlineState.FIRED, "cancel"): DeadlineState.CANCELLED,
    (DeadlineState.OPEN, "restart"): DeadlineState.CANCELLED,
    (DeadlineState.FIRED, "restart"): DeadlineState.CANCELLED,
}
"""State x event -> state. A start opens a deadline. A restart ends the run and opens the next one; `fired_at` stays."""

_OUTSTANDING = frozenset(state for state, event in TABLE if event == "stop")
_LADDER = (DeadlineStep.ESCALATE_1, DeadlineStep.ESCALATE_2, DeadlineStep.ESCALATE_3)
_TICK = timedelta(microseconds=1)


class ReachedStep(NamedTuple):
    """Notifications of a due step. `roles`: of the unit that has to act; `parties`: those that the policy names.

    `escalated`: the number of reached escalation steps, 0 for a warning and for the due time itself.
    """

    step: DeadlineStep
    name: str
    run: int
    about: str | None
    due_at: datetime
    roles: tuple[DutyRole, ...]
    parties: tuple[str, ...]
    basis: str
    needs_confirmation: bool
    estimated: bool
    severity: str | None
    escalated: int


class StartedClock(NamedTuple):
    """`clock` is None if the policy has no such deadline or the start was refused."""

    clocks: tuple[Deadline, ...]
    clock: Deadline | None = None
    refusal: Refusal | None = None


class StoppedClock(NamedTuple):
    """`clock` is None if none was running: the act is recorded all the same."""

    clocks: tuple[Deadline, ...]
    clock: Deadline | None = None


class FiredClock(NamedTuple):
    """`clock` is the due one; None with a `refusal`."""

    clocks: tuple[Deadline, ...]
    clock: Deadline | None = None
    reached: tuple[ReachedStep, ...] = ()
    refusal: Refusal | None = None


def outstanding(clocks: tuple[Deadline, ...], name: str, about: str | None = None) -> Deadline | None:
    """The outstanding deadline of this name and object."""
    return next((clock for clock in clocks if clock.name == name and clock.about == about and clock.state in _OUTSTANDING), None)


class DeadlineRequest(NamedTuple):
    """A deadline that is to run. `began_at`: since when it counts, never later than now (a sender's clock may be ahead).
    `until`: the due time that an order or letter itself names, instead of the rule's length."""

    name: str
    about: str | None = None
    began_at: datetime | None = None
    until: datetime | None = None
    severity: str | None = None
    unit: str | None = None


def start(
    clocks: tuple[Deadline, ...], request: DeadlineRequest, *, rules: Deadlines, calendar: Calendar, now: datetime
) -> StartedClock:
    """Returns the clocks with one more running. Starting one that is outstanding ends it and starts the next run. Refused with
    `too-many-deadlines` when the case has no room."""
    name, about = request.name, request.about
    rule = rules.rule(name, request.severity)
    if rule is None:
        return StartedClock(clocks)
    before = outstanding(clocks, name, about)
    remaining = clocks if before is None else _replace_clock(clocks, _end_clock(before, "restart", now))
    remaining = _make_room(remaining, name)
    if len(remaining) >= MAX_CLOCKS:
        return StartedClock(
            clocks, refusal=Refusal("too-many-deadlines", f"the case has {MAX_CLOCKS} running deadlines; end one first")
        )
    run = 1 + max((clock.run for clock in clocks if clock.name == name), default=0)
    began = now if request.began_at is None else min(request.began_at, now)
    made = _make_clock(rule, calendar, began, request.until, name=name, run=run, about=about, unit=request.unit)
    return StartedClock((*remaining, made), made)


def _end_clock(clock: Deadline, event: str, now: datetime, late: bool | None = None) -> Deadline:
    changes = {"state": TABLE[clock.state, event], "stopped_at": now, "late": late, "step": None, "next_at": None}
    return clock.model_copy(update=changes)


def _make_room(clocks: tuple[Deadline, ...], name: str) -> tuple[Deadline, ...]:
    """Without the oldest finished ones, if full. The newest run of each name stays, because it holds the count of runs, except
    that of the name about to start: the next run takes over the count."""
    newest = {clock.name: clock.run for clock in sorted(clocks, key=lambda clock: clock.run)} | {name: 0}
    spare = len(clocks) + 1 - MAX_CLOCKS
    retained = []
    for clock in clocks:
        if spare > 0 and clock.state not in _OUTSTANDING and newest[clock.name] != clock.run:
            spare -= 1
        else:
            retained.append(clock)
    return tuple(retained)


def _make_clock(rule: DeadlineRule, calendar: Calendar, began: datetime, until: datetime | None, **names: Any) -> Deadline:
    due, estimated = (until, False) if until is not None else add(began, rule.length, working=rule.working, calendar=calendar)
    rungs: list[Rung] = []
    for escalation in rule.escalate:
        # A due time of 24:00 belongs to the day that it ends.
        since = due if escalation.after.exact_s is not None else due - _TICK
        reckoned = add(since, escalation.after, working=rule.working, calendar=calendar)
        estimated |= reckoned.estimated
        rungs.append(Rung.trusted(to=escalation.to, at=max(reckoned.at, rungs[-1].at if rungs else due)))
    warn_at = due - timedelta(seconds=rule.warn_before.exact_s or 0) if rule.warn_before else None
    clock = Deadline.trusted(
        **names,
        severity=rule.severity,
        state=DeadlineState.OPEN,
        started_at=began,
        due_at=due,
        # A time that is too short to warn of warns nobody.
        warn_at=warn_at if warn_at is not None and began < warn_at < due else None,
        escalations=tuple(rungs),
        estimated=estimated,
    )
    return _set_next(clock, None)


def _list_moments(clock: Deadline) -> Iterator[tuple[DeadlineStep, datetime]]:
    """All of them in due order."""
    if clock.warn_at is not None:
        yield DeadlineStep.WARN, clock.warn_at
    yield DeadlineStep.DUE, clock.due_at
    yield from ((step, rung.at) for step, rung in zip(_LADDER, clock.escalations, strict=False))


def _set_next(clock: Deadline, passed: DeadlineStep | None, **changes: Any) -> Deadline:
    """The deadline with its next moment after `passed`."""
    moments = list(_list_moments(clock))
    at = 0 if passed is None else 1 + [step for step, _ in moments].index(passed)
    step, next_at = moments[at] if at < len(moments) else (None, None)
    return clock.model_copy(update={"step": step, "next_at": next_at, **changes})


def _replace_clock(clocks: tuple[Deadline, ...], clock: Deadline) -> tuple[Deadline, ...]:
    return tuple(clock if (existing.name, existing.run) == (clock.name, clock.run) else existing for existing in clocks)


def stop(
    clocks: tuple[Deadline, ...], *, name: str, now: datetime, done_at: datetime | None = None, about: str | None = None
) -> StoppedClock:
    """The duty was done at `done_at` (default, or if in the future: now). After the due time it is marked late; at the due time
    it is in time."""
    clock = outstanding(clocks, name, about)
    if clock is None:
        return StoppedClock(clocks)
    done = now if done_at is None else min(done_at, now)
    clock = _end_clock(clock, "stop", now, late=done > clock.due_at)
    return StoppedClock(_replace_clock(clocks, clock), clock)


def cancel(
    clocks: tuple[Deadline, ...],
    *,
    now: datetime,
    name: str | None = None,
    about: str | None = None,
    stays_missed: bool = False,
) -> tuple[Deadline, ...]:
    """The duty ended: of all deadlines, those of a name, those about one object, or both. `stays_missed`: those that had ended by
    then are marked late."""

    def over(clock: Deadline) -> bool:
        return clock.state in _OUTSTANDING and name in (None, clock.name) and about in (None, clock.about)

    def ended(clock: Deadline) -> Deadline:
        return _end_clock(clock, "cancel", now, late=True if stays_missed and clock.state is DeadlineState.FIRED else None)

    return tuple(ended(clock) if over(clock) else clock for clock in clocks)


def due(clocks: tuple[Deadline, ...], *, name: str, run: int, step: str, rules: Deadlines, now: datetime) -> FiredClock:
    """A step of a run falls due: the deadlines afterwards, and the notifications. Refusal with `stale-run` (another run, or one
    that ended), `stale-step` (it fell due before, or another comes first) or `not-due` (too early)."""
    clock = next((candidate for candidate in clocks if (candidate.name, candidate.run) == (name, run)), None)
    if (refusal := _find_fault(clock, name, run, step, now)) is not None:
        return FiredClock(clocks, refusal=refusal)
    assert clock is not None and clock.step is not None
    passed = clock.step
    changes = {"state": TABLE[clock.state, "due"], "fired_at": now} if passed is DeadlineStep.DUE else {}
    after = _set_next(clock, passed, **changes)
    # Who comes late (a worker that was down) does not warn of what is past already.
    silent = passed is DeadlineStep.WARN and now >= clock.due_at
    reached = () if silent else (_reach_step(clock, passed, rules),)
    return FiredClock(_replace_clock(clocks, after), after, reached)


def _find_fault(clock: Deadline | None, name: str, run: int, step: str, now: datetime) -> Refusal | None:
    if clock is None or clock.state not in _OUTSTANDING:
        detail = "is not a deadline of this case" if clock is None else f"is {clock.state}"
        return Refusal("stale-run", f"run {run} of the deadline {name} {detail}")
    if clock.next_at is None or clock.step != step:
        detail = f"the next step is {clock.step}" if clock.step else "no further step falls due"
        return Refusal("stale-step", f"{step} of run {run} of the deadline {name} is not open; {detail}")
    if now < clock.next_at:
        detail = f"{step} of run {run} of the deadline {name} falls due at {clock.next_at.isoformat()}, not at {now.isoformat()}"
        return Refusal("not-due", detail)
    return None


def _reach_step(clock: Deadline, step: DeadlineStep, rules: Deadlines) -> ReachedStep:
    """By the current policy: a removed rule notifies only the roles that the deadline carries."""
    rule = rules.rule(clock.name, clock.severity)
    rung = _LADDER.index(step) + 1 if step in _LADDER else 0
    roles = (clock.escalations[rung - 1].to,) if rung else (DutyRole.OFFICER,)
    return ReachedStep(
        step=step,
        name=clock.name,
        run=clock.run,
        about=clock.about,
        due_at=clock.due_at,
        roles=roles,
        parties=rule.notify if rule is not None and step is DeadlineStep.DUE else (),
        basis=rule.basis if rule is not None else "",
        needs_confirmation=rule is None or rule.needs_confirmation,
        estimated=clock.estimated,
        severity=clock.severity,
        escalated=rung,
    )
