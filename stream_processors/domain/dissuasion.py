"""What an event does to a dissuasion task (劝阻): a transition table, guards and effects. Pure.

Invariant: one party at a time works on a task; a task that is over stays over, and its clock stands still.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, NamedTuple

from schemas.dissuasion import ATTEMPTS_KEPT, OVER, Attempt, Result, Task, TaskEnd, TaskEvent, TaskState
from schemas.dissuasion import TaskEventKind as E
from schemas.notices import Notice, NoticeKind
from stream_processors.domain.notifications.notification import Notification, to_notice
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import (
    NONE,
    ActorRole,
    ClockStart,
    ClockStop,
    Party,
    Table,
    Transition,
    done_between,
    iso,
    party,
)

CLOCK = "dissuade"
"""Short, because the lease restarts with every step and expires when nobody takes one."""
MOST_MISSED = 8
"""After this many notifications nobody is notified again. The task stays open, and the agency sees it."""
_CONVINCED = frozenset({Result.CONVINCED})
S = TaskState


class DissuasionStep(NamedTuple):
    task: Task
    event: TaskEvent
    actor: Party
    now: datetime


class TaskChange(NamedTuple):
    """`task` is None when the event was refused."""

    task: Task | None
    notices: tuple[Notice, ...] = ()
    starts: tuple[ClockStart, ...] = ()
    stops: tuple[ClockStop, ...] = ()
    refused: Refusal | None = None


def _mine(step: DissuasionStep) -> Refusal | None:
    """The one who took it goes on with it. Who that is, is not told to the others."""
    task = step.task
    if task.taken_by is not None and task.taken_by != step.actor.id:
        return Refusal("taken", f"another recipient took it at {iso(task.taken_at)}; the person must not be called twice")
    return None


def _attempted(step: DissuasionStep) -> Refusal | None:
    attempt = step.event.attempt
    if attempt is None:
        return Refusal("attempt-missing", "send who spoke to the person, through which channel, and with which result")
    if done_between(attempt.done_at, step.task.opened_at, step.now) is None:
        return Refusal("impossible-time", f"'done_at' must be between {iso(step.task.opened_at)} and {iso(step.now)}")
    if (attempt.result in _CONVINCED) != (step.event.kind is E.SUCCEED):
        return Refusal("result-differs", "report a convinced person as a success, and any other result as an attempt")
    return _mine(step)


def _mine_and_why(step: DissuasionStep) -> Refusal | None:
    return _mine(step) or _why(step)


def _why(step: DissuasionStep) -> Refusal | None:
    if step.event.outcome in (None, TaskEnd.DISSUADED):
        return Refusal("reason-missing", "send the outcome of the task: paid, not_reached, insisted or not_at_risk")
    return None


def _no_success(step: DissuasionStep) -> Refusal | None:
    if step.event.outcome is TaskEnd.DISSUADED:
        return Refusal("result-differs", "report a dissuaded person as a success, not as a cancelled task")
    return None


def _open_task(step: DissuasionStep) -> dict[str, Any]:
    return {"state": S.OPEN}


def _take_task(step: DissuasionStep) -> dict[str, Any]:
    return {"state": S.TAKEN, "taken_by": step.actor.id, "taken_at": step.now}


def _give_task_back(step: DissuasionStep) -> dict[str, Any]:
    return {"state": S.OPEN, "taken_by": None, "taken_at": None}


def _record_attempt(step: DissuasionStep) -> dict[str, Any]:
    """Whoever tries has taken it."""
    task, attempt = step.task, step.event.attempt
    assert attempt is not None
    taking = {} if task.taken_by else _take_task(step)
    way = next(reach.way for reach in task.reach if reach.party == step.actor.id)
    marked_attempt = attempt.model_copy(update={"party": step.actor.id, "way": way, "at": step.now})
    first = task.first_tried_at or step.now
    attempts = _bounded((*task.attempts, marked_attempt))
    return {**taking, "state": S.TAKEN, "tries": task.tries + 1, "attempts": attempts, "first_tried_at": first}


def _bounded(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """One too many: the oldest attempt goes of the party that has the most, so nobody pushes out what another tried."""
    if len(attempts) <= ATTEMPTS_KEPT:
        return attempts
    most = Counter(attempt.party for attempt in attempts).most_common(1)[0][0]
    removed = next(number for number, attempt in enumerate(attempts) if attempt.party == most)
    return attempts[:removed] + attempts[removed + 1 :]


def _record_success(step: DissuasionStep) -> dict[str, Any]:
    saved = {"saved_minor": step.event.saved_minor, "currency": step.event.currency}
    return {**_record_attempt(step), **_end_task(step, S.DISSUADED, TaskEnd.DISSUADED), **saved}


def _give_task_up(step: DissuasionStep) -> dict[str, Any]:
    return _end_task(step, S.NOT_DISSUADED, step.event.outcome)


def _cancel_task(step: DissuasionStep) -> dict[str, Any]:
    return _end_task(step, S.CANCELLED, step.event.outcome or TaskEnd.NOT_AT_RISK)


def _reopen_missed_task(step: DissuasionStep) -> dict[str, Any]:
    """Nobody took a step in time: it is everybody's again."""
    return {**_give_task_back(step), "missed": step.task.missed + 1}


def _end_task(step: DissuasionStep, state: TaskState, outcome: TaskEnd | None) -> dict[str, Any]:
    return {"state": state, "outcome": outcome, "ended_at": step.now}


REACHES = "reaches"
"""The role of a party that can reach the person: a bank, an operator, or a police station, which is a unit of officers."""
_REACHES, _STAGE, _AGENCY = frozenset({REACHES}), frozenset({ActorRole.STAGE}), frozenset({ActorRole.OFFICER, ActorRole.STAGE})
_RUNNING = (S.OPEN, S.TAKEN)
Row = Transition[Task, DissuasionStep, dict[str, Any], str]
_ROWS: dict[tuple[str, str], Row] = {
    (NONE, E.ASK): Row((S.OPEN,), _open_task, _AGENCY, detail="task_asked"),
    (S.OPEN, E.TAKE): Row((S.TAKEN,), _take_task, _REACHES, detail="task_taken"),
    (S.TAKEN, E.GIVE_BACK): Row((S.OPEN,), _give_task_back, _REACHES, _mine, detail="task_open_again"),
    **{(state, E.TRY): Row((S.TAKEN,), _record_attempt, _REACHES, _attempted, detail="task_tried") for state in _RUNNING},
    **{(state, E.SUCCEED): Row((S.DISSUADED,), _record_success, _REACHES, _attempted, detail="task_over") for state in _RUNNING},
    (S.TAKEN, E.GIVE_UP): Row((S.NOT_DISSUADED,), _give_task_up, _REACHES, _mine_and_why, detail="task_over"),
    **{(state, E.CANCEL): Row((S.CANCELLED,), _cancel_task, _AGENCY, _no_success, detail="task_over") for state in _RUNNING},
    **{(state, E.DUE): Row((S.OPEN,), _reopen_missed_task, _STAGE, detail="task_missed") for state in _RUNNING},
}
TABLE = Table("dissuasion task", _ROWS)
"""The detail of a row is the key of the notification to others."""
_ASKS = frozenset({"task_asked", "task_open_again", "task_missed"})
"""Notifications that ask every recipient to act. The others tell recipients that they need not act (any longer)."""


def decide(*, task: Task | None, event: TaskEvent, actor: str, now: datetime) -> TaskChange:
    """What becomes of the event. `actor`: `institution:...`, `officer:...` (who acts as the event's `unit`) or `stage:...`."""
    who = party(actor)
    if who.role == ActorRole.OFFICER and event.unit is not None:
        who = Party(ActorRole.OFFICER, event.unit)
    if task is None and (event.kind is not E.ASK or event.draft is None):
        return TaskChange(None, refused=Refusal("unknown-task", f"the case has no dissuasion task {event.task_id}"))
    thing = task or _candidate(event, now)
    state = task.state if task else NONE
    reaches = any(reach.party == who.id for reach in thing.reach)
    if not reaches and who.role == ActorRole.INSTITUTION:
        return TaskChange(None, refused=Refusal("not-recipient", "this dissuasion task was not addressed to you"))
    step = DissuasionStep(thing, event, who, now)
    outcome = TABLE.apply(state, event.kind, step, thing=thing, roles=roles_of(who.role, reaches=reaches))
    if isinstance(outcome, Refusal):
        return TaskChange(None, refused=outcome)
    changed = thing.model_copy(update={**outcome, "changed_at": now})
    stops = (ClockStop(CLOCK, changed.task_id),) if task else ()
    runs = changed.state not in OVER and changed.missed < MOST_MISSED
    starts = (ClockStart(CLOCK, changed.task_id),) if runs else ()
    return TaskChange(changed, _make_notices(changed, step, TABLE[state, event.kind].detail), starts, stops)


def roles_of(role: str, *, reaches: bool) -> frozenset[str]:
    """What somebody is to a task. An officer may also act for a unit that reaches the person."""
    return frozenset({role, REACHES} if reaches else {role})


def _make_notices(task: Task, step: DissuasionStep, template: str) -> tuple[Notice, ...]:
    """To everybody who can reach the person but the one who acts, and to the agency that asked."""
    kind = NoticeKind.TASK if template in _ASKS else NoticeKind.FEEDBACK
    everybody = {reach.party: kind for reach in task.reach if reach.party != step.actor.id}
    to = {**everybody, **({} if template == "task_asked" else {task.agency: NoticeKind.FEEDBACK})}
    data: dict[str, int | str] = {"state": task.state.value, "tries": task.tries, "missed": task.missed}
    if task.outcome is not None:
        data["outcome"] = task.outcome.value
    return tuple(
        to_notice(
            f"{step.event.event_id}/{task.task_id}/{number}",
            Notification(recipient, of_kind, template, data, task_id=task.task_id, subject=task.person),
            case_id=task.case_id,
            at=step.now,
        )
        for number, (recipient, of_kind) in enumerate(to.items())
    )


def _candidate(event: TaskEvent, now: datetime) -> Task:
    draft = event.draft
    assert draft is not None
    return Task.trusted(
        task_id=draft.task_id,
        case_id=draft.case_id,
        agency=draft.agency,
        person=draft.person,
        reach=draft.reach,
        state=TaskState.OPEN,
        opened_at=now,
        changed_at=now,
    )
