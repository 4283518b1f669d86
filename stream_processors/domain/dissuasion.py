"""What an event does to a dissuasion task (劝阻): a transition table, guards and effects. Pure.

Invariant: one party at a time works on a task; a task that is over stays over, and its clock stands still.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from schemas.dissuasion import ATTEMPTS_KEPT, OVER, Attempt, Outcome, Result, Task, TaskEvent, TaskState
from schemas.dissuasion import TaskEventKind as E
from schemas.notices import Notice, NoticeKind
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import (
    ClockStart,
    ClockStop,
    Party,
    Role,
    always,
    done_between,
    iso,
    listed,
    open_moves,
    party,
)

NONE = "none"
CLOCK = "dissuade"
"""Short: it starts again with every step, and runs out when nobody took one."""
MOST_MISSED = 8
"""After so many times nobody is told again; the task stays open and the agency sees it."""
_CONVINCED = frozenset({Result.CONVINCED})
S = TaskState


class Step(NamedTuple):
    task: Task
    event: TaskEvent
    actor: Party
    now: datetime


class Move(NamedTuple):
    """As of orders: `to` where it may lead, `says` the key of what others are told."""

    by: frozenset[Role]
    to: tuple[TaskState, ...]
    guard: Callable[[Step], Refusal | None]
    effect: Callable[[Step], dict[str, Any]]
    says: str
    when: Callable[[Task], bool] = always


class TaskChange(NamedTuple):
    """`task` is None when the event was refused."""

    task: Task | None
    notices: tuple[Notice, ...] = ()
    starts: tuple[ClockStart, ...] = ()
    stops: tuple[ClockStop, ...] = ()
    refused: Refusal | None = None


def _free(step: Step) -> Refusal | None:
    return None


def _mine(step: Step) -> Refusal | None:
    """The one who took it goes on with it. Who that is, is not told to the others."""
    task = step.task
    if task.taken_by is not None and task.taken_by != step.actor.id:
        return Refusal("taken", f"another took this task at {iso(task.taken_at)}; the person is not called twice")
    return None


def _attempted(step: Step) -> Refusal | None:
    attempt = step.event.attempt
    if attempt is None:
        return Refusal("attempt-missing", "say who spoke to the person, how, and what came of it")
    if done_between(attempt.done_at, step.task.opened_at, step.now) is None:
        return Refusal("impossible-time", f"it was done after {iso(step.task.opened_at)} and before {iso(step.now)}")
    if (attempt.result in _CONVINCED) != (step.event.kind is E.SUCCEED):
        return Refusal("result-differs", "a convinced person is a success, any other result a try")
    return _mine(step)


def _why(step: Step) -> Refusal | None:
    if step.event.outcome in (None, Outcome.DISSUADED):
        return Refusal("reason-missing", "say why it ends: paid, not_reached, insisted or not_at_risk")
    return None


def _no_success(step: Step) -> Refusal | None:
    if step.event.outcome is Outcome.DISSUADED:
        return Refusal("result-differs", "a person who was dissuaded is a success, not a task called off")
    return None


def _open_task(step: Step) -> dict[str, Any]:
    return {"state": S.OPEN}


def _take_task(step: Step) -> dict[str, Any]:
    return {"state": S.TAKEN, "taken_by": step.actor.id, "taken_at": step.now}


def _give_task_back(step: Step) -> dict[str, Any]:
    return {"state": S.OPEN, "taken_by": None, "taken_at": None}


def _record_attempt(step: Step) -> dict[str, Any]:
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


def _record_success(step: Step) -> dict[str, Any]:
    saved = {"saved_minor": step.event.saved_minor, "currency": step.event.currency}
    return {**_record_attempt(step), **_end_task(step, S.DISSUADED, Outcome.DISSUADED), **saved}


def _give_task_up(step: Step) -> dict[str, Any]:
    return _end_task(step, S.NOT_DISSUADED, step.event.outcome)


def _cancel_task(step: Step) -> dict[str, Any]:
    return _end_task(step, S.CANCELLED, step.event.outcome or Outcome.NOT_AT_RISK)


def _reopen_missed_task(step: Step) -> dict[str, Any]:
    """Nobody took a step in time: it is everybody's again."""
    return {**_give_task_back(step), "missed": step.task.missed + 1}


def _end_task(step: Step, state: TaskState, outcome: Outcome | None) -> dict[str, Any]:
    return {"state": state, "outcome": outcome, "ended_at": step.now}


_OFFICER, _STAGE = frozenset({Role.OFFICER}), frozenset({Role.STAGE})
_REACHES = frozenset({Role.INSTITUTION, Role.OFFICER})
"""A police station is a unit of officers, a bank or operator an institution."""

_cancel = Move(_OFFICER | _STAGE, (S.CANCELLED,), _no_success, _cancel_task, "task_over")

TABLE: dict[tuple[str, E], Move] = {
    (NONE, E.ASK): Move(_OFFICER | _STAGE, (S.OPEN,), _free, _open_task, "task_asked"),
    (S.OPEN, E.TAKE): Move(_REACHES, (S.TAKEN,), _free, _take_task, "task_taken"),
    (S.TAKEN, E.GIVE_BACK): Move(_REACHES, (S.OPEN,), _mine, _give_task_back, "task_open_again"),
    **{(state, E.TRY): Move(_REACHES, (S.TAKEN,), _attempted, _record_attempt, "task_tried") for state in (S.OPEN, S.TAKEN)},
    **{
        (state, E.SUCCEED): Move(_REACHES, (S.DISSUADED,), _attempted, _record_success, "task_over")
        for state in (S.OPEN, S.TAKEN)
    },
    (S.TAKEN, E.GIVE_UP): Move(_REACHES, (S.NOT_DISSUADED,), lambda step: _mine(step) or _why(step), _give_task_up, "task_over"),
    **{(state, E.CANCEL): _cancel for state in (S.OPEN, S.TAKEN)},
    **{(state, E.DUE): Move(_STAGE, (S.OPEN,), _free, _reopen_missed_task, "task_missed") for state in (S.OPEN, S.TAKEN)},
}
"""state x event -> move."""
_BY_ANY_OFFICER = frozenset({E.ASK, E.CANCEL})
_ASKS = frozenset({"task_asked", "task_open_again", "task_missed"})
"""These ask everybody; the others tell those who need do nothing (any more)."""


def decide(*, task: Task | None, event: TaskEvent, actor: str, now: datetime) -> TaskChange:
    """What becomes of the event. `actor`: `institution:...`, `officer:...` (who acts as the event's `unit`) or `stage:...`."""
    who = party(actor)
    if who.role == Role.OFFICER and event.unit is not None:
        who = Party(Role.OFFICER, event.unit)
    if task is None and (event.kind is not E.ASK or event.draft is None):
        return TaskChange(None, refused=Refusal("unknown-task", f"there is no task {event.task_id} in this case"))
    thing = task or _candidate(event, now)
    state = task.state if task else NONE
    moves = open_moves(TABLE, state, thing, who.role)
    if not any(reach.party == who.id for reach in thing.reach):
        if who.role == Role.INSTITUTION:
            return TaskChange(None, refused=Refusal("not-recipient", "this task was not asked of you"))
        moves = tuple(name for name in moves if who.role != Role.OFFICER or name in _BY_ANY_OFFICER)
    move = TABLE.get((state, event.kind))
    if move is None or event.kind not in moves:
        return TaskChange(None, refused=Refusal("not-allowed", f"the task is {state}; {listed(moves)}", moves))
    step = Step(thing, event, who, now)
    refused = move.guard(step)
    if refused is not None:
        return TaskChange(None, refused=refused._replace(moves=moves))
    changed = thing.model_copy(update={**move.effect(step), "changed_at": now})
    stops = (ClockStop(CLOCK, changed.task_id),) if task else ()
    runs = changed.state not in OVER and changed.missed < MOST_MISSED
    starts = (ClockStart(CLOCK, changed.task_id),) if runs else ()
    return TaskChange(changed, _notices(changed, step, move.says), starts, stops)


def _notices(task: Task, step: Step, says: str) -> tuple[Notice, ...]:
    """To everybody who can reach the person but the one who acts, and to the agency that asked."""
    kind = NoticeKind.TASK if says in _ASKS else NoticeKind.FEEDBACK
    everybody = {reach.party: kind for reach in task.reach if reach.party != step.actor.id}
    to = {**everybody, **({} if says == "task_asked" else {task.agency: NoticeKind.FEEDBACK})}
    data: dict[str, int | str] = {"state": task.state.value, "tries": task.tries, "missed": task.missed}
    if task.outcome is not None:
        data["outcome"] = task.outcome.value
    return tuple(
        Notice.trusted(
            notice_id=f"{step.event.event_id}/{task.task_id}/{number}",
            recipient=recipient,
            kind=of_kind,
            case_id=task.case_id,
            says=says,
            at=step.now,
            task_id=task.task_id,
            subject=task.person,
            data=data,
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
