"""Routes of institutions for sending signals and reading their status.

Invariant: the institution comes from the token, never from the body; another's signal does not exist.
"""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from gateway.adapters.idempotency import Remembered
from gateway.commands.admission import Prepared, SignalAdmission, find_own_signal, instant
from gateway.http.call import Call
from gateway.http.endpoint import Endpoint
from gateway.http.problem_sets import ADMISSION
from gateway.http.problems import Problem
from gateway.http.request_body import encoding, media_type, read_body
from gateway.http.responses import dumped, json_reply
from gateway.http.roles import INSTITUTIONS
from gateway.settings import GatewaySettings
from gateway.signals.batch import MEDIA_TYPE, BatchReply
from gateway.signals.batch_turns import Turns
from gateway.signals.parsing import SignalParser
from gateway.signals.responses import AcceptedOut, LineOut, SignalOut, signal_out
from schemas.cases.case import Case, CaseStatus
from schemas.feedback import Feedback
from schemas.signals.submission import SignalIn
from stream_processors.runtime.metrics import GATEWAY as METRICS
from stream_processors.views.allowed_actions import MERGES_FOLLOWED, feedback_of
from stream_processors.views.receipts import Receipt


async def post_signal(call: Call) -> Response:
    """Accepts a signal. 202 only after the broker acknowledged. The identity of a signal is its `reference`, else the
    `Idempotency-Key`: the same body again returns the same receipt (`Idempotency-Replayed: true`), another body 422, and 409
    while the first is in progress. `advisories` contains warnings (docs/reference/indicators.md)."""
    return await accepted(call, await read_signal(call), call.find_service(SignalAdmission))


async def read_signal(call: Call) -> Prepared:
    """Reads the signal in the body of the request."""
    request, settings = call.request, call.services.settings
    media_type(request, "application/json")
    encoding(request, gzip_ok=False)
    raw = await read_body(request, settings.body_limit_bytes, settings.body_idle_s)
    return call.find_service(SignalParser).read(raw, call.caller.subject, request.headers.get("idempotency-key"))


async def accepted(call: Call, signal: Prepared, admission: SignalAdmission) -> Response:
    """Returns the receipt of an accepted signal, 202; Problem if it was not accepted."""
    closed = admission.closed(call.caller.subject)
    if closed is not None:
        raise closed
    answer = (await admission.accept([signal], call.caller.subject))[0]
    if isinstance(answer, Problem):
        raise answer
    headers = {"Location": f"/v1/signals/{answer.record.signal_id}"}
    if answer.replayed:
        METRICS.replayed.inc()
        headers["Idempotency-Replayed"] = "true"
    return json_reply(answer.body(admission.places), 202, headers)


async def post_batch(call: Call) -> BatchReply:
    """Accepts a batch of NDJSON, optionally gzip. Answers 200 with one result for each line, in order, while the body still
    arrives; every line needs a `reference`. A problem of the whole body (too large, damaged gzip) is the last result; earlier
    lines were accepted."""
    request, institution = call.request, call.caller.subject
    settings, admission = call.find_service(GatewaySettings), call.find_service(SignalAdmission)
    media_type(request, MEDIA_TYPE, "application/ndjson", "application/jsonl")
    gzip = encoding(request, gzip_ok=True)
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:18]) > settings.batch_limit_bytes:
        raise Problem("body-too-large", f"the body exceeds {settings.batch_limit_bytes} bytes")
    closed = admission.closed(institution) or admission.full(institution)
    if closed is not None:
        raise closed
    intake, turns = call.find_service(SignalParser), call.find_service(Turns)
    return BatchReply(request, settings, intake, admission, turns, institution, gzip)


async def get_signal(call: Call) -> Response:
    """Returns the status of a signal: pending until it is assessed; then the outcome, the signal that it repeats, its severity,
    whether it went to a queue, and `feedback`: the outcome in its cases so far."""
    signal = await find_own_signal(call, call.request.path_params["signal_id"])
    return (
        json_reply(_pending_body(signal))
        if isinstance(signal, Remembered)
        else dumped(signal_out(signal, await feedback(call, signal)))
    )


async def feedback(call: Call, receipt: Receipt) -> list[Feedback]:
    """The outcome of a signal in each of its cases. Duplicate content under another reference gets that of the first signal."""
    views, institution = call.services.views, call.caller.subject
    first = await views.receipt(receipt.duplicate_of) if receipt.duplicate_of is not None else receipt
    if first is None or first.institution != institution or receipt.retracted_at is not None:
        return []
    cases = await asyncio.gather(*(_follow_case(call, case_id) for case_id in first.cases))
    own = {"signal_id": receipt.signal_id, "duplicate_of": receipt.duplicate_of}
    outcomes = [
        feedback_of(case, first.signal_id, institution, first.accepted_at).model_copy(update=own)
        for case in cases
        if case is not None
    ]
    return outcomes or ([Feedback(**own)] if receipt.duplicate_of is not None else [])


async def _follow_case(call: Call, case_id: str) -> Case | None:
    """The case, or the one that absorbed it."""
    case = await call.services.views.case(case_id)
    for _ in range(MERGES_FOLLOWED):
        if case is None or case.status is not CaseStatus.MERGED or case.merged_into is None:
            break
        case = await call.services.views.case(case.merged_into) or case
    return case


def _pending_body(record: Remembered) -> dict[str, object]:
    return {"signal_id": record.signal_id, "status": "accepted", "pending": True, "accepted_at": instant(record.accepted_ms)}


ENDPOINTS = [
    Endpoint(
        "POST",
        "/v1/signals",
        post_signal,
        INSTITUTIONS,
        "Submit a signal",
        body=SignalIn,
        responses={202: AcceptedOut},
        request_headers=("Idempotency-Key",),
        response_headers={202: ("Location", "Idempotency-Replayed")},
        problems=("invalid-signal", "reference-missing", *ADMISSION),
    ),
    Endpoint(
        "POST",
        "/v1/signals/batch",
        post_batch,
        INSTITUTIONS,
        "Submit a batch of signals",
        body=SignalIn,
        body_media=MEDIA_TYPE,
        answer=LineOut,
        media=MEDIA_TYPE,
        problems=("log-unavailable", "overloaded"),
    ),
    Endpoint(
        "GET",
        "/v1/signals/{signal_id}",
        get_signal,
        INSTITUTIONS,
        "Retrieve the status of a signal",
        answer=SignalOut,
        problems=("views-rebuilding", "state-unavailable"),
    ),
]
