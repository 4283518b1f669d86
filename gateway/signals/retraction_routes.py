"""Routes of institutions for retracting and correcting a signal: by its id, or by its reference before it arrives.

Invariant: only the caller's own signals are affected: the id is a keyed name of institution and reference, recomputed from the
token's institution; another's signal does not exist.
"""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import BaseModel, Field
from starlette.responses import Response

from gateway.cases.responses import AcceptedOut
from gateway.http.endpoint import Call, Endpoint
from gateway.http.request_body import encoding, media_type, read_body
from gateway.problems import Problem
from gateway.security.auth import Role
from gateway.signals.parsing import Prepared, validated
from gateway.signals.routes import TROUBLE, accepted, read_signal
from schemas.codec import encode
from schemas.common import Reference, Strict
from schemas.parsing import Model
from schemas.security.signal_protection import signal_id
from schemas.signals.retraction import FOREVER, Retraction
from schemas.signals.submission import SignalIn
from schemas.topics import RETRACTIONS
from stream_processors.runtime.log import KeyedEntry

_SENDERS = frozenset({Role.INSTITUTION})
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
    body = await _body(call, RetractionIn)
    name = signal_id(call.services.tokenizer, call.caller.subject, body.reference)
    return await _retract(call, name, body.reason)


async def post_signal_retraction(call: Call) -> Response:
    """Retracts a signal of yours by its id. Its cases continue with the remaining signals; `GET /v1/signals/{signal_id}` shows
    `retracted`."""
    body = await _body(call, OwnRetractionIn)
    name, institution = call.request.path_params["signal_id"], call.caller.subject
    if body.reference is not None:
        own = signal_id(call.services.tokenizer, institution, body.reference) == name
    else:
        own = await _came_from_caller(call, name)
    if not own:
        raise Problem("not-found", _NOT_YOURS)
    return await _retract(call, name, body.reason)


async def post_correction(call: Call) -> Response:
    """Replaces a signal of yours by a newer version: the whole corrected body under the same reference, with a higher `version`
    than the last one. The highest version counts, in whatever order they arrive; a version names one body permanently."""
    signal = await read_signal(call)
    if signal.signal_id != call.request.path_params["signal_id"]:
        raise Problem("not-found", "the body does not contain the reference of this signal, or the signal is not yours")
    if signal.submitted is None or signal.submitted.version < 2:
        fault = {"pointer": "/version", "detail": "a correction requires a version above 1 that is higher than the last one"}
        raise Problem("invalid-signal", f"/version: {fault['detail']}", errors=[fault])
    return await accepted(call, signal, call.services.acceptor)


async def _body(call: Call, model: type[Model]) -> Model:
    media_type(call.request, "application/json")
    encoding(call.request, gzip_ok=False)
    settings = call.services.settings
    raw = await read_body(call.request, settings.body_limit_bytes, settings.body_idle_s)
    return validated(model, raw, "invalid-request", settings.json_depth_limit)


async def _came_from_caller(call: Call, name: str) -> bool:
    """Whether a signal of this id came from the caller: accepted recently, or in the views."""
    record = await call.services.memory.find(name)
    if record is not None:
        return record.institution == call.caller.subject and record.signal_id == name
    receipt = await call.services.views.receipt(name)
    return receipt is not None and receipt.institution == call.caller.subject


async def _retract(call: Call, name: str, reason: str) -> Response:
    services, institution = call.services, call.caller.subject
    try:
        sealed = services.sealer.seal(reason, f"{name}/retraction")
        body = services.tokenizer.token("retraction", name, reason)
    except UnicodeEncodeError:
        raise Problem("invalid-request", "a text contains an unpaired surrogate and is not valid UTF-8", errors=[]) from None
    retraction = Retraction(signal_id=name, institution=institution, below_version=FOREVER, reason_sealed=sealed)
    value = encode(
        RETRACTIONS,
        retraction,
        id=f"retract-{name}",
        source="/gateway",
        actor=f"institution:{institution}",
        time=datetime.now(UTC),
        subject=name,
    )
    return await accepted(call, Prepared(name, f"w{name}", body, KeyedEntry(name.encode(), value)), services.withdrawer)


_ANSWERS: dict[int, type[BaseModel] | None] = {202: AcceptedOut}
_GIVES: dict[int, tuple[str, ...]] = {202: ("Location", "Idempotency-Replayed")}
ENDPOINTS = [
    Endpoint(
        "POST",
        "/v1/retractions",
        post_retraction,
        _SENDERS,
        "Retract a signal by reference",
        body=RetractionIn,
        answers=_ANSWERS,
        gives=_GIVES,
        problems=("request-in-progress", "invalid-request", "reference-reused", *TROUBLE),
    ),
    Endpoint(
        "POST",
        "/v1/signals/{signal_id}/retraction",
        post_signal_retraction,
        _SENDERS,
        "Retract a signal",
        body=OwnRetractionIn,
        answers=_ANSWERS,
        gives=_GIVES,
        problems=("not-found", "request-in-progress", "invalid-request", "reference-reused", "views-rebuilding", *TROUBLE),
    ),
    Endpoint(
        "POST",
        "/v1/signals/{signal_id}/correction",
        post_correction,
        _SENDERS,
        "Correct a signal",
        body=SignalIn,
        answers=_ANSWERS,
        takes=("Idempotency-Key",),
        gives=_GIVES,
        problems=("not-found", "request-in-progress", "invalid-signal", "reference-missing", "reference-reused", *TROUBLE),
    ),
]
