"""Routes over dissuasions (劝阻): an officer asks; a party that can reach the person takes the dissuasion, reports attempts,
returns it or ends it.

Invariant: a dissuasion that was not addressed to the caller is answered as one that does not exist. A party acts in its own name,
an officer as a unit of his token.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from gateway.commands.case_requests import CasePart, act, action_of, is_officer, place_of, protector, reply, seen_case, wanted_of
from gateway.commands.endpoints import command_endpoint
from gateway.http.call import Call
from gateway.http.caller import Caller
from gateway.http.endpoint import Endpoint
from gateway.http.problem_sets import VIEWS
from gateway.http.problems import Problem
from gateway.http.request_body import read_json
from gateway.http.responses import dumped
from gateway.http.roles import BOTH, OFFICERS
from gateway.rendering.case_parts import DissuasionOut, teller
from gateway.security.audit import accessed
from schemas.appeals import MoveIn
from schemas.cases.case import ActionKind, Case
from schemas.common import is_unit
from schemas.dissuasion import (
    AttemptIn,
    CancelIn,
    Dissuasion,
    DissuasionEnd,
    DissuasionEvent,
    DissuasionEventKind,
    DissuasionIn,
    GiveUpIn,
    Reach,
    Way,
)
from schemas.ids import DISSUASION, name_of


async def post_dissuasion(call: Call) -> Response:
    """Asks everybody in `reachable_by` to dissuade the victim. One of them takes the dissuasion, and the others are told not to
    call."""
    body = await read_json(call, DissuasionIn)
    case = await seen_case(call)
    action_id = action_of(call)
    name = name_of(DISSUASION, case.case_id, action_id)

    def members() -> dict[str, Any]:
        event = protector(call).draft_dissuasion(body, name, case.case_id, case.queue, action_id)
        return {"dissuasion": event, "revision": body.revision}

    outcome = await act(call, case, wanted_of(ActionKind.DISSUASION, "dissuasion", body, members), action_id)
    return reply(outcome, lambda after: _render_dissuasion(call, after, name))


async def get_dissuasion(call: Call) -> Response:
    """Returns a dissuasion that was addressed to you, or of a case of yours, with the person. The audit log records the
    access."""
    name, case = await _locate_dissuasion(call)
    accessed(call.caller, "dissuasion", dissuasion=name, case=case.case_id)
    return dumped(_render_dissuasion(call, case, name))


async def post_take(call: Call) -> Response:
    """Takes the dissuasion. Nobody else calls the person meanwhile."""
    return await _submit_move(call, MoveIn, lambda body: {"kind": DissuasionEventKind.TAKE})


async def post_give_back(call: Call) -> Response:
    """Returns the dissuasion to everybody who can reach the person."""
    return await _submit_move(call, MoveIn, lambda body: {"kind": DissuasionEventKind.GIVE_BACK})


async def post_give_up(call: Call) -> Response:
    """Ends the dissuasion without success, with the reason."""
    return await _submit_move(
        call, GiveUpIn, lambda body: {"kind": DissuasionEventKind.GIVE_UP, "outcome": DissuasionEnd(body.outcome)}
    )


async def post_dissuasion_cancel(call: Call) -> Response:
    """Cancels the dissuasion."""
    body = await read_json(call, CancelIn)
    name, case = await _locate_dissuasion(call)
    if not call.caller.may_work_on(case.queue):
        raise Problem("unknown-dissuasion", "there is no such dissuasion, or you may not see it")
    outcome = DissuasionEnd(body.outcome)
    return await _submit_event(
        call, CasePart(name, case), body, {"kind": DissuasionEventKind.CANCEL, "outcome": outcome}, body.revision
    )


async def post_attempt(call: Call) -> Response:
    """Reports an attempt: channel, speaker, content and result. A convinced person ends the dissuasion. `caller` and
    `conversation` are sealed before they leave the gateway."""
    body = await read_json(call, AttemptIn)
    place = await _locate_dissuasion(call)
    reach = _find_reach(call, _load_dissuasion(call, place.case, place.name))
    if reach is None:
        raise Problem("forbidden", "only a recipient of the dissuasion may report an attempt")
    kind = DissuasionEventKind.SUCCEED if body.result == "convinced" else DissuasionEventKind.ATTEMPT
    saved = (
        {"prevented_loss_minor": body.prevented_loss_minor, "currency": body.currency}
        if body.prevented_loss_minor is not None
        else {}
    )

    def attempt(action_id: str) -> dict[str, Any]:
        made = protector(call).attempt(body, place.name, reach.party, reach.party_type, datetime.now(UTC), action_id)
        return {"attempt": made}

    return await _submit_event(call, place, body, {"kind": kind, **saved}, sealed=attempt)


async def _submit_move(call: Call, model: type[BaseModel], members: Callable[[Any], dict[str, Any]]) -> Response:
    body = await read_json(call, model)
    return await _submit_event(call, await _locate_dissuasion(call), body, members(body))


async def _submit_event(
    call: Call,
    place: CasePart,
    body: BaseModel,
    members: dict[str, Any],
    revision: int | None = None,
    sealed: Callable[[str], dict[str, Any]] = lambda action_id: {},
) -> Response:
    name, case = place
    action_id = action_of(call)
    reach = _find_reach(call, _load_dissuasion(call, case, name)) if is_officer(call) else None
    unit = reach.party if reach else None

    def event() -> dict[str, Any]:
        dissuasion_event = DissuasionEvent(event_id=action_id, dissuasion_id=name, unit=unit, **members, **sealed(action_id))
        return {"dissuasion": dissuasion_event, "revision": revision}

    requested = wanted_of(ActionKind.DISSUASION, f"{name} {members['kind'].value}", body, event)
    outcome = await act(call, case, requested, action_id)
    return reply(outcome, lambda after: _render_dissuasion(call, after, name))


async def _locate_dissuasion(call: Call) -> CasePart:
    return await place_of(call, DISSUASION, "dissuasion_id", lambda case, name: _find_dissuasion(call, case, name) is not None)


def _find_reach(call: Call, dissuasion: Dissuasion) -> Reach | None:
    """The party that the caller acts as: an institution as itself, an officer as a unit of his token."""
    caller = call.caller
    if not is_officer(call):
        return next((reach for reach in dissuasion.reachable_by if reach.party == caller.subject), None)
    return next((reach for reach in dissuasion.reachable_by if _is_unit_of(caller, reach)), None)


def _is_unit_of(caller: Caller, reach: Reach) -> bool:
    """`*` means every unit, and no institution: a bank acts for itself. A police station may have any name (its channel makes it
    a unit of officers); then the token must contain that name in full."""
    if is_unit(reach.party):
        return caller.may_work_on(reach.party)
    return reach.party_type is Way.POLICE_STATION and reach.party in caller.queues


def _find_dissuasion(call: Call, case: Case, name: str) -> Dissuasion | None:
    """Returns the dissuasion to those who may see it: the agency with the case, and everyone who can reach the person."""
    dissuasion = next((candidate for candidate in case.dissuasions if candidate.dissuasion_id == name), None)
    if dissuasion is None or (is_officer(call) and call.caller.may_work_on(case.queue)):
        return dissuasion
    return dissuasion if _find_reach(call, dissuasion) is not None else None


def _load_dissuasion(call: Call, case: Case, name: str) -> Dissuasion:
    dissuasion = _find_dissuasion(call, case, name)
    if dissuasion is None:
        raise Problem("unknown-dissuasion", "there is no such dissuasion, or you may not see it")
    return dissuasion


def _render_dissuasion(call: Call, case: Case, name: str) -> DissuasionOut:
    return teller(call).dissuasion(_load_dissuasion(call, case, name))


_WAYS: tuple[tuple[str, Callable[[Call], Awaitable[Response]], type[BaseModel], str, tuple[str, ...]], ...] = (
    ("take", post_take, MoveIn, "Take a dissuasion", ()),
    ("give-back", post_give_back, MoveIn, "Return a dissuasion", ()),
    (
        "attempts",
        post_attempt,
        AttemptIn,
        "Report a dissuasion attempt",
        ("attempt-missing", "time-out-of-range", "result-mismatch"),
    ),
    ("give-up", post_give_up, GiveUpIn, "End a dissuasion without success", ("reason-missing",)),
)
ENDPOINTS = [
    command_endpoint(
        "/v1/cases/{case_id}/dissuasions",
        post_dissuasion,
        OFFICERS,
        "Create a dissuasion",
        body=DissuasionIn,
        answer=DissuasionOut,
        problems=("too-many-dissuasions",),
    ),
    Endpoint(
        "GET",
        "/v1/dissuasions/{dissuasion_id}",
        get_dissuasion,
        BOTH,
        "Retrieve a dissuasion",
        answer=DissuasionOut,
        problems=("unknown-dissuasion", *VIEWS),
    ),
    *(
        command_endpoint(
            f"/v1/dissuasions/{{dissuasion_id}}/{word}",
            handler,
            BOTH,
            summary,
            body=body,
            answer=DissuasionOut,
            problems=("unknown-dissuasion", "not-recipient", "dissuasion-taken", *more),
        )
        for word, handler, body, summary, more in _WAYS
    ),
    command_endpoint(
        "/v1/dissuasions/{dissuasion_id}/cancel",
        post_dissuasion_cancel,
        OFFICERS,
        "Cancel a dissuasion",
        body=CancelIn,
        answer=DissuasionOut,
        problems=("unknown-dissuasion", "result-mismatch"),
    ),
]
