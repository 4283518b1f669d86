"""Routes over appeals (申诉) of wrongly hit persons: filed through an institution or an agency, decided, released, confirmed.

Invariant: a party acts in its own name: an institution as itself, an officer for the queue that has the case. The person's words
leave the gateway sealed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pydantic import BaseModel
from starlette.responses import Response

from gateway.commands.case_requests import (
    BOTH,
    CASE,
    INSTITUTIONS,
    OFFICERS,
    act,
    action_of,
    body_of,
    is_officer,
    live_case,
    move_endpoint,
    protector,
    reply,
    teller,
    wanted_of,
)
from gateway.http.endpoint import Call, Endpoint
from gateway.http.responses import dumped
from gateway.orders.responses import ObjectionOut, own_objections
from gateway.problems import Problem
from gateway.security.audit import accessed
from gateway.security.auth import Role
from schemas.appeals import DecisionIn, MoveIn, NoticeIn, Objection, ObjectionIn, ObjectionMove
from schemas.cases.case import ActionKind, Case
from schemas.ids import OBJECTION, name_of


async def post_objection(call: Call) -> Response:
    """Files the appeal of a person. This starts the deadlines of the written notice and of the decision."""
    body = await body_of(call, ObjectionIn)
    case = await live_case(call)
    action_id = action_of(call)
    name = name_of(OBJECTION, case.case_id, action_id)
    return await _act(call, case, name, ObjectionMove.LODGE, body, action_id, body.text, orders=body.orders)


async def get_objection(call: Call) -> Response:
    """Returns an appeal that you filed, have to release for, or that is of a case of yours. The audit log records the access."""
    case = await live_case(call)
    name = call.request.path_params["objection_id"]
    objection = _render_objection(call, case, name)
    accessed(call.caller, "objection", objection=name, case=case.case_id)
    return dumped(objection)


def _mover(move: ObjectionMove, model: type[BaseModel], description: str) -> Callable[[Call], Awaitable[Response]]:
    async def handler(call: Call) -> Response:
        body = await body_of(call, model)
        case = await live_case(call)
        name = call.request.path_params["objection_id"]
        _render_objection(call, case, name)
        text = getattr(body, "text", None) or getattr(body, "reasons", None)
        return await _act(call, case, name, move, body, action_of(call), text)

    handler.__name__, handler.__doc__ = f"post_objection_{move.value}", description
    return handler


async def _act(
    call: Call,
    case: Case,
    name: str,
    move: ObjectionMove,
    body: BaseModel,
    action_id: str,
    text: str | None,
    orders: tuple[str, ...] = (),
) -> Response:
    officer = call.caller.subject if is_officer(call) else None
    party = case.queue if officer else call.caller.subject

    def members() -> dict[str, object]:
        made = protector(call).objection(move, name, case.case_id, party, action_id, text, officer=officer, orders=orders)
        return {"objection": made, "revision": getattr(body, "revision", None) if officer else None}

    lodged = move is ObjectionMove.LODGE
    requested = wanted_of(ActionKind.OBJECTION, f"{'' if lodged else name} {move.value}", body, members)
    outcome = await act(call, case, requested, action_id)
    return reply(outcome, lambda after: _render_objection(call, after, name))


def _find(call: Call, case: Case, name: str) -> Objection | None:
    visible = case.objections if is_officer(call) else own_objections(case, call.caller.subject)
    return next((objection for objection in visible if objection.objection_id == name), None)


def _render_objection(call: Call, case: Case, name: str) -> ObjectionOut:
    objection = _find(call, case, name)
    if objection is None:
        raise Problem("unknown-objection", "the case has no such appeal, or you may not see it")
    return teller(call).objection(objection, case)


_MOVES: tuple[tuple[ObjectionMove, frozenset[Role], type[BaseModel], str, str, tuple[str, ...]], ...] = (
    (ObjectionMove.NOTICE, BOTH, NoticeIn, "Report the notice of rights", "Records the written notice in `text`.", ()),
    (
        ObjectionMove.UPHOLD,
        OFFICERS,
        DecisionIn,
        "Uphold an appeal",
        "Decides that the appeal is justified. The officer who gave the contested order may not decide.",
        ("own-order", "no-reasons"),
    ),
    (
        ObjectionMove.REJECT,
        OFFICERS,
        DecisionIn,
        "Reject an appeal",
        "Decides that the appeal is not justified. The officer who gave the contested order may not decide.",
        ("own-order", "no-reasons"),
    ),
    (
        ObjectionMove.RELEASE,
        OFFICERS,
        MoveIn,
        "Release after an appeal",
        "Tells every recipient that executed a contested order or measure to release it, and waits for each confirmation.",
        (),
    ),
    (ObjectionMove.CONFIRM, INSTITUTIONS, MoveIn, "Confirm a release", "Confirms that you no longer hold anything.", ()),
)
_PLACE = "/v1/cases/{case_id}/objections"
ENDPOINTS = [
    move_endpoint(
        _PLACE,
        post_objection,
        BOTH,
        "File an appeal",
        body=ObjectionIn,
        answer=ObjectionOut,
        problems=(*CASE, "nothing-to-object", "unknown-order", "too-many-objections"),
    ),
    Endpoint(
        "GET",
        _PLACE + "/{objection_id}",
        get_objection,
        BOTH,
        "One objection",
        answers={200: ObjectionOut},
        problems=("unknown-case", "unknown-objection", "rebuilding", "state-unavailable"),
    ),
    *(
        move_endpoint(
            f"{_PLACE}/{{objection_id}}/{move.value}",
            _mover(move, model, description),
            roles,
            summary,
            body=model,
            body_required=model is not MoveIn,
            answer=ObjectionOut,
            problems=(*CASE, "unknown-objection", *more),
        )
        for move, roles, model, summary, description, more in _MOVES
    ),
]
