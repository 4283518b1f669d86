"""Routes of institutions for retracting and correcting a signal: by its id, or by its reference before it arrives.

Invariant: only the caller's own signals are affected: the id is a keyed name of institution and reference, recomputed from the
token's institution; another's signal does not exist.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import Field
from starlette.responses import Response

from gateway.commands.admission import Prepared, RetractionAdmission, SignalAdmission, find_own_signal
from gateway.commands.submit import Command, entry_of
from gateway.http.call import Call
from gateway.http.endpoint import Endpoint
from gateway.http.problem_sets import ADMISSION
from gateway.http.problems import Problem
from gateway.http.request_body import read_json
from gateway.http.roles import INSTITUTIONS
from gateway.signals.responses import AcceptedOut
from gateway.signals.routes import accepted, read_signal
from schemas.common import Reference, Strict
from schemas.security.signal_protection import signal_id
from schemas.signals.retraction import FOREVER, Retraction
from schemas.signals.submission import SignalIn
from schemas.topics import RETRACTIONS

_NOT_YOURS = "you sent no such signal; to retract a signal that has not arrived yet, send its reference to POST /v1/retractions"


class RetractionIn(Strict):
    """`reference` is the one that the signal was, or will be, sent with; `reason` is sealed before it leaves the gateway."""

    reference: Reference
    reason: str = Field(min_length=1, max_length=1000)


class OwnRetractionIn(Strict):
    """`reference`, if given, must be the signal's own; without it the signal must be known already."""

    reason: str = Field(min_length=1, max_length=1000)
    reference: Reference | None = None


async def post_retraction(call: Call) -> Response:
    """Retracts a signal by your own reference, even before the signal arrives, which then never counts. 202 only after the broker
    acknowledged. The same body again returns the same receipt. A retraction is permanent: send the right content under a new
    reference, or correct a signal in place of retracting it."""
    body = await read_json(call, RetractionIn)
    name = signal_id(call.services.tokenizer, call.caller.subject, body.reference)
    return await _submit_retraction(call, name, body.reason)


async def post_signal_retraction(call: Call) -> Response:
    """Retracts a signal of yours by its id. Its cases continue with the remaining signals; `GET /v1/signals/{signal_id}` shows
    `retracted`."""
    body = await read_json(call, OwnRetractionIn)
    name, institution = call.request.path_params["signal_id"], call.caller.subject
    if body.reference is None:
        await find_own_signal(call, name, _NOT_YOURS)
    elif signal_id(call.services.tokenizer, institution, body.reference) != name:
        raise Problem("not-found", _NOT_YOURS)
    return await _submit_retraction(call, name, body.reason)


async def post_correction(call: Call) -> Response:
    """Replaces a signal of yours by a newer version: the whole corrected body under the same reference, with a higher `version`
    than the last one. The highest version counts, in whatever order they arrive; a version names one body permanently."""
    signal = await read_signal(call)
    if signal.signal_id != call.request.path_params["signal_id"]:
        raise Problem("not-found", "the body does not contain the reference of this signal, or the signal is not yours")
    if signal.submitted is None or signal.submitted.version < 2:
        fault = {"pointer": "/version", "detail": "a correction requires a version above 1 that is higher than the last one"}
        raise Problem("invalid-signal", f"/version: {fault['detail']}", errors=[fault])
    return await accepted(call, signal, call.find_service(SignalAdmission))


async def _submit_retraction(call: Call, name: str, reason: str) -> Response:
    services, institution = call.services, call.caller.subject
    sealed = services.sealer.seal(reason, f"{name}/retraction")
    body = services.tokenizer.token("retraction", name, reason)
    retraction = Retraction(signal_id=name, institution=institution, below_version=FOREVER, reason_sealed=sealed)
    entry = entry_of(RETRACTIONS, Command(f"retract-{name}", name, retraction), call.caller, datetime.now(UTC))
    return await accepted(call, Prepared(name, f"w{name}", body, entry), call.find_service(RetractionAdmission))


_RECEIPT: dict[str, Any] = {"responses": {202: AcceptedOut}, "response_headers": {202: ("Location", "Idempotency-Replayed")}}
_TAKE_BACK = "/v1/signals/{signal_id}/retraction"
ENDPOINTS = [
    Endpoint(
        "POST",
        "/v1/retractions",
        post_retraction,
        INSTITUTIONS,
        "Retract a signal by reference",
        body=RetractionIn,
        **_RECEIPT,
        problems=("invalid-request", *ADMISSION),
    ),
    Endpoint(
        "POST",
        _TAKE_BACK,
        post_signal_retraction,
        INSTITUTIONS,
        "Retract a signal",
        body=OwnRetractionIn,
        **_RECEIPT,
        problems=("invalid-request", "views-rebuilding", *ADMISSION),
    ),
    Endpoint(
        "POST",
        "/v1/signals/{signal_id}/correction",
        post_correction,
        INSTITUTIONS,
        "Correct a signal",
        body=SignalIn,
        **_RECEIPT,
        request_headers=("Idempotency-Key",),
        problems=("invalid-signal", "reference-missing", *ADMISSION),
    ),
]
