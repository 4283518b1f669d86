"""Routes of officers over queues: counts, lists, claiming the next case.

Invariant: an officer sees only the queues of his token. `next_cursor` gives a case to one officer only, because the log decides
the claim.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Literal

from pydantic import Field
from starlette.responses import Response

from gateway.commands.case_commands import AppliedAction, CaseCommands, CaseRequest, PendingAction
from gateway.commands.case_requests import pending_reply
from gateway.commands.responses import ActionOut
from gateway.http.call import Call
from gateway.http.endpoint import Endpoint
from gateway.http.pagination import read_page_cursor, write_page_cursor
from gateway.http.problem_sets import COMMAND, QUERY, VIEWS
from gateway.http.problems import Problem, later
from gateway.http.request_body import RequestBody, RequestQuery, read_json, read_query
from gateway.http.responses import dumped
from gateway.http.roles import OFFICERS, own_queue
from gateway.rendering.case_views import officers_case
from gateway.rendering.cases import CaseOut, CasesOut, case_out, lapsed
from gateway.rendering.queues import QueuesOut, by_queue
from gateway.security.audit import accessed
from schemas.cases.case import ActionKind, Case, CaseStatus
from schemas.common import Instant, PartyId
from schemas.policy import Severity
from schemas.signals.submission import SignalKind
from stream_processors.views.cases import Cursor

_PAGES_SCANNED = 20
_NEXT_TRIES = 8
_NEXT_PAGE = 20


class CasesQuery(RequestQuery):
    """Filters of a list; `cursor` is the `next_cursor` of the previous page. The address with its query is the saved filter.

    `mine`: cases that the caller holds. `region`: a county, or a city or province by its leading digits (6302), of one of the
    kept signals. `since`: changed at or after this instant.
    """

    severity: Severity | None = None
    kind: SignalKind | None = None
    status: Literal["open", "claimed"] | None = None
    institution: PartyId | None = None
    min_score: int | None = Field(default=None, ge=0, le=100)
    holder: PartyId | None = None
    mine: bool = False
    region: str | None = Field(default=None, pattern=r"^(\d{2}|\d{4}|\d{6})$")
    since: Instant | None = None
    cursor: str | None = Field(default=None, max_length=512)
    limit: int = Field(default=50, ge=1, le=200)

    def keeps(self, case: Case, now: datetime, officer: str) -> bool:
        """Whether a case passes. A case with an expired lease counts as open."""
        status = "claimed" if case.status is CaseStatus.CLAIMED and not lapsed(case, now) else "open"
        return (
            (self.severity is None or case.severity == self.severity)
            and (self.kind is None or self.kind in case.kinds)
            and (self.status is None or self.status == status)
            and (self.institution is None or self.institution in case.institutions)
            and (self.min_score is None or case.score >= self.min_score)
            and (self.holder is None or (status == "claimed" and case.holder == self.holder))
            and (not self.mine or (status == "claimed" and case.holder == officer))
            and (self.region is None or any(signal.region.startswith(self.region) for signal in case.signals))
            and (self.since is None or case.changed_at >= self.since)
        )


class NextIn(RequestBody):
    """`lease_s`: the length of the claim, which the policy bounds."""

    lease_s: int | None = Field(default=None, ge=1, le=86_400)


async def get_queues(call: Call) -> Response:
    """Lists the caller's queues with the number of cases in all and by severity."""
    counted = by_queue(await call.services.views.standings(), call.caller.may_work_on)
    return dumped(QueuesOut(queues=counted))


async def get_cases(call: Call) -> Response:
    """Lists open and claimed cases, worst first. A page may have fewer than `limit` cases although there is a `next_cursor`,
    because a request filters a bounded number of cases."""
    queue = own_queue(call.request.path_params["queue"], call.caller)
    query = read_query(call, CasesQuery)
    services, now = call.services, datetime.now(UTC)
    after = read_page_cursor(services.tokenizer, queue, query.cursor) if query.cursor else None
    matching: list[Case] = []
    for _ in range(_PAGES_SCANNED):
        page = await services.views.page(queue, limit=query.limit - len(matching), after=after)
        matching += [case for case in page.cases if query.keeps(case, now, call.caller.subject)]
        after = page.next
        if after is None or len(matching) >= query.limit:
            break
    accessed(call.caller, "list", queue=queue, found=len(matching))
    cases = [case_out(case, services.sealer, now, complete=False) for case in matching]
    next_cursor = write_page_cursor(services.tokenizer, queue, after) if after is not None else None
    return dumped(CasesOut(cases=cases, next_cursor=next_cursor))


async def post_next(call: Call) -> Response:
    """Claims the worst case that nobody holds and returns it; 204 if there is none. A retry with the same Idempotency-Key returns
    the same case."""
    queue = own_queue(call.request.path_params["queue"], call.caller)
    body = await read_json(call, NextIn)
    key = call.request.headers.get("idempotency-key")
    tried: set[str] = set()
    for attempt in range(_NEXT_TRIES):
        names = (call.caller.subject, queue, "next", key, str(attempt)) if key else ()
        action_id = call.find_service(CaseCommands).action_id(*names)
        case = await _find_candidate(call, queue, tried, action_id if key else None)
        if case is None:
            return Response(status_code=204)
        tried.add(case.case_id)
        try:
            claim = {"lease_s": body.lease_s, "revision": None if key else case.revision}
            requested = CaseRequest(ActionKind.CLAIM, f"next {body.model_dump_json()}", partial(dict, claim))
            outcome = await call.find_service(CaseCommands).act(call.caller, case, requested, action_id)
        except Problem as problem:
            if problem.kind.slug in ("held-by-other", "stale-revision", "case-disposed", "transition-not-allowed"):
                continue
            raise
        return _render_outcome(outcome, call)
    raise later("request-in-progress", "other officers claimed every case that was tried", 1)


def _render_outcome(outcome: AppliedAction | PendingAction, call: Call) -> Response:
    if isinstance(outcome, PendingAction):
        return pending_reply(outcome)
    _check_own(outcome.case, call)
    return dumped(officers_case(outcome.case, call.services.sealer, call.caller, datetime.now(UTC)))


async def _find_candidate(call: Call, queue: str, tried: set[str], action_id: str | None) -> Case | None:
    """The case that this attempt already claimed, else the worst free one."""
    views = call.services.views
    if action_id is not None and (case_id := await call.find_service(CaseCommands).recall_case(action_id)) is not None:
        return _check_own(await views.case(case_id), call)
    after: Cursor | None = None
    for _ in range(_PAGES_SCANNED):
        page = await views.page(queue, limit=_NEXT_PAGE, after=after)
        now = datetime.now(UTC)
        for case in page.cases:
            if case.case_id not in tried and (case.status is CaseStatus.OPEN or lapsed(case, now)):
                return case
        if page.next is None:
            return None
        after = page.next
    return None


def _check_own(case: Case | None, call: Call) -> Case | None:
    """A case that was transferred to another unit is not the caller's any more, whatever the key claimed."""
    if case is not None and not call.caller.may_work_on(case.queue):
        raise Problem("unknown-case", "the case that was claimed with this key is no longer in one of your queues")
    return case


ENDPOINTS = [
    Endpoint("GET", "/v1/queues", get_queues, OFFICERS, "List queues", answer=QueuesOut, problems=VIEWS),
    Endpoint(
        "GET",
        "/v1/queues/{queue}/cases",
        get_cases,
        OFFICERS,
        "List the cases of a queue",
        query=CasesQuery,
        answer=CasesOut,
        problems=QUERY,
    ),
    Endpoint(
        "POST",
        "/v1/queues/{queue}/next",
        post_next,
        OFFICERS,
        "Claim the next case",
        body=NextIn,
        answer=CaseOut,
        responses={202: ActionOut, 204: None},
        request_headers=("Idempotency-Key",),
        response_headers={202: ("Location", "Retry-After")},
        problems=("request-in-progress", "unknown-case", *COMMAND),
    ),
]
