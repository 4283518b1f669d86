"""Routes over one case: reading it, officers' actions from claim to close, and the outcome of an action.

Invariant: every action is a record in the log, and the response gives the decision of the log.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from gateway.cases.responses import ActionOut, CaseOut, LinksOut
from gateway.cases.views import OwnCaseOut, officers_case, own_case
from gateway.commands.case_commands import Pending, Wanted, actor_of
from gateway.commands.case_requests import (
    BOTH,
    CASE,
    OFFICERS,
    TROUBLE,
    act,
    action_of,
    body_of,
    is_officer,
    pending_reply,
    protector,
    reply,
    seen_case,
)
from gateway.http.endpoint import Call, Endpoint, Handler
from gateway.http.responses import dumped
from gateway.orders.responses import words
from gateway.problems import Problem
from gateway.security.audit import accessed
from schemas.cases.case import ActionKind, ActionOutcome, Case, CaseChange, Disposition
from schemas.common import AtMost, Exact, Name, PartyId
from stream_processors.views.allowed_actions import twin_id


class _Body(Exact):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


_Revision = Field(ge=1, le=2**53)
_LeaseS = Field(default=None, ge=1, le=86_400)


class ClaimIn(_Body):
    """`revision` is the one you saw; the policy bounds `lease_s`."""

    revision: int = _Revision
    lease_s: int | None = _LeaseS


class RenewIn(_Body):
    revision: int | None = Field(default=None, ge=1, le=2**53)
    lease_s: int | None = _LeaseS


class ReleaseIn(_Body):
    revision: int | None = Field(default=None, ge=1, le=2**53)


class HandOverIn(_Body):
    """`to_officer` is the officer who holds the case from now on."""

    revision: int = _Revision
    to_officer: PartyId
    lease_s: int | None = _LeaseS


class DisposeIn(_Body):
    """`note` is sealed before it leaves the gateway."""

    revision: int = _Revision
    disposition: Disposition
    note: str | None = Field(default=None, max_length=4000)


class ReopenIn(_Body):
    """`note` gives the reason; it is sealed before it leaves the gateway."""

    revision: int = _Revision
    note: str = Field(min_length=1, max_length=700)


class CloseIn(_Body):
    revision: int = _Revision


class AcknowledgeIn(_Body):
    revision: int | None = Field(default=None, ge=1, le=2**53)


class TransferIn(_Body):
    """`queue` is the destination: of another agency, or of another county. The note is sealed before it leaves the gateway."""

    revision: int = _Revision
    queue: PartyId
    note: str | None = Field(default=None, min_length=1, max_length=700)


class MergeIn(_Body):
    """`into_case_id` is the case of the same queue that permanently absorbs this one."""

    revision: int = _Revision
    into_case_id: Name


class SplitIn(_Body):
    """`signals` move into a new case."""

    revision: int = _Revision
    signals: Annotated[tuple[Name, ...], Field(min_length=1), AtMost(200)]


async def get_case(call: Call) -> Response:
    """Returns a case. Officers get the whole case with readable values. An institution involved in the case gets its own signals,
    measures, orders, dissuasions, appeals and their deadlines, and the number of other institutions that report the subject,
    never their names. The audit log records the access."""
    case = await seen_case(call)
    accessed(call.caller, "case", case=case.case_id, queue=case.queue)
    if is_officer(call):
        shown = officers_case(case, call.services.sealer, call.caller, datetime.now(UTC))
        twin = await call.services.views.case(twin_id(case)) if case.primary_subject.hub is None else None
        if twin is not None and call.caller.may_work_on(twin.queue):
            shown.linked_case_ids = [*(shown.linked_case_ids or ()), twin.case_id]
        return dumped(shown)
    return dumped(own_case(case, call.services.sealer, call.caller))


async def get_action(call: Call) -> Response:
    """Returns the outcome of your action: pending, applied or refused."""
    action_id = call.request.path_params["action_id"]
    change = await call.services.views.action(action_id)
    if change is not None and change.actor == actor_of(call.caller):
        return dumped(_decided(call, action_id, change))
    # What a stage sent on to another case is told under the stage's name.
    memo = await call.services.desk.recall_action(action_id)
    if memo is None or memo.actor != actor_of(call.caller):
        raise Problem("not-found", "you sent no such action")
    return pending_reply(Pending(action_id, memo), 200) if change is None else dumped(_decided(call, action_id, change))


def _decided(call: Call, action_id: str, change: CaseChange) -> ActionOut:
    """The revision counts the actions of everybody in the case, so only officers get it."""
    return ActionOut(
        action_id=action_id,
        status="refused" if change.outcome is ActionOutcome.REFUSED else "applied",
        case_id=change.case_id or "",
        kind=change.kind.value if change.kind else "",
        revision=change.revision if is_officer(call) else None,
        problem=change.problem,
        detail=change.detail,
        allowed_transitions=words(change.allowed_transitions) or None,
        links=LinksOut(self=f"/v1/actions/{action_id}"),
    )


async def _move(call: Call, model: type[BaseModel], kind: ActionKind) -> Response:
    body = await body_of(call, model)
    case = await seen_case(call)
    more = {"queue": await _queue_of(call, case, body.into_case_id)} if isinstance(body, MergeIn) else {}
    requested = Wanted(kind, body.model_dump_json(), lambda: _members(call, case, body) | more)
    outcome = await act(call, case, requested, action_of(call))
    now = datetime.now(UTC)
    return reply(outcome, lambda after: officers_case(after, call.services.sealer, call.caller, now))


def _members(call: Call, case: Case, body: BaseModel) -> dict[str, Any]:
    """The body's members as the Action has them, with the note sealed."""
    members = body.model_dump(exclude={"note"})
    if note := getattr(body, "note", None):
        members["note_sealed"] = protector(call).sealer.seal(note, f"{case.case_id}/note")
    return members


async def _queue_of(call: Call, case: Case, into: str) -> str:
    """The queue of the case to merge into, which must be the officer's. Whether a case holds leads never changes, so a merge in
    progress cannot mix the two."""
    other = await call.services.views.case(into)
    if other is None or not call.caller.may_work_on(other.queue):
        raise Problem("unknown-case", "the case to merge into does not exist in your queues")
    if other.leads_only != case.leads_only:
        raise Problem("leads-not-mergeable", "one of the two cases holds leads of organized crime; work on both cases separately")
    return other.queue


def _mover(kind: ActionKind, model: type[BaseModel], description: str) -> Callable[[Call], object]:
    async def move(call: Call) -> Response:
        return await _move(call, model, kind)

    move.__name__ = f"post_{kind.value}" if kind in _OF_BEFORE else f"post_case_{kind.value}"
    move.__doc__ = description
    return move


_OF_BEFORE = (ActionKind.CLAIM, ActionKind.RENEW, ActionKind.RELEASE, ActionKind.HAND_OVER, ActionKind.DISPOSE)
"""Names in the interface and in metrics that have always been without the word; another route has `acknowledge`, too."""
_MORE: dict[ActionKind, tuple[str, ...]] = {
    ActionKind.TRANSFER: ("already-in-queue", "unknown-queue"),
    ActionKind.MERGE: ("same-case", "case-merged", "other-queue", "merge-direction", "leads-not-mergeable", "open-obligations"),
    ActionKind.SPLIT: ("unknown-signal", "no-signal-left", "split-too-often"),
    ActionKind.REOPEN: ("note-required",),
    ActionKind.CLOSE: ("open-obligations",),
}
"""Problems that only this action can be refused with."""
_MOVES: tuple[tuple[str, ActionKind, type[BaseModel], str], ...] = (
    ("claim", ActionKind.CLAIM, ClaimIn, "Claim a case"),
    ("renew", ActionKind.RENEW, RenewIn, "Renew the lease of a case"),
    ("release", ActionKind.RELEASE, ReleaseIn, "Return a case to its queue"),
    ("hand-over", ActionKind.HAND_OVER, HandOverIn, "Hand a case over to another officer"),
    ("dispose", ActionKind.DISPOSE, DisposeIn, "Dispose of a case"),
    ("acknowledge", ActionKind.ACKNOWLEDGE, AcknowledgeIn, "Acknowledge a case"),
    ("transfer", ActionKind.TRANSFER, TransferIn, "Transfer a case to another queue"),
    ("merge", ActionKind.MERGE, MergeIn, "Merge a case into another case"),
    ("split", ActionKind.SPLIT, SplitIn, "Split signals into a new case"),
    ("reopen", ActionKind.REOPEN, ReopenIn, "Reopen a case"),
    ("close", ActionKind.CLOSE, CloseIn, "Close a case"),
)


def _endpoint(name: str, kind: ActionKind, model: type[BaseModel], summary: str) -> Endpoint:
    handler: Handler = _mover(kind, model, summary)  # type: ignore[assignment]
    answers: dict[int, type[BaseModel] | None] = {200: CaseOut, 202: ActionOut}
    path = f"/v1/cases/{{case_id}}/{name}"
    return Endpoint(
        "POST",
        path,
        handler,
        OFFICERS,
        summary,
        body=model,
        answers=answers,
        takes=("Idempotency-Key",),
        gives={202: ("Location", "Retry-After")},
        problems=(*CASE, *_MORE.get(kind, ()), *TROUBLE),
    )


ENDPOINTS = [
    Endpoint(
        "GET",
        "/v1/cases/{case_id}",
        get_case,
        BOTH,
        "One case",
        answers={200: CaseOut},
        also={200: (OwnCaseOut,)},
        problems=("unknown-case", "views-rebuilding", "state-unavailable"),
    ),
    Endpoint(
        "GET",
        "/v1/actions/{action_id}",
        get_action,
        BOTH,
        "Retrieve the outcome of an action",
        answers={200: ActionOut},
        problems=("views-rebuilding", "state-unavailable"),
    ),
    *(_endpoint(*move) for move in _MOVES),
]
