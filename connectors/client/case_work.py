"""Work of an institution on cases, as steps: measures on a signal, answers to an order, work on a dissuasion.

Invariant: a call returns when the log has decided it, and is repeated only under the same key, so it counts once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from pydantic import AwareDatetime
from pydantic_core import to_json

from .backoff import retry_after_s
from .models import ResponseModel
from .requests import Model, model_of
from .sansio import HttpRequest, RetryPolicy, Steps, until_answered


class ReportedMeasure(ResponseModel):
    """A measure as a case records it. `late`: it came after its deadline."""

    measure_id: str
    case_id: str
    kind: str
    recorded_at: AwareDatetime
    late: bool
    done_late: bool


class OrderVerification(ResponseModel):
    """The values to compare with your own books before you stop anything."""

    name: str | None = None
    account: str | None = None
    amount_minor: int | None = None
    occurred_at: AwareDatetime | None = None


class IncomingOrder(ResponseModel):
    """An order to you. `allowed_transitions`: the possible `result`s now. Nothing may be paid back before `public_notice_until`.
    `partial`: it releases `amount_minor` of the hold of the order `related_order_id`, and the rest stays held."""

    order_id: str
    case_id: str
    kind: str
    state: str
    agency: str
    basis: str
    verify: OrderVerification | None = None
    verify_fields: Sequence[str] = ()
    amount_minor: int | None = None
    currency: str | None = None
    related_order_id: str | None = None
    text: str | None = None
    answer_by: AwareDatetime | None = None
    valid_until: AwareDatetime | None = None
    method: str | None = None
    public_notice_until: AwareDatetime | None = None
    partial: bool = False
    held_minor: int = 0
    allowed_transitions: Sequence[str] = ()


class Person(ResponseModel):
    kind: str
    value: str | None = None


class DissuasionWork(ResponseModel):
    """A dissuasion. `taken`: somebody works on it; you do if `taken_by` is present."""

    dissuasion_id: str
    case_id: str
    state: str
    person: Person
    taken: bool
    taken_by: str | None = None
    attempt_count: int = 0
    outcome: str | None = None
    allowed_transitions: Sequence[str] = ()


class _Measured(ResponseModel):
    measures: Sequence[ReportedMeasure]


def measure(signal_id: str, body: Mapping[str, Any], patience: RetryPolicy) -> Steps[list[ReportedMeasure]]:
    """Returns the measure in each case of the signal. Its `reference` makes it count once."""
    if not body.get("reference"):
        raise ValueError("a measure requires a `reference` of your own, so that a retry counts once even after a crash of yours")
    measured = yield from _post_body(_Measured, f"/v1/signals/{_quote_id(signal_id)}/measures", body, None, patience)
    return list(measured.measures)


def order(order_id: str, patience: RetryPolicy) -> Steps[IncomingOrder]:
    reply = yield from until_answered(HttpRequest("GET", f"/v1/orders/{_quote_id(order_id)}"), patience)
    return model_of(IncomingOrder, reply)


def answer(order_id: str, body: Mapping[str, Any], key: str | None, patience: RetryPolicy) -> Steps[IncomingOrder]:
    return (
        yield from _post_body(IncomingOrder, f"/v1/orders/{_quote_id(order_id)}/answers", body, key or str(uuid4()), patience)
    )


def dissuasion(dissuasion_id: str, patience: RetryPolicy) -> Steps[DissuasionWork]:
    reply = yield from until_answered(HttpRequest("GET", f"/v1/dissuasions/{_quote_id(dissuasion_id)}"), patience)
    return model_of(DissuasionWork, reply)


def work(dissuasion_id: str, what: str, body: Mapping[str, Any], key: str | None, patience: RetryPolicy) -> Steps[DissuasionWork]:
    """`what`: take, give-back, attempts, give-up."""
    path = f"/v1/dissuasions/{_quote_id(dissuasion_id)}/{_quote_id(what)}"
    return (yield from _post_body(DissuasionWork, path, body, key or str(uuid4()), patience))


def _post_body(model: type[Model], path: str, body: Mapping[str, Any], key: str | None, patience: RetryPolicy) -> Steps[Model]:
    """Posts the body until it is decided. 202 means that the log has it; a repeated request asks for the outcome."""
    headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
    request, tries = HttpRequest("POST", path, headers, to_json(body)), 0
    while True:
        reply = yield from until_answered(request, patience)
        if reply.status != 202:
            return model_of(model, reply)
        tries += 1
        yield patience.wait(tries, "the action is not decided yet", retry_after_s(reply.headers.get("retry-after")))


def _quote_id(text: str) -> str:
    return quote(text, safe="")
