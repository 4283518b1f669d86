"""Search by any indicator, through its token: the cases of an account, phone or address.

Invariant: the value is in the body of the request and nowhere else: not in an address, a log or an error. An officer finds cases
of his own queues only, and every search is audited (`gateway/security/audit.py`).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from pydantic import Field
from starlette.responses import Response

from gateway.cases.responses import FoundOut, case_out
from gateway.http.endpoint import Call, Endpoint
from gateway.http.request_body import encoding, media_type, read_body
from gateway.http.responses import dumped
from gateway.metrics import METRICS
from gateway.problems import Problem
from gateway.queues.routes import OFFICERS, own_queue
from gateway.security.audit import accessed
from gateway.signals.parsing import validated
from schemas.signals.subjects import Named


class SearchIn(Named):
    """`{"kind": "phone", "value": "138 0000 1234"}`, in any spelling; `queue` restricts it to one of the caller's queues."""

    queue: str | None = Field(default=None, max_length=128)
    limit: int = Field(default=20, ge=1, le=50)


async def post_search(call: Call) -> Response:
    """Finds cases that a signal with this indicator joined, the newest signal first, disposed cases included. Signals that joined
    no case are not found. The audit log records the caller and the indicator's token."""
    services, request = call.services, call.request
    media_type(request, "application/json")
    encoding(request, gzip_ok=False)
    raw = await read_body(request, services.settings.body_limit_bytes, services.settings.body_idle_s)
    body = validated(SearchIn, raw, "invalid-request", services.settings.json_depth_limit)
    queue = None if body.queue is None else own_queue(body.queue, call.caller)

    def mine(name: str) -> bool:
        return name == queue if queue is not None else call.caller.may_work_on(name)

    try:
        token = services.tokenizer.subject(body.kind, body.value)
    except UnicodeEncodeError:
        raise Problem("invalid-request", "the value contains an unpaired surrogate and is not valid UTF-8", errors=[]) from None
    matches = await services.views.search(token, mine, now_ms=time.time_ns() // 1_000_000, limit=body.limit)
    accessed(call.caller, "search", kind=body.kind, token=token, queue=body.queue, found=len(matches.cases))
    METRICS.searches.labels("found" if matches.cases else "nothing").inc()
    now = datetime.now(UTC)
    cases = [case_out(case, services.sealer, now, complete=False) for case in matches.cases]
    hub = matches.hub or services.policy.hubs.mark_of(body.kind, body.value) is not None
    return dumped(FoundOut(token=token if cases else None, cases=cases, has_more=matches.more, hub=hub))


ENDPOINTS = [
    Endpoint(
        "POST",
        "/v1/search",
        post_search,
        OFFICERS,
        "Search cases by indicator",
        body=SearchIn,
        answers={200: FoundOut},
        problems=("invalid-request", "views-rebuilding", "state-unavailable"),
    ),
]
