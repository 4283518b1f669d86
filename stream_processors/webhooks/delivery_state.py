"""A delivery's way to one endpoint as a transition table, and when it is tried again. Pure.

The wait doubles and is spread by a hash of message and endpoint, so the same delivery waits the same time wherever it is
computed. Invariant: a delivery that is neither received, acknowledged nor parked has a time of its next attempt, and it comes
to an end within the policy's bounds, whatever the endpoint answers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from pydantic import Field

from schemas.common import Instant, Name, PartyId, Stored
from stream_processors.domain.refusal import Refusal
from stream_processors.webhooks.policy import Retries
from stream_processors.webhooks.responses import Answer, Outcome


class State(StrEnum):
    """SENT: on its way for the first time. RECEIVED: the endpoint took it. ACKNOWLEDGED: the institution says that it has it,
    by whatever way. RETRYING: an attempt failed, another one comes. PARKED: given up, a person must look (the dead letters).
    REPLAYED: on its way again because a person asked."""

    SENT = "sent"
    RECEIVED = "received"
    ACKNOWLEDGED = "acknowledged"
    RETRYING = "retrying"
    PARKED = "parked"
    REPLAYED = "replayed"


class Request(StrEnum):
    """What others than the endpoint do to a delivery."""

    ACKNOWLEDGE = "acknowledge"
    REPLAY = "replay"


Event = Outcome | Request
UNDER_WAY = (State.SENT, State.RETRYING, State.REPLAYED)


class Delivery(Stored):
    """One message to one endpoint. `attempts` counts all of them, `round_from` those before the present round (a replay begins
    a new one, at `round_at`); `next_at` is None when nothing is to come."""

    message_id: Name
    endpoint_id: Name
    recipient: PartyId
    state: State
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


class Word(NamedTuple):
    """What moves a delivery: the answer to which of its attempts, and by which policy and when."""

    answer: Answer
    attempt: int
    retries: Retries
    now: datetime


Effect = Callable[[Delivery, Word], dict[str, Any]]


class Move(NamedTuple):
    """To which state, and what else changes. A move without an effect is a late word: nothing changes."""

    to: State
    effect: Effect | None = None


def _count_attempt(delivery: Delivery, word: Word) -> dict[str, Any]:
    attempts = max(delivery.attempts, word.attempt)
    return {"attempts": attempts, "status": word.answer.status, "why": word.answer.why, "next_at": None}


def _receive(delivery: Delivery, word: Word) -> dict[str, Any]:
    return {**_count_attempt(delivery, word), "received_at": delivery.received_at or word.now}


def _retry(delivery: Delivery, word: Word) -> dict[str, Any]:
    counted, retries = _count_attempt(delivery, word), word.retries
    tries = counted["attempts"] - delivery.round_from
    next_at = word.now + timedelta(seconds=wait_s(delivery, tries, word.answer.retry_after_s, retries))
    if tries >= retries.attempts or next_at > delivery.round_at + timedelta(seconds=retries.give_up_s):
        return {**counted, "state": State.PARKED, "why": f"given up after {tries} attempts: {word.answer.why}"[:300]}
    return {**counted, "next_at": next_at}


def _acknowledge(delivery: Delivery, word: Word) -> dict[str, Any]:
    return {"acknowledged_at": word.now, "next_at": None}


def _replay(delivery: Delivery, word: Word) -> dict[str, Any]:
    begun = {"round_at": word.now, "next_at": word.now, "round_from": delivery.attempts}
    return {**begun, "replays": delivery.replays + 1}


TABLE: dict[tuple[State, Event], Move] = {
    **{(state, Outcome.DELIVERED): Move(State.RECEIVED, _receive) for state in (*UNDER_WAY, State.PARKED)},
    **{(state, Outcome.RETRY_LATER): Move(State.RETRYING, _retry) for state in UNDER_WAY},
    **{(state, Outcome.REFUSED): Move(State.PARKED, _count_attempt) for state in UNDER_WAY},
    **{(state, Outcome.GONE): Move(State.PARKED, _count_attempt) for state in UNDER_WAY},
    **{(State.PARKED, outcome): Move(State.PARKED) for outcome in Outcome if outcome is not Outcome.DELIVERED},
    **{(State.RECEIVED, outcome): Move(State.RECEIVED) for outcome in Outcome},
    **{(State.ACKNOWLEDGED, outcome): Move(State.ACKNOWLEDGED) for outcome in Outcome},
    **{(state, Request.ACKNOWLEDGE): Move(State.ACKNOWLEDGED, _acknowledge) for state in State},
    (State.ACKNOWLEDGED, Request.ACKNOWLEDGE): Move(State.ACKNOWLEDGED),
    (State.RETRYING, Request.REPLAY): Move(State.REPLAYED, _replay),
    (State.RECEIVED, Request.REPLAY): Move(State.REPLAYED, _replay),
    (State.PARKED, Request.REPLAY): Move(State.REPLAYED, _replay),
}
"""What is not here is refused: a replay of what is on its way already, or was acknowledged."""


def first(*, message_id: str, endpoint_id: str, recipient: str, now: datetime) -> Delivery:
    """A delivery that is due at once."""
    times = {"sent_at": now, "round_at": now, "changed_at": now, "next_at": now}
    return Delivery.trusted(message_id=message_id, endpoint_id=endpoint_id, recipient=recipient, state=State.SENT, **times)


def answered(*, delivery: Delivery, answer: Answer, attempt: int, retries: Retries, now: datetime) -> Delivery:
    """The delivery after the answer to its `attempt`-th try (from 1). A second word about an earlier attempt changes nothing,
    unless it says that the message arrived."""
    if attempt <= delivery.attempts and answer.outcome is not Outcome.DELIVERED:
        return delivery
    return _moved(TABLE[delivery.state, answer.outcome], delivery, Word(answer, attempt, retries, now))


def requested(*, delivery: Delivery, request: Request, retries: Retries, now: datetime) -> Delivery | Refusal:
    """The delivery after a person or an institution asked something of it."""
    move = TABLE.get((delivery.state, request))
    if move is None:
        moves = ", ".join(open_requests(delivery)) or "none"
        return Refusal("not-allowed", f"the delivery is {delivery.state}; moves open now: {moves}")
    return _moved(move, delivery, Word(Answer(Outcome.DELIVERED), delivery.attempts, retries, now))


def open_requests(delivery: Delivery) -> list[str]:
    """What may be asked of the delivery in its state."""
    return [event.value for (state, event), move in TABLE.items() if state is delivery.state and _changes(event, move)]


def _changes(event: Event, move: Move) -> bool:
    return isinstance(event, Request) and move.effect is not None


def _moved(move: Move, delivery: Delivery, word: Word) -> Delivery:
    if move.effect is None:
        return delivery
    changes = {"state": move.to, **move.effect(delivery, word), "changed_at": word.now}
    return Delivery.trusted(**{**delivery.__dict__, **changes})


def wait_s(delivery: Delivery, tries: int, wish_s: float | None, retries: Retries) -> float:
    """Seconds to the next attempt after `tries` failed ones: between half of the span and the whole of it. An endpoint's wish
    makes it longer, never shorter, and is spread too, or all that it sent away would come back at once."""
    span = min(retries.longest_s, retries.first_s * 2.0 ** min(tries - 1, 32))
    share = _share(delivery.message_id, delivery.endpoint_id, tries)
    waited = span * (1 + share) / 2
    return waited if wish_s is None else max(waited, min(wish_s, retries.longest_wish_s) + share * span / 4)


def _share(message_id: str, endpoint_id: str, tries: int) -> float:
    """From 0 up to 1, the same for the same names."""
    digest = hashlib.sha256(f"{message_id}\x1f{endpoint_id}\x1f{tries}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / float(1 << 48)
