"""Routes of officers over queues: counts, lists, claiming the next case.

Invariant: an officer sees only the queues of his token. `next_cursor` gives a case to one officer only, because the log decides
the claim.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from gateway.cases.responses import ActionOut, CaseOut, CasesOut, QueuesOut, case_out, lapsed
from gateway.cases.views import officers_case
from gateway.commands.case_commands import Done, Pending, Wanted
from gateway.commands.case_requests import pending_reply
from gateway.http import pagination as cursors
from gateway.http.endpoint import Call, Endpoint
from gateway.http.request_body import media_type, read_body
from gateway.http.responses import dumped
from gateway.problems import Problem, later, of_refused
from gateway.queues.responses import by_queue
from gateway.security.audit import accessed
from gateway.security.auth import Caller, Role
from gateway.signals.parsing import validated
from schemas.cases.case import ActionKind, Case, CaseStatus
from schemas.common import Exact, Instant, PartyId
from schemas.parsing import refused
from schemas.policy import Severity
from schemas.signals.submission import SignalKind
from stream_processors.views.cases import Cursor

OFFICERS = frozenset({Role.OFFICER})
_PAGES_SCANNED = 20
_NEXT_TRIES = 8
_NEXT_PAGE = 20


class CasesQuery(BaseModel):
    """Filters of a list; `cursor` is the `next_cursor` of the previous page. The address with its query is the saved filter.

    `mine`: cases that the caller holds. `region`: a county, or a city or province by its leading digits (6302), of one of the
    kept signals. `since`: changed at or after this instant.
    """

    model_config = ConfigDict(extra="forbid")
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


class NextIn(Exact):
    """`lease_s`: the length of the claim, which the policy bounds."""

    model_config = ConfigDict(extra="forbid")
    lease_s: int | None = Field(default=None, ge=1, le=86_400)


async def get_queues(call: Call) -> Response:
    """Lists the caller's queues with the number of cases in all and by severity."""
    counted = by_queue(await call.services.views.standings(), call.caller.may_work_on)
    return dumped(QueuesOut(queues=counted))


async def get_cases(call: Call) -> Response:
    """Lists open and claimed cases, worst first. A page may have fewer than `limit` cases although there is a `next_cursor`,
    because a request filters a bounded number of cases."""
    queue = own_queue(call.request.path_params["queue"], call.caller)
    try:
        query = CasesQuery.model_validate(dict(call.request.query_params))
    except ValidationError as error:
        raise of_refused(refused(error, "invalid-request")) from None
    services, now = call.services, datetime.now(UTC)
    after = cursors.read_cursor(services.tokenizer, queue, query.cursor) if query.cursor else None
    matching: list[Case] = []
    for _ in range(_PAGES_SCANNED):
        page = await services.views.page(queue, limit=query.limit - len(matching), after=after)
        matching += [case for case in page.cases if query.keeps(case, now, call.caller.subject)]
        after = page.next
        if after is None or len(matching) >= query.limit:
            break
    accessed(call.caller, "list", queue=queue, found=len(matching))
    cases = [case_out(case, services.sealer, now, complete=False) for case in matching]
    next_cursor = cursors.write_cursor(services.tokenizer, queue, after) if after is not None else None
    return dumped(CasesOut(cases=cases, next_cursor=next_cursor))


async def post_next(call: Call) -> Response:
    """Claims the worst case that nobody holds and returns it; 204 if there is none. A retry with the same Idempotency-Key returns
    the same case."""
    queue = own_queue(call.request.path_params["queue"], call.caller)
    services = call.services
    raw = await read_body(call.request, services.settings.body_limit_bytes, services.settings.body_idle_s)
    if raw:
        media_type(call.request, "application/json")
    body = validated(NextIn, raw or b"{}", "invalid-request", services.settings.json_depth_limit)
    key = call.request.headers.get("idempotency-key")
    tried: set[str] = set()
    for attempt in range(_NEXT_TRIES):
        names = (call.caller.subject, queue, "next", key, str(attempt)) if key else ()
        action_id = services.desk.action_id(*names)
        case = await _candidate(call, queue, tried, action_id if key else None)
        if case is None:
            return Response(status_code=204)
        tried.add(case.case_id)
        try:
            claim = {"lease_s": body.lease_s, "revision": None if key else case.revision}
            requested = Wanted(ActionKind.CLAIM, f"next {body.model_dump_json()}", partial(dict, claim))
            outcome = await services.desk.act(call.caller, case, requested, action_id)
        except Problem as problem:
            if problem.kind.slug in ("held-by-other", "stale-revision", "case-disposed", "transition-not-allowed"):
                continue
            raise
        return _render_outcome(outcome, call)
    raise later("request-in-progress", "other officers claimed every case that was tried", 1)


def _render_outcome(outcome: Done | Pending, call: Call) -> Response:
    if isinstance(outcome, Pending):
        return pending_reply(outcome)
    _mine(outcome.case, call)
    return dumped(officers_case(outcome.case, call.services.sealer, call.caller, datetime.now(UTC)))


async def _candidate(call: Call, queue: str, tried: set[str], action_id: str | None) -> Case | None:
    """The case that this attempt already claimed, else the worst free one."""
    views = call.services.views
    if action_id is not None and (case_id := await _recall_case(call, action_id)) is not None:
        return _mine(await views.case(case_id), call)
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


def _mine(case: Case | None, call: Call) -> Case | None:
    """A case that was transferred to another unit is not the caller's any more, whatever the key claimed."""
    if case is not None and not call.caller.may_work_on(case.queue):
        raise Problem("unknown-case", "the case that was claimed with this key is no longer in one of your queues")
    return case


async def _recall_case(call: Call, action_id: str) -> str | None:
    """The case of an earlier action. The gateway's memory has it from before the append. If that is lost with Redis, the log
    still has the action, so its outcome is awaited: the same key never claims two cases."""
    if (memo := await call.services.desk.recall_action(action_id)) is not None:
        return memo.case_id
    await call.services.caught_up()
    done = await call.services.views.action(action_id)
    return None if done is None else done.case_id


def own_queue(name: str, caller: Caller) -> str:
    """Returns the queue if it is one of the caller's; 403 if not."""
    if not caller.may_work_on(name):
        raise Problem("forbidden", "your token does not cover this queue")
    return name


_VIEWS = ("views-rebuilding", "state-unavailable")
ENDPOINTS = [
    Endpoint("GET", "/v1/queues", get_queues, OFFICERS, "List queues", answers={200: QueuesOut}, problems=_VIEWS),
    Endpoint(
        "GET",
        "/v1/queues/{queue}/cases",
        get_cases,
        OFFICERS,
        "List the cases of a queue",
        query=CasesQuery,
        answers={200: CasesOut},
        problems=("invalid-request", *_VIEWS),
    ),
    Endpoint(
        "POST",
        "/v1/queues/{queue}/next",
        post_next,
        OFFICERS,
        "Claim the next case",
        body=NextIn,
        body_required=False,
        answers={200: CaseOut, 202: ActionOut, 204: None},
        takes=("Idempotency-Key",),
        gives={202: ("Location", "Retry-After")},
        problems=("invalid-request", "reference-reused", "request-in-progress", "unknown-case", "log-unavailable", *_VIEWS),
    ),
]
