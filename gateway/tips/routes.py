"""Routes of the public (Art. 48): a form, a tip, and its status. No account; little is asked and little is revealed.

Invariant: a form is answered with a page, JSON with JSON; nothing here reveals officers' actions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import parse_qsl

from pydantic import BaseModel
from starlette.responses import Response

from gateway.http.call import Call
from gateway.http.endpoint import Endpoint
from gateway.http.problem_sets import ADMISSION, VIEWS
from gateway.http.problems import Problem, of_refused
from gateway.http.request_body import encoding, media_type, read_body, validated
from gateway.http.responses import LinksOut, dumped
from gateway.http.roles import EVERYBODY
from gateway.settings import GatewaySettings
from gateway.tips import pages
from gateway.tips.number import fresh_key, read_number
from gateway.tips.requests import FIELDS, TipIn, from_form
from gateway.tips.service import TipService
from schemas.parsing import Refused
from stream_processors.runtime.metrics import GATEWAY as METRICS

_FORM = "application/x-www-form-urlencoded"
_KEY_LENGTH = 124


class TipOut(BaseModel):
    """`number` is the receipt, which gives access to the tip's status. It is shown once."""

    number: str
    status: Literal["received", "being_examined", "closed"]
    links: LinksOut


async def get_form(call: Call) -> Response:
    """Returns the form as a page: Chinese and English, without a script."""
    return pages.page(pages.form(call.find_service(TipService).policy, fresh_key(datetime.now(UTC))))


async def post_tip(call: Call) -> Response:
    """Accepts a tip from the form or as JSON: 202 with a receipt number when the log has it. The same form again, or the same
    `Idempotency-Key` (then with `occurred_at`), returns the same number. Limited by address and for all together: 429."""
    await call.find_service(TipService).may_try(call.request)
    media_type(call.request, "application/json", _FORM)
    if _is_form(call):
        return await _render_paged(call, _post_form)
    raw = await _read_form(call)
    try:
        tip = validated(TipIn, raw, "invalid-request", call.services.settings.json_depth_limit)
        number = await _take_tip(call, tip, call.request.headers.get("idempotency-key"))
    except Problem as problem:
        _count_refused(problem)
        raise
    return dumped(_render_tip(number, "received"), 202)


async def get_tip(call: Call) -> Response:
    """Returns the status of a tip: `received`, `being_examined` or `closed`; nothing more."""
    return dumped(_render_tip(*await _status_of(call, call.request.path_params["number"])), headers={"cache-control": "no-store"})


async def post_status(call: Call) -> Response:
    """Returns the status as a page; the number is not in the address."""
    return await _render_paged(call, _post_status)


async def _post_form(call: Call) -> Response:
    fields = _parse_fields(await _read_form(call))
    key = fields.get("key") or fresh_key(datetime.now(UTC))
    try:
        number = await _take_tip(call, from_form(fields), key)
    except Refused as refusal:
        problem = of_refused(refusal)
        call.services.problem_of(problem)
        _count_refused(problem)
        faults = {fault.pointer: fault.detail for fault in refusal.faults or ()}
        return pages.page(pages.form(call.find_service(TipService).policy, key, fields, faults or {"": refusal.detail}), 422)
    return pages.page(pages.render_receipt(number), 202)


async def _post_status(call: Call) -> Response:
    media_type(call.request, _FORM)
    return pages.page(pages.render_status(*await _status_of(call, _parse_fields(await _read_form(call)).get("number", ""))))


async def _status_of(call: Call, text: str) -> tuple[str, str]:
    await call.find_service(TipService).may_look(call.request)
    number = read_number(text[:64])
    if number is None:
        raise Problem("not-found", "there is no such receipt number")
    return number, await call.find_service(TipService).status(number)


async def _take_tip(call: Call, tip: TipIn, key: str | None) -> str:
    if key is not None and not (0 < len(key) <= _KEY_LENGTH and key.isascii() and key.isprintable()):
        raise Problem("invalid-request", f"a key has 1 to {_KEY_LENGTH} printable ASCII characters", errors=[])
    return (await call.find_service(TipService).take(call.request, tip, key or fresh_key(datetime.now(UTC)))).number


async def _render_paged(call: Call, handler: Callable[[Call], Awaitable[Response]]) -> Response:
    """Renders a problem as a page, with its status and headers."""
    try:
        return await handler(call)
    except Exception as error:
        problem = call.services.problem_of(error)
        _count_refused(problem)
        return pages.page(pages.refused(problem.kind.title, problem.detail), problem.kind.status, problem.headers)


async def _read_form(call: Call) -> bytes:
    encoding(call.request, gzip_ok=False)
    settings = call.find_service(GatewaySettings)
    try:
        async with asyncio.timeout(settings.tip_body_s):
            return await read_body(call.request, settings.tip_limit_bytes, settings.body_idle_s)
    except TimeoutError:
        raise Problem("invalid-request", f"the body did not arrive within {settings.tip_body_s:g} s", errors=[]) from None


def _parse_fields(raw: bytes) -> dict[str, str]:
    """Returns the form's own fields, each once."""
    try:
        pairs = parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=32, errors="strict")
    except ValueError:
        raise Problem("invalid-request", "the body is not a UTF-8 form", errors=[]) from None
    return {name: value for name, value in pairs if name in (*FIELDS, "number")}


def _is_form(call: Call) -> bool:
    return call.request.headers.get("content-type", "").partition(";")[0].strip().lower() == _FORM


def _render_tip(number: str, status: str) -> TipOut:
    return TipOut.model_validate({"number": number, "status": status, "links": {"self": f"/v1/tips/{number}"}})


def _count_refused(problem: Problem) -> None:
    if problem.kind.status in (413, 415, 422):
        METRICS.tips.labels("refused").inc()


ENDPOINTS = [
    Endpoint("GET", "/tips", get_form, EVERYBODY, "Show the form for a tip", responses={200: None}, media="text/html"),
    Endpoint(
        "POST",
        "/v1/tips",
        post_tip,
        EVERYBODY,
        "Submit a tip",
        body=TipIn,
        responses={202: TipOut},
        request_headers=("Idempotency-Key",),
        problems=("invalid-request", "rate-limited", *ADMISSION),
    ),
    Endpoint(
        "GET",
        "/v1/tips/{number}",
        get_tip,
        EVERYBODY,
        "Retrieve the status of a tip",
        answer=TipOut,
        problems=("rate-limited", *VIEWS),
    ),
    Endpoint(
        "POST",
        "/tips/status",
        post_status,
        EVERYBODY,
        "Show the status of a tip",
        responses=dict.fromkeys((200, 404, 413, 415, 422, 429, 503)),
        media="text/html",
    ),
]
