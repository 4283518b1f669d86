"""A delivery to one endpoint as a transition table, and the time of its next attempt. Pure.

The wait doubles and is spread by a hash of message and endpoint, so the same delivery waits the same time wherever it is
computed. Invariant: a delivery that is neither received, acknowledged nor parked has a time of its next attempt, and it ends
within the policy's bounds, whatever the endpoint answers.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import Field

from schemas.common import Instant, Name, PartyId, Stored
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import Table, Transition
from stream_processors.webhooks.policy import Retries
from stream_processors.webhooks.responses import Answer, CallOutcome


class DeliveryState(StrEnum):
    """SENT: in its first round. RECEIVED: the endpoint accepted it. ACKNOWLEDGED: the institution confirmed it through any
    channel. RETRYING: an attempt failed, and another follows. PARKED: given up; a person must look (the dead letters).
    REDELIVERED: in a new round because a person asked."""

    SENT = "sent"
    RECEIVED = "received"
    ACKNOWLEDGED = "acknowledged"
    RETRYING = "retrying"
    PARKED = "parked"
    REDELIVERED = "redelivered"


class DeliveryRequest(StrEnum):
    """Events of a delivery from others than the endpoint."""

    ACKNOWLEDGE = "acknowledge"
    REPLAY = "replay"


Event = CallOutcome | DeliveryRequest
UNDER_WAY = (DeliveryState.SENT, DeliveryState.RETRYING, DeliveryState.REDELIVERED)


class Delivery(Stored):
    """One message to one endpoint. `attempts` counts all of them, `round_from` those before the current round (a redelivery
    begins a new one, at `round_at`); `next_at` is None if no attempt follows."""

    message_id: Name
    endpoint_id: Name
    recipient: PartyId
    state: DeliveryState
    sent_at: Instant
    round_at: Instant
    changed_at: Instant
    next_at: Instant | None = None
    attempts: int = Field(default=0, ge=0)
    round_from: int = Field(default=0, ge=0)
    replays: int = Field(default=0, ge=0)
    received_at: Instant | None = None
    acknowledged_at: Instant | None = None
    status: int | None = None
    why: str | None = Field(default=None, max_length=300)


class DeliveryStep(NamedTuple):
    """An event of a delivery: the response to an attempt, by a policy and at a time."""

    delivery: Delivery
    answer: Answer
    attempt: int
    retries: Retries
    now: datetime


def _count_attempt(step: DeliveryStep) -> dict[str, Any]:
    attempts = max(step.delivery.attempts, step.attempt)
    return {"attempts": attempts, "status": step.answer.status, "why": step.answer.why, "next_at": None}


def _mark_received(step: DeliveryStep) -> dict[str, Any]:
    received_at = step.delivery.received_at or step.now
    return {**_count_attempt(step), "state": DeliveryState.RECEIVED, "received_at": received_at}


def _schedule_retry(step: DeliveryStep) -> dict[str, Any]:
    delivery, counted, retries = step.delivery, _count_attempt(step), step.retries
    tries = counted["attempts"] - delivery.round_from
    next_at = step.now + timedelta(seconds=wait_s(delivery, tries, step.answer.retry_after_s, retries))
    if tries >= retries.attempts or next_at > delivery.round_at + timedelta(seconds=retries.give_up_s):
        return {**counted, "state": DeliveryState.PARKED, "why": f"gave up after {tries} attempts: {step.answer.why}"[:300]}
    return {**counted, "state": DeliveryState.RETRYING, "next_at": next_at}


def _park_delivery(step: DeliveryStep) -> dict[str, Any]:
    return {**_count_attempt(step), "state": DeliveryState.PARKED}


def _mark_acknowledged(step: DeliveryStep) -> dict[str, Any]:
    return {"state": DeliveryState.ACKNOWLEDGED, "acknowledged_at": step.now, "next_at": None}


def _start_replay(step: DeliveryStep) -> dict[str, Any]:
    begun = {"round_at": step.now, "next_at": step.now, "round_from": step.delivery.attempts}
    return {**begun, "state": DeliveryState.REDELIVERED, "replays": step.delivery.replays + 1}


def _ignore_word(step: DeliveryStep) -> dict[str, Any]:
    """A late response: nothing changes."""
    return {}


S = DeliveryState
_ENDPOINT, _PERSON = frozenset({"endpoint"}), frozenset({"person"})
Row = Transition[None, DeliveryStep, dict[str, Any], None]
_ROWS: dict[tuple[str, str], Row] = {
    **{(state, CallOutcome.DELIVERED): Row((S.RECEIVED,), _mark_received, _ENDPOINT) for state in (*UNDER_WAY, S.PARKED)},
    **{(state, CallOutcome.RETRY_LATER): Row((S.RETRYING, S.PARKED), _schedule_retry, _ENDPOINT) for state in UNDER_WAY},
    **{(state, CallOutcome.REFUSED): Row((S.PARKED,), _park_delivery, _ENDPOINT) for state in UNDER_WAY},
    **{(state, CallOutcome.GONE): Row((S.PARKED,), _park_delivery, _ENDPOINT) for state in UNDER_WAY},
    **{
        (state, outcome): Row((state,), _ignore_word, _ENDPOINT, is_offered=False)
        for state in (S.PARKED, S.RECEIVED, S.ACKNOWLEDGED)
        for outcome in CallOutcome
        if (state, outcome) != (S.PARKED, CallOutcome.DELIVERED)
    },
    **{(state, DeliveryRequest.ACKNOWLEDGE): Row((S.ACKNOWLEDGED,), _mark_acknowledged, _PERSON) for state in S},
    (S.ACKNOWLEDGED, DeliveryRequest.ACKNOWLEDGE): Row((S.ACKNOWLEDGED,), _ignore_word, _PERSON, is_offered=False),
    **{
        (state, DeliveryRequest.REPLAY): Row((S.REDELIVERED,), _start_replay, _PERSON)
        for state in (S.RETRYING, S.RECEIVED, S.PARKED)
    },
}
TABLE = Table("delivery", _ROWS)
"""Other combinations are refused: a redelivery of a notice that is being sent or was acknowledged."""


def first(*, message_id: str, endpoint_id: str, recipient: str, now: datetime) -> Delivery:
    """A delivery that is due at once."""
    times = {"sent_at": now, "round_at": now, "changed_at": now, "next_at": now}
    return Delivery.trusted(
        message_id=message_id, endpoint_id=endpoint_id, recipient=recipient, state=DeliveryState.SENT, **times
    )


def answered(*, delivery: Delivery, answer: Answer, attempt: int, retries: Retries, now: datetime) -> Delivery:
    """The delivery after the response to its `attempt`-th try (from 1). A second response to an earlier attempt changes nothing,
    unless it reports success."""
    if attempt <= delivery.attempts and answer.outcome is not CallOutcome.DELIVERED:
        return delivery
    changed = _apply_event(answer.outcome, DeliveryStep(delivery, answer, attempt, retries, now), _ENDPOINT)
    assert not isinstance(changed, Refusal)  # every state takes every answer
    return changed


def requested(*, delivery: Delivery, request: DeliveryRequest, retries: Retries, now: datetime) -> Delivery | Refusal:
    """The delivery after a request of a person or an institution."""
    return _apply_event(request, DeliveryStep(delivery, Answer(CallOutcome.DELIVERED), delivery.attempts, retries, now), _PERSON)


def list_allowed(delivery: Delivery) -> tuple[str, ...]:
    """The requests that the state of the delivery allows."""
    return TABLE.allowed(delivery.state, None, _PERSON)


def _apply_event(event: Event, step: DeliveryStep, roles: frozenset[str]) -> Delivery | Refusal:
    delivery = step.delivery
    outcome = TABLE.apply(delivery.state, event, step, thing=None, roles=roles)
    if isinstance(outcome, Refusal):
        return outcome
    return Delivery.trusted(**{**delivery.__dict__, **outcome, "changed_at": step.now}) if outcome else delivery


def wait_s(delivery: Delivery, tries: int, wish_s: float | None, retries: Retries) -> float:
    """Seconds to the next attempt after `attempt_count` failed ones: between half of the span and the whole of it. An endpoint's
    Retry-After makes it longer, never shorter, and is spread, too, or all deferred messages would return at once."""
    span = min(retries.longest_s, retries.first_s * 2.0 ** min(tries - 1, 32))
    share = _spread_share(delivery.message_id, delivery.endpoint_id, tries)
    waited = span * (1 + share) / 2
    return waited if wish_s is None else max(waited, min(wish_s, retries.longest_wish_s) + share * span / 4)


def _spread_share(message_id: str, endpoint_id: str, tries: int) -> float:
    """From 0 to below 1, the same for the same names."""
    digest = hashlib.sha256(f"{message_id}\x1f{endpoint_id}\x1f{tries}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / float(1 << 48)
