"""Routes over appeals (申诉) of wrongly hit persons: filed through an institution or an agency, decided, released, confirmed.

Invariant: a party acts in its own name: an institution as itself, an officer for the queue that has the case. The person's words
leave the gateway sealed.
"""

from __future__ import annotations

from pydantic import BaseModel
from starlette.responses import Response

from gateway.commands.case_requests import act, action_of, is_officer, live_case, protector, reply, wanted_of
from gateway.commands.endpoints import command_endpoint
from gateway.http.call import Call
from gateway.http.caller import Role
from gateway.http.endpoint import Endpoint, Handler
from gateway.http.problem_sets import VIEWS
from gateway.http.problems import Problem
from gateway.http.request_body import read_json
from gateway.http.responses import dumped
from gateway.http.roles import BOTH, INSTITUTIONS, OFFICERS
from gateway.rendering.case_parts import AppealOut, own_appeals, teller
from gateway.security.audit import accessed
from schemas.appeals import Appeal, AppealIn, AppealMove, DecisionIn, MoveIn, NoticeIn
from schemas.cases.case import ActionKind, Case
from schemas.ids import APPEAL, name_of


async def post_appeal(call: Call) -> Response:
    """Files the appeal of a person. This starts the deadlines of the written notice and of the decision."""
    body = await read_json(call, AppealIn)
    case = await live_case(call)
    action_id = action_of(call)
    name = name_of(APPEAL, case.case_id, action_id)
    return await _submit_action(call, case, name, AppealMove.FILE, body, action_id, body.text, orders=body.orders)


async def get_appeal(call: Call) -> Response:
    """Returns an appeal that you filed, have to release for, or that is of a case of yours. The audit log records the access."""
    case = await live_case(call)
    name = call.request.path_params["appeal_id"]
    appeal = _render_appeal(call, case, name)
    accessed(call.caller, "appeal", appeal=name, case=case.case_id)
    return dumped(appeal)


def _handler_of(move: AppealMove, model: type[BaseModel]) -> Handler:
    async def handler(call: Call) -> Response:
        body = await read_json(call, model)
        case = await live_case(call)
        name = call.request.path_params["appeal_id"]
        _render_appeal(call, case, name)
        text = getattr(body, "text", None) or getattr(body, "reasons", None)
        return await _submit_action(call, case, name, move, body, action_of(call), text)

    return handler


async def _submit_action(
    call: Call,
    case: Case,
    name: str,
    move: AppealMove,
    body: BaseModel,
    action_id: str,
    text: str | None,
    orders: tuple[str, ...] = (),
) -> Response:
    officer = call.caller.subject if is_officer(call) else None
    party = case.queue if officer else call.caller.subject

    def members() -> dict[str, object]:
        made = protector(call).appeal(move, name, case.case_id, party, action_id, text, officer=officer, orders=orders)
        return {"appeal": made, "revision": getattr(body, "revision", None) if officer else None}

    lodged = move is AppealMove.FILE
    requested = wanted_of(ActionKind.APPEAL, f"{'' if lodged else name} {move.value}", body, members)
    outcome = await act(call, case, requested, action_id)
    return reply(outcome, lambda after: _render_appeal(call, after, name))


def _find_appeal(call: Call, case: Case, name: str) -> Appeal | None:
    visible = case.appeals if is_officer(call) else own_appeals(case, call.caller.subject)
    return next((appeal for appeal in visible if appeal.appeal_id == name), None)


def _render_appeal(call: Call, case: Case, name: str) -> AppealOut:
    appeal = _find_appeal(call, case, name)
    if appeal is None:
        raise Problem("unknown-appeal", "the case has no such appeal, or you may not see it")
    return teller(call).appeal(appeal, case)


_MOVES: tuple[tuple[AppealMove, frozenset[Role], type[BaseModel], str, str, tuple[str, ...]], ...] = (
    (AppealMove.NOTICE, BOTH, NoticeIn, "Report the notice of rights", "Records the written notice in `text`.", ()),
    (
        AppealMove.UPHOLD,
        OFFICERS,
        DecisionIn,
        "Uphold an appeal",
        "Decides that the appeal is justified. The officer who gave the contested order may not decide.",
        ("conflict-of-interest", "reasons-missing"),
    ),
    (
        AppealMove.REJECT,
        OFFICERS,
        DecisionIn,
        "Reject an appeal",
        "Decides that the appeal is not justified. The officer who gave the contested order may not decide.",
        ("conflict-of-interest", "reasons-missing"),
    ),
    (
        AppealMove.RELEASE,
        OFFICERS,
        MoveIn,
        "Release after an appeal",
        "Tells every recipient that executed a contested order or measure to release it, and waits for each confirmation.",
        (),
    ),
    (AppealMove.CONFIRM, INSTITUTIONS, MoveIn, "Confirm a release", "Confirms that you no longer hold anything.", ()),
)
_PLACE = "/v1/cases/{case_id}/appeals"
ENDPOINTS = [
    command_endpoint(
        _PLACE,
        post_appeal,
        BOTH,
        "File an appeal",
        body=AppealIn,
        answer=AppealOut,
        problems=("nothing-to-appeal", "unknown-order", "too-many-appeals"),
    ),
    Endpoint(
        "GET",
        _PLACE + "/{appeal_id}",
        get_appeal,
        BOTH,
        "One appeal",
        answer=AppealOut,
        problems=("unknown-case", "unknown-appeal", *VIEWS),
    ),
    *(
        command_endpoint(
            f"{_PLACE}/{{appeal_id}}/{move.value}",
            _handler_of(move, model),
            roles,
            summary,
            name=f"post_appeal_{move.value}",
            description=description,
            body=model,
            answer=AppealOut,
            problems=("unknown-appeal", *more),
        )
        for move, roles, model, summary, description, more in _MOVES
    ),
]
