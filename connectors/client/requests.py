"""Each call of the client as steps: one signal, a batch, the status of a signal, and the wait for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import quote

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

from .batch import send_all
from .errors import ClientError, NotFound, StillPending
from .models import SignalAnswer, SignalOutcome, SignalReceipt
from .sansio import HttpRequest, Pause, Reply, Result, RetryPolicy, Steps, until_answered

FIRST_LOOK_S, LONGEST_LOOK_S = 0.1, 2.0

Model = TypeVar("Model", bound=BaseModel)


def send(signal: Mapping[str, Any], patience: RetryPolicy) -> Steps[SignalReceipt]:
    """Returns the receipt of one signal."""
    _require_reference(signal)
    request = HttpRequest("POST", "/v1/signals", {"content-type": "application/json"}, to_json(signal))
    return (yield from _receive_receipt(request, patience))


def _receive_receipt(request: HttpRequest, patience: RetryPolicy) -> Steps[SignalReceipt]:
    reply = yield from until_answered(request, patience)
    receipt = model_of(SignalReceipt, reply)
    return receipt.model_copy(update={"replayed": reply.headers.get("idempotency-replayed") == "true"})


def send_many(signals: Sequence[Mapping[str, Any]], patience: RetryPolicy) -> Steps[list[SignalAnswer]]:
    """Returns one answer for each signal, in order, with its reference."""
    for signal in signals:
        _require_reference(signal)
    answers = yield from send_all(signals, patience=patience, compress=True)
    return [replace(answer, reference=str(signal["reference"])) for answer, signal in zip(answers, signals, strict=True)]


def retract(reference: str, reason: str, patience: RetryPolicy) -> Steps[SignalReceipt]:
    """Returns the receipt of a retraction by the signal's reference."""
    if not reference or not reason:
        raise ValueError("a retraction requires the `reference` of the signal and a `reason`")
    body = to_json({"reference": reference, "reason": reason})
    request = HttpRequest("POST", "/v1/retractions", {"content-type": "application/json"}, body)
    return (yield from _receive_receipt(request, patience))


def outcome(signal_id: str, patience: RetryPolicy) -> Steps[SignalOutcome]:
    """Returns the status of a signal."""
    reply = yield from until_answered(HttpRequest("GET", f"/v1/signals/{quote(signal_id, safe='')}"), patience)
    return model_of(SignalOutcome, reply)


def wait(signal_id: str, timeout_s: float, patience: RetryPolicy, now: Callable[[], float]) -> Steps[SignalOutcome]:
    """Polls until the signal is assessed, through any failure, for at most `timeout_s`. A gateway that lost its memory does not
    know a signal before its assessment, so NotFound is final only at the end."""
    end, look_s = now() + timeout_s, FIRST_LOOK_S
    last: SignalOutcome | None = None
    stubborn = replace(patience, give_up_after=None)
    while True:
        unknown: NotFound | None = None
        try:
            last = yield from _limit_waits(end, outcome(signal_id, stubborn), now)
        except NotFound as error:
            unknown = error
        except TimeoutError:
            raise StillPending(signal_id, timeout_s, last) from None
        if unknown is None and last is not None and not last.pending:
            return last
        left_s = end - now()
        if left_s <= 0:
            raise unknown or StillPending(signal_id, timeout_s, last)
        yield Pause(min(look_s, left_s))
        look_s = min(look_s * 1.6, LONGEST_LOOK_S)


def _limit_waits(end: float, steps: Steps[Result], now: Callable[[], float]) -> Steps[Result]:
    """The steps with waits that end by `end`, whatever Retry-After says. TimeoutError in place of a step after it."""
    reply: Reply | None = None
    while True:
        try:
            step = steps.send(reply)
        except StopIteration as done:
            result: Result = done.value
            return result
        if isinstance(step, Pause):
            left_s = end - now()
            if left_s <= 0:
                raise TimeoutError
            step = Pause(min(step.seconds, left_s))
        reply = yield step


def _require_reference(signal: Mapping[str, Any]) -> None:
    if not signal.get("reference"):
        raise ValueError("a signal requires a `reference` of your own, so that a retry counts once even after a crash of yours")


def model_of(model: type[Model], reply: Reply) -> Model:
    """Returns the response as a value; ClientError if it does not come from a gateway."""
    try:
        return model.model_validate_json(reply.body)
    except ValidationError as error:
        raise ClientError(f"{reply.status}, but the response is not a gateway's: {error.error_count()} faults") from None
