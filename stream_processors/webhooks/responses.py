"""The meaning of an endpoint's response for the delivery: delivered, retry later, gone or refused. Pure.

Invariant: the status decides; the rest of the response is neither kept nor shown, except for Retry-After.
"""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple

LONGEST_WISH_S = 86_400.0


class CallOutcome(StrEnum):
    """DELIVERED: the endpoint has it. RETRY_LATER: it may accept it next time. GONE: it wants no more messages. REFUSED: a retry
    cannot help, a person must look."""

    DELIVERED = "delivered"
    RETRY_LATER = "retry_later"
    GONE = "gone"
    REFUSED = "refused"


class Answer(NamedTuple):
    """The result of one attempt. `why`: a sentence, None if delivered; `retry_after_s`: the endpoint's header; `address`: the
    called one, None if none was."""

    outcome: CallOutcome
    why: str | None = None
    status: int | None = None
    retry_after_s: float | None = None
    address: str | None = None


_SINGLE: dict[int, tuple[CallOutcome, str]] = {
    408: (CallOutcome.RETRY_LATER, "the endpoint timed out while it waited for the request"),
    410: (CallOutcome.GONE, "the endpoint is gone"),
    425: (CallOutcome.RETRY_LATER, "the endpoint asked to retry later"),
    429: (CallOutcome.RETRY_LATER, "the endpoint limits the request rate"),
}
_CLASSES: dict[int, tuple[CallOutcome, str]] = {
    1: (CallOutcome.REFUSED, "the endpoint requires another protocol"),
    2: (CallOutcome.DELIVERED, ""),
    3: (CallOutcome.REFUSED, "the endpoint redirects, which is not followed; register the target address"),
    4: (CallOutcome.REFUSED, "the endpoint refused the message"),
    5: (CallOutcome.RETRY_LATER, "the endpoint failed"),
}
_OTHER = (CallOutcome.REFUSED, "the endpoint responded with an unknown status")


def of_status(status: int, retry_after: str | None, now: datetime, address: str | None = None) -> Answer:
    """The meaning of an HTTP status. `retry_after`: the raw header, read for retried ones."""
    outcome, why = _SINGLE.get(status) or _CLASSES.get(status // 100, _OTHER)
    wish = retry_after_s(retry_after, now) if outcome is CallOutcome.RETRY_LATER else None
    return Answer(outcome, f"{why} ({status})" if why else None, status, wish, address)


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Seconds of a Retry-After header in either form (RFC 9110, 10.2.3), at most a day; None if unreadable."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        # A number of any length may come; int() of a very long one is refused by Python itself.
        return float(min(int(text[:12]), LONGEST_WISH_S))
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((aware - now).total_seconds(), 0.0), LONGEST_WISH_S)


REASONS = ("taken", "redirect", "refused", "failed", "busy", "gone", "no_answer", "not_called")
"""All values that `reason_of` returns."""
_REASONS = {408: "busy", 410: "gone", 425: "busy", 429: "busy"}
_REASONS_OF_CLASS = {2: "taken", 3: "redirect", 5: "failed"}


def reason_of(answer: Answer) -> str:
    """One word for the metrics. `not_called`: no address, or a forbidden one; `no_answer`: no connection or no HTTP."""
    if answer.status is not None:
        return _REASONS.get(answer.status) or _REASONS_OF_CLASS.get(answer.status // 100, "refused")
    return "not_called" if answer.address is None else "no_answer"
