"""Routes over dissuasion tasks (劝阻): an officer asks; a party that can reach the person takes the task, reports attempts,
returns it or ends it.

Invariant: a task that was not addressed to the caller is answered as one that does not exist. A party acts in its own name, an
officer as a unit of his token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from gateway.commands.case_requests import (
    BOTH,
    CASE,
    OFFICERS,
    Place,
    act,
    action_of,
    body_of,
    is_officer,
    move_endpoint,
    place_of,
    protector,
    reply,
    seen_case,
    teller,
    wanted_of,
)
from gateway.http.endpoint import Call, Endpoint
from gateway.http.responses import dumped
from gateway.orders.responses import TaskOut
from gateway.problems import Problem
from gateway.security.audit import accessed
from gateway.security.auth import Caller
from schemas.appeals import MoveIn
from schemas.cases.case import ActionKind, Case
from schemas.common import is_unit
from schemas.dissuasion import AttemptIn, CancelIn, GiveUpIn, Reach, Task, TaskEnd, TaskEvent, TaskEventKind, TaskIn, Way
from schemas.ids import TASK, name_of


async def post_task(call: Call) -> Response:
    """Asks everybody in `reach` to dissuade the victim. One of them takes the task, and the others are told not to call."""
    body = await body_of(call, TaskIn)
    case = await seen_case(call)
    action_id = action_of(call)
    name = name_of(TASK, case.case_id, action_id)

    def members() -> dict[str, Any]:
        event = protector(call).draft_task(body, name, case.case_id, case.queue, action_id)
        return {"task": event, "revision": body.revision}

    outcome = await act(call, case, wanted_of(ActionKind.TASK, "task", body, members), action_id)
    return reply(outcome, lambda after: _render_task(call, after, name))


async def get_task(call: Call) -> Response:
    """Returns a task that was addressed to you, or of a case of yours, with the person. The audit log records the access."""
    name, case = await _place(call)
    accessed(call.caller, "task", task=name, case=case.case_id)
    return dumped(_render_task(call, case, name))


async def post_take(call: Call) -> Response:
    """Takes the task. Nobody else calls the person meanwhile."""
    return await _move(call, MoveIn, lambda body: {"kind": TaskEventKind.TAKE})


async def post_give_back(call: Call) -> Response:
    """Returns the task to everybody who can reach the person."""
    return await _move(call, MoveIn, lambda body: {"kind": TaskEventKind.GIVE_BACK})


async def post_give_up(call: Call) -> Response:
    """Ends the task without success, with the reason."""
    return await _move(call, GiveUpIn, lambda body: {"kind": TaskEventKind.GIVE_UP, "outcome": TaskEnd(body.outcome)})


async def post_task_cancel(call: Call) -> Response:
    """Cancels the task."""
    body = await body_of(call, CancelIn)
    name, case = await _place(call)
    if not call.caller.may_work_on(case.queue):
        raise Problem("unknown-task", "there is no such dissuasion task, or you may not see it")
    outcome = TaskEnd(body.outcome)
    return await _event(call, Place(name, case), body, {"kind": TaskEventKind.CANCEL, "outcome": outcome}, body.revision)


async def post_try(call: Call) -> Response:
    """Reports an attempt: channel, speaker, content and result. A convinced person ends the task. `caller` and `said` are sealed
    before they leave the gateway."""
    body = await body_of(call, AttemptIn)
    place = await _place(call)
    reach = _reach(call, _task(call, place.case, place.name))
    if reach is None:
        raise Problem("forbidden", "only a recipient of the dissuasion task may report an attempt")
    kind = TaskEventKind.SUCCEED if body.result == "convinced" else TaskEventKind.TRY
    saved = {"saved_minor": body.saved_minor, "currency": body.currency} if body.saved_minor is not None else {}

    def attempt(action_id: str) -> dict[str, Any]:
        made = protector(call).attempt(body, place.name, reach.party, reach.way, datetime.now(UTC), action_id)
        return {"attempt": made}

    return await _event(call, place, body, {"kind": kind, **saved}, sealed=attempt)


async def _move(call: Call, model: type[BaseModel], members: Callable[[Any], dict[str, Any]]) -> Response:
    body = await body_of(call, model)
    return await _event(call, await _place(call), body, members(body))


async def _event(
    call: Call,
    place: Place,
    body: BaseModel,
    members: dict[str, Any],
    revision: int | None = None,
    sealed: Callable[[str], dict[str, Any]] = lambda action_id: {},
) -> Response:
    name, case = place
    action_id = action_of(call)
    reach = _reach(call, _task(call, case, name)) if is_officer(call) else None
    unit = reach.party if reach else None

    def event() -> dict[str, Any]:
        task_event = TaskEvent(event_id=action_id, task_id=name, unit=unit, **members, **sealed(action_id))
        return {"task": task_event, "revision": revision}

    requested = wanted_of(ActionKind.TASK, f"{name} {members['kind'].value}", body, event)
    outcome = await act(call, case, requested, action_id)
    return reply(outcome, lambda after: _render_task(call, after, name))


async def _place(call: Call) -> Place:
    return await place_of(call, TASK, "task_id", lambda case, name: _find(call, case, name) is not None)


def _reach(call: Call, task: Task) -> Reach | None:
    """The party that the caller acts as: an institution as itself, an officer as a unit of his token."""
    caller = call.caller
    if not is_officer(call):
        return next((reach for reach in task.reach if reach.party == caller.subject), None)
    return next((reach for reach in task.reach if _is_unit_of(caller, reach)), None)


def _is_unit_of(caller: Caller, reach: Reach) -> bool:
    """`*` means every unit, and no institution: a bank acts for itself. A police station may have any name (its channel makes it
    a unit of officers); then the token must contain that name in full."""
    if is_unit(reach.party):
        return caller.may_work_on(reach.party)
    return reach.way is Way.POLICE_STATION and reach.party in caller.queues


def _find(call: Call, case: Case, name: str) -> Task | None:
    """Returns the task to those who may see it: the agency with the case, and everyone who can reach the person."""
    task = next((candidate for candidate in case.tasks if candidate.task_id == name), None)
    if task is None or (is_officer(call) and call.caller.may_work_on(case.queue)):
        return task
    return task if _reach(call, task) is not None else None


def _task(call: Call, case: Case, name: str) -> Task:
    task = _find(call, case, name)
    if task is None:
        raise Problem("unknown-task", "there is no such dissuasion task, or you may not see it")
    return task


def _render_task(call: Call, case: Case, name: str) -> TaskOut:
    return teller(call).task(_task(call, case, name))


_WAYS: tuple[tuple[str, Callable[[Call], Awaitable[Response]], type[BaseModel], str, tuple[str, ...]], ...] = (
    ("take", post_take, MoveIn, "Take a dissuasion task", ()),
    ("give-back", post_give_back, MoveIn, "Return a dissuasion task", ()),
    ("tries", post_try, AttemptIn, "Report a dissuasion attempt", ("attempt-missing", "impossible-time", "result-differs")),
    ("give-up", post_give_up, GiveUpIn, "End a dissuasion task without success", ("reason-missing",)),
)
ENDPOINTS = [
    move_endpoint(
        "/v1/cases/{case_id}/tasks",
        post_task,
        OFFICERS,
        "Create a dissuasion task",
        body=TaskIn,
        answer=TaskOut,
        problems=(*CASE, "too-many-tasks"),
    ),
    Endpoint(
        "GET",
        "/v1/tasks/{task_id}",
        get_task,
        BOTH,
        "Retrieve a dissuasion task",
        answers={200: TaskOut},
        problems=("unknown-task", "rebuilding", "state-unavailable"),
    ),
    *(
        move_endpoint(
            f"/v1/tasks/{{task_id}}/{word}",
            handler,
            BOTH,
            summary,
            body=body,
            body_required=body is not MoveIn,
            answer=TaskOut,
            problems=(*CASE, "unknown-task", "not-recipient", "taken", *more),
        )
        for word, handler, body, summary, more in _WAYS
    ),
    move_endpoint(
        "/v1/tasks/{task_id}/cancel",
        post_task_cancel,
        OFFICERS,
        "Cancel a dissuasion task",
        body=CancelIn,
        body_required=False,
        answer=TaskOut,
        problems=(*CASE, "unknown-task", "result-differs"),
    ),
]
