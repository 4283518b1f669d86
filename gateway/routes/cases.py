"""Routes of officers over one case: read it, claim, renew, release, hand over, dispose; and the outcome of an action.

Invariant: every move is an action in the log; the answer tells what the log made of it, never what the gateway hopes.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from gateway.answers import ActionOut, CaseOut, LinksOut, case_out
from gateway.audit import accessed
from gateway.auth import Role
from gateway.endpoint import Call, Endpoint, Handler
from gateway.intake import validated
from gateway.limits import media_type, read_body
from gateway.officers import Pending, Wanted
from gateway.problems import Problem
from gateway.reply import dumped
from schemas.cases import ActionKind, ActionOutcome, Case, CaseChange, Disposition
from schemas.values import PartyId

OFFICERS = frozenset({Role.OFFICER})


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


_Revision = Field(ge=1, le=2**53)
_LeaseS = Field(default=None, ge=1, le=86_400)


class ClaimIn(_Body):
    """`revision` is the one you saw; `lease_s` is bounded by the policy."""

    revision: int = _Revision
    lease_s: int | None = _LeaseS


class RenewIn(_Body):
    revision: int | None = Field(default=None, ge=1, le=2**53)
    lease_s: int | None = _LeaseS


class ReleaseIn(_Body):
    revision: int | None = Field(default=None, ge=1, le=2**53)


class HandOverIn(_Body):
    """`to` is the officer who holds the case from now on."""

    revision: int = _Revision
    to: PartyId
    lease_s: int | None = _LeaseS


class DisposeIn(_Body):
    """`note` is sealed before it leaves the gateway."""

    revision: int = _Revision
    disposition: Disposition
    note: str | None = Field(default=None, max_length=4000)


async def get_case(call: Call) -> Response:
    """The case with its newest signals and readable values. Who reads it is recorded."""
    case = await _case(call)
    accessed(call.caller, "case", case=case.case_id, queue=case.queue)
    return dumped(case_out(case, call.services.sealer, datetime.now(UTC), whole=True))


async def get_action(call: Call) -> Response:
    """What became of an action of yours: pending, applied or refused."""
    action_id = call.request.path_params["action_id"]
    change = await call.services.views.action(action_id)
    if change is not None and change.actor == f"officer:{call.caller.subject}":
        return dumped(_decided(action_id, change))
    standing = await call.services.desk.standing(action_id) if change is None else None
    if standing is None or standing.officer != call.caller.subject:
        raise Problem("not-found", "there is no such action of yours")
    return pending_reply(Pending(action_id, standing), 200)


def pending_reply(pending: Pending, status: int = 202) -> Response:
    """In the log, not decided yet: where to ask."""
    where = f"/v1/actions/{pending.action_id}"
    standing = pending.standing
    told = ActionOut(
        action_id=pending.action_id,
        status="pending",
        case_id=standing.case_id,
        kind=standing.kind,
        links=LinksOut(self=where),
    )
    return dumped(told, status, {"Location": where, "Retry-After": "1"})


def _decided(action_id: str, change: CaseChange) -> ActionOut:
    return ActionOut(
        action_id=action_id,
        status="refused" if change.outcome is ActionOutcome.REFUSED else "applied",
        case_id=change.case_id or "",
        kind=change.kind.value if change.kind else "",
        revision=change.revision,
        problem=change.problem,
        why=change.why,
        links=LinksOut(self=f"/v1/actions/{action_id}"),
    )


async def _case(call: Call) -> Case:
    """The case, if it exists and lies in a queue of the caller; both failures look the same."""
    case = await call.services.views.case(call.request.path_params["case_id"])
    if case is None or not call.caller.may_work_on(case.queue):
        raise Problem("unknown-case", "there is no such case in your queues")
    return case


async def _move(call: Call, model: type[BaseModel], kind: ActionKind) -> Response:
    services = call.services
    raw = await read_body(call.request, services.settings.body_limit_bytes)
    if raw:
        media_type(call.request, "application/json")
    body = validated(model, raw or b"{}", "invalid-request", services.settings.json_depth_limit)
    case = await _case(call)
    key = call.request.headers.get("idempotency-key")
    action_id = services.desk.action_id(call.caller.subject, key) if key else services.desk.action_id()
    outcome = await services.desk.act(call.caller, case, Wanted(kind, **body.model_dump()), action_id)
    if isinstance(outcome, Pending):
        return pending_reply(outcome)
    return dumped(case_out(outcome.case, services.sealer, datetime.now(UTC), whole=True))


def _mover(kind: ActionKind, model: type[BaseModel], said: str) -> Callable[[Call], object]:
    async def move(call: Call) -> Response:
        return await _move(call, model, kind)

    move.__name__ = f"post_{kind.value}"
    move.__doc__ = said
    return move


_MOVES: tuple[tuple[str, ActionKind, type[BaseModel], str], ...] = (
    ("claim", ActionKind.CLAIM, ClaimIn, "Claim a case with a lease"),
    ("renew", ActionKind.RENEW, RenewIn, "Renew the lease"),
    ("release", ActionKind.RELEASE, ReleaseIn, "Give the case back to its queue"),
    ("hand-over", ActionKind.HAND_OVER, HandOverIn, "Hand the case over to another officer"),
    ("dispose", ActionKind.DISPOSE, DisposeIn, "Dispose of the case"),
)
_REFUSALS = ("unknown-case", "stale-revision", "not-holder", "held-by-other", "disposed", "not-allowed", "unreadable")
_TROUBLE = ("invalid-request", "reference-reused", "log-unavailable", "rebuilding", "state-unavailable")


def _endpoint(name: str, kind: ActionKind, model: type[BaseModel], said: str) -> Endpoint:
    handler: Handler = _mover(kind, model, said)  # type: ignore[assignment]
    answers: dict[int, type[BaseModel] | None] = {200: CaseOut, 202: ActionOut}
    path = f"/v1/cases/{{case_id}}/{name}"
    return Endpoint(
        "POST",
        path,
        handler,
        OFFICERS,
        said,
        body=model,
        answers=answers,
        takes=("Idempotency-Key",),
        gives={202: ("Location", "Retry-After")},
        problems=(*_REFUSALS, *_TROUBLE),
    )


ENDPOINTS = [
    Endpoint(
        "GET",
        "/v1/cases/{case_id}",
        get_case,
        OFFICERS,
        "One case with its signals",
        answers={200: CaseOut},
        problems=("unknown-case", "rebuilding", "state-unavailable"),
    ),
    Endpoint(
        "GET",
        "/v1/actions/{action_id}",
        get_action,
        OFFICERS,
        "What became of an action",
        answers={200: ActionOut},
        problems=("rebuilding", "state-unavailable"),
    ),
    *(_endpoint(*move) for move in _MOVES),
]
