"""Routes of institutions for sending signals and reading their status.

Invariant: the institution comes from the token, never from the body; another's signal does not exist.
"""

from __future__ import annotations

import asyncio

from starlette.responses import Response

from gateway.adapters.idempotency import Remembered
from gateway.cases.responses import AcceptedOut, LineOut, SignalOut, signal_out
from gateway.http.endpoint import Call, Endpoint
from gateway.http.request_body import encoding, media_type, read_body
from gateway.http.responses import dumped, json_reply
from gateway.metrics import METRICS
from gateway.problems import Problem
from gateway.security.auth import Role
from gateway.signals.admission import Acceptor, instant
from gateway.signals.batch import MEDIA_TYPE, BatchReply
from gateway.signals.parsing import Prepared
from schemas.cases.case import Case, CaseStatus
from schemas.feedback import Feedback
from schemas.signals.submission import SignalIn
from stream_processors.views.allowed_actions import MERGES_FOLLOWED, feedback_of
from stream_processors.views.receipts import Receipt

_SENDERS = frozenset({Role.INSTITUTION})
TROUBLE = ("log-unavailable", "state-unavailable", "overloaded")


async def post_signal(call: Call) -> Response:
    """Accepts a signal. 202 only after the broker acknowledged. The identity of a signal is its `reference`, else the
    `Idempotency-Key`: the same body again returns the same receipt (`Idempotency-Replayed: true`), another body 422, and 409
    while the first is in progress. `advisories` contains warnings (docs/reference/indicators.md)."""
    return await accepted(call, await read_signal(call), call.services.acceptor)


async def read_signal(call: Call) -> Prepared:
    """Reads the signal in the body of the request."""
    request, services = call.request, call.services
    media_type(request, "application/json")
    encoding(request, gzip_ok=False)
    raw = await read_body(request, services.settings.body_limit_bytes, services.settings.body_idle_s)
    return services.intake.read(raw, call.caller.subject, request.headers.get("idempotency-key"))


async def accepted(call: Call, signal: Prepared, acceptor: Acceptor) -> Response:
    """Returns the receipt of an accepted signal, 202; Problem if it was not accepted."""
    closed = acceptor.closed(call.caller.subject)
    if closed is not None:
        raise closed
    answer = (await acceptor.accept([signal], call.caller.subject))[0]
    if isinstance(answer, Problem):
        raise answer
    headers = {"Location": f"/v1/signals/{answer.record.signal_id}"}
    if answer.replayed:
        METRICS.replayed.inc()
        headers["Idempotency-Replayed"] = "true"
    return json_reply(answer.body(acceptor.places), 202, headers)


async def post_batch(call: Call) -> BatchReply:
    """Accepts a batch of NDJSON, optionally gzip. Answers 200 with one result for each line, in order, while the body still
    arrives; every line needs a `reference`. A problem of the whole body (too large, damaged gzip) is the last result; earlier
    lines were accepted."""
    request, services = call.request, call.services
    media_type(request, MEDIA_TYPE, "application/ndjson", "application/jsonl")
    gzip = encoding(request, gzip_ok=True)
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:18]) > services.settings.batch_limit_bytes:
        raise Problem("body-too-large", f"the body exceeds {services.settings.batch_limit_bytes} bytes")
    closed = services.acceptor.closed(call.caller.subject) or services.acceptor.full(call.caller.subject)
    if closed is not None:
        raise closed
    return BatchReply(request, services.settings, services.intake, services.acceptor, services.turns, call.caller.subject, gzip)


async def get_signal(call: Call) -> Response:
    """Returns the status of a signal: pending until it is assessed; then the outcome, the signal that it repeats, its severity,
    whether it went to a queue, and `feedback`: the outcome in its cases so far."""
    signal_id = call.request.path_params["signal_id"]
    receipt = await call.services.views.receipt(signal_id)
    if receipt is not None and receipt.institution == call.caller.subject:
        return dumped(signal_out(receipt, await feedback(call, receipt)))
    record = await call.services.memory.find(signal_id) if receipt is None else None
    if record is None or record.institution != call.caller.subject or record.signal_id != signal_id:
        raise Problem("not-found", "you sent no such signal")
    return json_reply(_pending(record))


async def feedback(call: Call, receipt: Receipt) -> list[Feedback]:
    """The outcome of a signal in each of its cases. Duplicate content under another reference gets that of the first signal."""
    views, institution = call.services.views, call.caller.subject
    first = await views.receipt(receipt.of) if receipt.of is not None else receipt
    if first is None or first.institution != institution or receipt.retracted_at is not None:
        return []
    cases = await asyncio.gather(*(_case(call, case_id) for case_id in first.cases))
    own = {"signal_id": receipt.signal_id, "duplicate_of": receipt.of}
    outcomes = [
        feedback_of(case, first.signal_id, institution, first.accepted_at).model_copy(update=own)
        for case in cases
        if case is not None
    ]
    return outcomes or ([Feedback(**own)] if receipt.of is not None else [])


async def _case(call: Call, case_id: str) -> Case | None:
    """The case, or the one that absorbed it."""
    case = await call.services.views.case(case_id)
    for _ in range(MERGES_FOLLOWED):
        if case is None or case.status is not CaseStatus.MERGED or case.merged_into is None:
            break
        case = await call.services.views.case(case.merged_into) or case
    return case


def _pending(record: Remembered) -> dict[str, object]:
    return {"signal_id": record.signal_id, "status": "accepted", "pending": True, "accepted_at": instant(record.accepted_ms)}


ENDPOINTS = [
    Endpoint(
        "POST",
        "/v1/signals",
        post_signal,
        _SENDERS,
        "Submit a signal",
        body=SignalIn,
        answers={202: AcceptedOut},
        takes=("Idempotency-Key",),
        gives={202: ("Location", "Idempotency-Replayed")},
        problems=("request-in-progress", "invalid-signal", "reference-missing", "reference-reused", *TROUBLE),
    ),
    Endpoint(
        "POST",
        "/v1/signals/batch",
        post_batch,
        _SENDERS,
        "Submit a batch of signals",
        body=SignalIn,
        body_media=MEDIA_TYPE,
        answers={200: LineOut},
        answer_media=MEDIA_TYPE,
        problems=("log-unavailable", "overloaded"),
    ),
    Endpoint(
        "GET",
        "/v1/signals/{signal_id}",
        get_signal,
        _SENDERS,
        "Retrieve the status of a signal",
        answers={200: SignalOut},
        problems=("views-rebuilding", "state-unavailable"),
    ),
]
