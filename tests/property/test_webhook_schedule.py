"""A delivery under any sequence of answers and requests: it ends, it never loses what arrived, and its times make sense."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from stream_processors.domain.refusal import Refusal
from stream_processors.webhooks.delivery_state import (
    UNDER_WAY,
    Delivery,
    DeliveryRequest,
    DeliveryState,
    answered,
    first,
    requested,
    wait_s,
)
from stream_processors.webhooks.policy import Retries
from stream_processors.webhooks.responses import LONGEST_WISH_S, Answer, CallOutcome, retry_after_s
from tests.support.builders import T0, after

RETRIES = Retries(first_s=2, longest_s=100, attempts=6, give_up_s=500, longest_wish_s=200)
EVENT = st.sampled_from(
    [
        *CallOutcome,
        *DeliveryRequest,
        CallOutcome.DELIVERED,
        CallOutcome.RETRY_LATER,
        DeliveryRequest.REPLAY,
        DeliveryRequest.REPLAY,
    ]
)
STEP = st.tuples(EVENT, st.sampled_from([0, 0, 0, -1, -2]), st.sampled_from([None, 0.0, 30.0, 9e9]), st.sampled_from([0, 1, 90]))


def _start() -> Delivery:
    return first(message_id="ord-1", endpoint_id="hook-1", recipient="bank-001", now=T0)


def _play(steps: list[Any]) -> list[tuple[Delivery, Any, Delivery]]:
    """(before, event, after) of each step."""
    delivery, now, played = _start(), 0, []
    for event, behind, wish, pause_s in steps:
        now += pause_s
        at = after(seconds=now)
        if isinstance(event, DeliveryRequest):
            found = requested(delivery=delivery, request=event, retries=RETRIES, now=at)
            moved = delivery if isinstance(found, Refusal) else found
        else:
            answer = Answer(event, "why", 500, wish)
            number = max(1, delivery.attempts + 1 + behind)
            moved = answered(delivery=delivery, answer=answer, attempt=number, retries=RETRIES, now=at)
        played.append((delivery, event, moved))
        delivery = moved
    return played


@given(st.lists(STEP, min_size=3, max_size=40))
def test_a_delivery_under_way_has_a_next_attempt_within_the_policy_and_no_other_has_one(steps: list[Any]) -> None:
    for _, _, now in _play(steps):
        assert (now.next_at is not None) == (now.state in UNDER_WAY)
        if now.next_at is not None:
            assert 0 <= (now.next_at - now.round_at).total_seconds() <= RETRIES.give_up_s
            assert now.attempts - now.round_from < RETRIES.attempts


@given(st.lists(STEP, min_size=3, max_size=40))
def test_what_arrived_stays_known_and_attempts_are_never_uncounted(steps: list[Any]) -> None:
    for before, _, now in _play(steps):
        assert now.attempts >= before.attempts and now.replays >= before.replays
        assert before.received_at is None or now.received_at == before.received_at
        assert before.acknowledged_at is None or now == before
        assert (now.state is DeliveryState.RECEIVED) <= (now.received_at is not None)


@given(st.lists(STEP, min_size=3, max_size=40))
def test_only_a_person_takes_a_delivery_out_of_an_end(steps: list[Any]) -> None:
    for before, event, now in _play(steps):
        if before.state is DeliveryState.PARKED and now.state in UNDER_WAY:
            assert event is DeliveryRequest.REPLAY
        if before.state is DeliveryState.RECEIVED and now.state is not DeliveryState.RECEIVED:
            assert isinstance(event, DeliveryRequest)


@given(st.lists(st.sampled_from([None, 0.0, 30.0, 9e9]), min_size=6, max_size=6))
def test_an_endpoint_that_always_fails_is_given_up_whatever_it_wishes(wishes: list[float | None]) -> None:
    delivery = _start()
    for wish in wishes:
        if delivery.next_at is None:
            break
        answer, number = Answer(CallOutcome.RETRY_LATER, "why", 503, wish), delivery.attempts + 1
        delivery = answered(delivery=delivery, answer=answer, attempt=number, retries=RETRIES, now=delivery.next_at)
    assert delivery.state is DeliveryState.PARKED
    assert (delivery.changed_at - delivery.sent_at).total_seconds() <= RETRIES.give_up_s


@given(
    st.text(min_size=1, max_size=20),
    st.integers(1, 5000),
    st.one_of(st.none(), st.floats(0, 1e9)),
    st.floats(0.1, 3600),
    st.floats(1, 24),
)
def test_a_wait_lies_between_half_of_its_span_and_the_longest(
    message: str, tries: int, wish: float | None, first_s: float, more: float
) -> None:
    retries = Retries(first_s=first_s, longest_s=first_s * more)
    delivery = first(message_id=message, endpoint_id="hook-1", recipient="bank-001", now=T0)
    span = min(retries.longest_s, first_s * 2.0 ** min(tries - 1, 40))
    waited = wait_s(delivery, tries, wish, retries)
    assert span / 2 <= waited <= max(span, min(wish or 0.0, retries.longest_wish_s) + span / 4)
    assert wish is None or waited >= min(wish, retries.longest_wish_s)


NUMBER = st.one_of(st.integers(-5, 70).map(str), st.sampled_from(["99999", "9" * 20, "1e3", "٣"]))
DATE = st.tuples(
    NUMBER, st.sampled_from(["Mar", "Foo", "2"]), NUMBER, NUMBER, st.sampled_from(["GMT", "-0000", "+9999", "+99999999"])
).map(lambda part: f"Mon, {part[0]} {part[1]} {part[2]} {part[3]}:00:00 {part[4]}")


@given(st.one_of(st.text(max_size=40), NUMBER, DATE))
def test_whatever_an_endpoint_wishes_is_a_bounded_time_or_none(header: str) -> None:
    wish = retry_after_s(header, T0)
    assert wish is None or 0.0 <= wish <= LONGEST_WISH_S
