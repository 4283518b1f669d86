"""Search by any indicator, through its token: the cases of an account, phone or address.

Invariant: the value is in the body of the request and nowhere else: not in an address, a log or an error. An officer finds cases
of his own queues only, and every search is audited (`gateway/security/audit.py`).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from pydantic import BaseModel, Field
from starlette.responses import Response

from gateway.http.call import Call
from gateway.http.endpoint import Endpoint
from gateway.http.problem_sets import QUERY
from gateway.http.request_body import read_json
from gateway.http.responses import dumped
from gateway.http.roles import OFFICERS, own_queue
from gateway.rendering.cases import CaseOut, case_out
from gateway.security.audit import accessed
from schemas.signals.subjects import Named
from stream_processors.runtime.metrics import GATEWAY as METRICS


class SearchIn(Named):
    """`{"kind": "phone", "value": "138 0000 1234"}`, in any spelling; `queue` restricts it to one of the caller's queues."""

    queue: str | None = Field(default=None, max_length=128)
    limit: int = Field(default=20, ge=1, le=50)


class FoundOut(BaseModel):
    """The cases of an indicator, the one with the newest signal first. `has_more`: there are others. `token` identifies the
    indicator in money trails; it is returned only with a case, so a search reveals nothing that a trail withholds. `hub`: many
    unrelated cases share the indicator (a hotline, a shared host), so it does not link them."""

    token: str | None = None
    cases: list[CaseOut]
    has_more: bool
    hub: bool = False


async def post_search(call: Call) -> Response:
    """Finds cases that a signal with this indicator joined, the newest signal first, disposed cases included. Signals that joined
    no case are not found. The audit log records the caller and the indicator's token."""
    services, body = call.services, await read_json(call, SearchIn)
    queue = None if body.queue is None else own_queue(body.queue, call.caller)

    def mine(name: str) -> bool:
        return name == queue if queue is not None else call.caller.may_work_on(name)

    token = services.tokenizer.subject(body.kind, body.value)
    matches = await services.views.search(token, mine, now_ms=time.time_ns() // 1_000_000, limit=body.limit)
    accessed(call.caller, "search", kind=body.kind, token=token, queue=body.queue, found=len(matches.cases))
    METRICS.searches.labels("found" if matches.cases else "nothing").inc()
    now = datetime.now(UTC)
    cases = [case_out(case, services.sealer, now, complete=False) for case in matches.cases]
    hub = matches.hub or services.policy.hubs.mark_of(body.kind, body.value) is not None
    return dumped(FoundOut(token=token if cases else None, cases=cases, has_more=matches.more, hub=hub))


ENDPOINTS = [
    Endpoint(
        "POST", "/v1/search", post_search, OFFICERS, "Search cases by indicator", body=SearchIn, answer=FoundOut, problems=QUERY
    )
]
