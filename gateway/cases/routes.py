"""Routes over one case: reading it, officers' actions from claim to close, and the outcome of an action.

Invariant: every action is a record in the log, and the response gives the decision of the log.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from gateway.commands.case_commands import CaseCommands, CaseRequest, PendingAction
from gateway.commands.case_requests import act, action_of, is_officer, pending_reply, protector, reply, seen_case
from gateway.commands.endpoints import command_endpoint
from gateway.commands.responses import ActionOut
from gateway.http.call import Call
from gateway.http.endpoint import Endpoint, Handler
from gateway.http.problem_sets import VIEWS
from gateway.http.problems import Problem
from gateway.http.request_body import RequestBody, read_json
from gateway.http.responses import LinksOut, dumped, words
from gateway.http.roles import BOTH, OFFICERS
from gateway.rendering.case_views import OwnCaseOut, officers_case, own_case
from gateway.rendering.cases import CaseOut
from gateway.security.audit import accessed
from schemas.cases.case import ActionKind, ActionOutcome, Case, CaseChange, Disposition
from schemas.common import AtMost, Name, PartyId, Revision
from stream_processors.views.allowed_actions import twin_id

LeaseS = Annotated[int, Field(ge=1, le=86_400)]


class ClaimIn(RequestBody):
    """`revision` is the one you saw; the policy bounds `lease_s`."""

    revision: Revision
    lease_s: LeaseS | None = None


class RenewIn(RequestBody):
    revision: Revision | None = None
    lease_s: LeaseS | None = None


class ReleaseIn(RequestBody):
    revision: Revision | None = None


class HandOverIn(RequestBody):
    """`to_officer` is the officer who holds the case from now on."""

    revision: Revision
    to_officer: PartyId
    lease_s: LeaseS | None = None


class DisposeIn(RequestBody):
    """`note` is sealed before it leaves the gateway."""

    revision: Revision
    disposition: Disposition
    note: str | None = Field(default=None, max_length=4000)


class ReopenIn(RequestBody):
    """`note` gives the reason; it is sealed before it leaves the gateway."""

    revision: Revision
    note: str = Field(min_length=1, max_length=700)


class CloseIn(RequestBody):
    revision: Revision


class AcknowledgeIn(RequestBody):
    revision: Revision | None = None


class TransferIn(RequestBody):
    """`queue` is the destination: of another agency, or of another county. The note is sealed before it leaves the gateway."""

    revision: Revision
    queue: PartyId
    note: str | None = Field(default=None, min_length=1, max_length=700)


class MergeIn(RequestBody):
    """`into_case_id` is the case of the same queue that permanently absorbs this one."""

    revision: Revision
    into_case_id: Name


class SplitIn(RequestBody):
    """`signals` move into a new case."""

    revision: Revision
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
    if change is not None and change.actor == call.caller.actor:
        return dumped(_render_outcome(call, action_id, change))
    # What a stage sent on to another case is told under the stage's name.
    memo = await call.find_service(CaseCommands).recall_action(action_id)
    if memo is None or memo.actor != call.caller.actor:
        raise Problem("not-found", "you sent no such action")
    return (
        pending_reply(PendingAction(action_id, memo), 200) if change is None else dumped(_render_outcome(call, action_id, change))
    )


def _render_outcome(call: Call, action_id: str, change: CaseChange) -> ActionOut:
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


def _build_members(call: Call, case: Case, body: BaseModel) -> dict[str, Any]:
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


def _handler_of(kind: ActionKind, model: type[BaseModel]) -> Handler:
    async def move(call: Call) -> Response:
        body = await read_json(call, model)
        case = await seen_case(call)
        more = {"queue": await _queue_of(call, case, body.into_case_id)} if isinstance(body, MergeIn) else {}
        requested = CaseRequest(kind, body.model_dump_json(), lambda: _build_members(call, case, body) | more)
        outcome = await act(call, case, requested, action_of(call))
        now = datetime.now(UTC)
        return reply(outcome, lambda after: officers_case(after, call.services.sealer, call.caller, now))

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


ENDPOINTS = [
    Endpoint(
        "GET",
        "/v1/cases/{case_id}",
        get_case,
        BOTH,
        "One case",
        answer=CaseOut,
        alternate_responses={200: (OwnCaseOut,)},
        problems=("unknown-case", *VIEWS),
    ),
    Endpoint(
        "GET", "/v1/actions/{action_id}", get_action, BOTH, "Retrieve the outcome of an action", answer=ActionOut, problems=VIEWS
    ),
    *(
        command_endpoint(
            f"/v1/cases/{{case_id}}/{word}",
            _handler_of(kind, model),
            OFFICERS,
            summary,
            name=f"post_{kind.value}" if kind in _OF_BEFORE else f"post_case_{kind.value}",
            description=summary,
            body=model,
            answer=CaseOut,
            problems=_MORE.get(kind, ()),
        )
        for word, kind, model, summary in _MOVES
    ),
]
