"""Shared by the routes over cases: the body, the visible case, the action, and its response.

Invariant: a case, order, dissuasion or appeal that the caller may not see is answered as one that does not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel
from starlette.responses import Response

from gateway.commands.case_commands import CaseCommands, CaseRequest, PendingAction
from gateway.commands.responses import ActionOut
from gateway.commands.sealing import Protector
from gateway.http.call import Call
from gateway.http.caller import Role
from gateway.http.problems import Problem
from gateway.http.responses import LinksOut, dumped, words
from schemas.cases.case import ActionKind, Case, CaseStatus
from schemas.ids import Form, case_of
from stream_processors.views.allowed_actions import MERGES_FOLLOWED, concerns


class CasePart(NamedTuple):
    """A resource of a case by its name in the request, and the case that contains it."""

    name: str
    case: Case


def is_officer(call: Call) -> bool:
    return call.caller.role is Role.OFFICER


def protector(call: Call) -> Protector:
    return Protector(call.services.tokenizer, call.services.sealer)


def may_see(call: Call, case: Case) -> bool:
    """An officer may see it by the queue, an institution by its involvement in the case."""
    if is_officer(call):
        return call.caller.may_work_on(case.queue)
    return concerns(case, call.caller.subject)


async def seen_case(call: Call) -> Case:
    """Returns the case in the path, if it exists and the caller may see it; both failures look the same."""
    return (await _follow_merges(call))[0]


async def live_case(call: Call) -> Case:
    """Returns the case in the path; for an institution the case that absorbed it, which gets all later actions."""
    return [case for case in await _follow_merges(call) if may_see(call, case)][-1]


async def _follow_merges(call: Call) -> list[Case]:
    """Returns the case in the path and, for an institution, the cases that absorbed it in order: after a merge the case itself no
    longer shows its institutions."""
    line: list[Case] = []
    at: str | None = call.request.path_params["case_id"]
    for _ in range(1 if is_officer(call) else MERGES_FOLLOWED):
        case = await call.services.views.case(at) if at is not None else None
        if case is None:
            break
        line.append(case)
        at = case.merged_into if case.status is CaseStatus.MERGED else None
    if not any(may_see(call, case) for case in line):
        raise Problem("unknown-case", "the case does not exist, or you may not see it")
    return line


async def place_of(call: Call, form: Form, parameter: str, has: Callable[[Case, str], bool]) -> CasePart:
    """Returns the resource of the path, in its case or in the case that absorbed it. `has`: whether a case contains it, for the
    caller. The problem is `unknown-order` for `order_id`, and so on."""
    name = call.request.path_params[parameter]
    at: str | None = case_of(form, name)
    for _ in range(MERGES_FOLLOWED):
        case = await call.services.views.case(at) if at is not None else None
        if case is None:
            break
        if has(case, name):
            return CasePart(name, case)
        at = case.merged_into
    what = parameter.removesuffix("_id")
    raise Problem(f"unknown-{what}", f"there is no such {what}, or you may not see it")


def action_of(call: Call, *names: str) -> str:
    """Returns the action's id: from the sender's Idempotency-Key, from `names` (then permanent), or a new one."""
    role = () if is_officer(call) else (call.caller.role.value,)
    key = call.request.headers.get("idempotency-key")
    parts = (*((key,) if key else ()), *names)
    return call.find_service(CaseCommands).action_id(*((*role, call.caller.subject, *parts) if parts else ()))


async def act(call: Call, case: Case, requested: CaseRequest, action_id: str) -> Case | PendingAction:
    """Appends the action and waits for its outcome."""
    try:
        outcome = await call.find_service(CaseCommands).act(call.caller, case, requested, action_id)
    except Problem as problem:
        if not is_officer(call):
            problem.more.pop("revision", None)  # it counts what everybody did in the case
        if moves := problem.more.get("allowed_transitions"):
            problem.more["allowed_transitions"] = words(moves)
        raise
    return outcome if isinstance(outcome, PendingAction) else outcome.case


def wanted_of(kind: ActionKind, what: str, body: BaseModel, members: Callable[[], Mapping[str, Any]]) -> CaseRequest:
    """Returns an action on the resource `what` (the rest of the path)."""
    return CaseRequest(kind, f"{what} {body.model_dump_json()}", members)


def pending_reply(pending: PendingAction, status: int = 202) -> Response:
    """In the log, not decided yet: returns where to ask."""
    where = f"/v1/actions/{pending.action_id}"
    memo = pending.memo
    action = ActionOut(
        action_id=pending.action_id, status="pending", case_id=memo.case_id, kind=memo.kind, links=LinksOut(self=where)
    )
    return dumped(action, status, {"Location": where, "Retry-After": "1"})


def reply(outcome: Case | PendingAction, tell: Callable[[Case], BaseModel]) -> Response:
    return pending_reply(outcome) if isinstance(outcome, PendingAction) else dumped(tell(outcome))
