"""A delivery's moves by name: what each word does, and what may not be asked."""

from __future__ import annotations

import pytest

from stream_processors.domain.refusal import Refusal
from stream_processors.webhooks.delivery_state import (
    TABLE,
    UNDER_WAY,
    Delivery,
    DeliveryRequest,
    DeliveryState,
    answered,
    first,
    list_allowed,
    requested,
    wait_s,
)
from stream_processors.webhooks.policy import Retries
from stream_processors.webhooks.responses import Answer, CallOutcome
from tests.support.builders import T0, after

RETRIES = Retries(first_s=2, longest_s=60, attempts=5, give_up_s=600)
LATER = Answer(CallOutcome.RETRY_LATER, "the endpoint failed (503)", 503)
DELIVERED = Answer(CallOutcome.DELIVERED, None, 200)
REFUSED = Answer(CallOutcome.REFUSED, "the endpoint refused the message (404)", 404)
GONE = Answer(CallOutcome.GONE, "the endpoint wants no more messages (410)", 410)


def sent() -> Delivery:
    return first(message_id="ord-1", endpoint_id="hook-1", recipient="bank-001", now=T0)


def told(delivery: Delivery, answer: Answer, attempt: int | None = None, s: float = 1, retries: Retries = RETRIES) -> Delivery:
    number = delivery.attempts + 1 if attempt is None else attempt
    return answered(delivery=delivery, answer=answer, attempt=number, retries=retries, now=after(seconds=s))


def asked(delivery: Delivery, request: DeliveryRequest, s: float = 2) -> Delivery | Refusal:
    return requested(delivery=delivery, request=request, retries=RETRIES, now=after(seconds=s))


def parked() -> Delivery:
    return told(sent(), REFUSED)


def test_a_new_delivery_is_due_at_once() -> None:
    assert (sent().state, sent().next_at, sent().attempts) == (DeliveryState.SENT, T0, 0)


def test_an_endpoint_that_takes_the_message_has_received_it() -> None:
    done = told(sent(), DELIVERED)
    assert (done.state, done.received_at, done.next_at, done.attempts) == (DeliveryState.RECEIVED, after(seconds=1), None, 1)


def test_a_failed_attempt_is_followed_by_another_one_later() -> None:
    again = told(sent(), LATER)
    assert (again.state, again.status, again.why) == (DeliveryState.RETRYING, 503, "the endpoint failed (503)")
    assert again.next_at is not None and after(seconds=2) <= again.next_at <= after(seconds=3)


@pytest.mark.parametrize("answer", [REFUSED, GONE], ids=["refused", "gone"])
def test_what_cannot_get_better_is_parked_at_once_and_says_why(answer: Answer) -> None:
    done = told(sent(), answer)
    assert (done.state, done.next_at, done.why, done.status) == (DeliveryState.PARKED, None, answer.why, answer.status)


def test_after_the_last_attempt_of_the_policy_it_is_parked() -> None:
    delivery = sent()
    for number in range(5):
        assert delivery.state in UNDER_WAY
        delivery = told(delivery, LATER, s=number)
    assert (delivery.state, delivery.attempts) == (DeliveryState.PARKED, 5)
    assert delivery.why == "gave up after 5 attempts: the endpoint failed (503)"


def test_an_attempt_that_would_come_after_the_policys_time_is_not_waited_for() -> None:
    assert told(sent(), LATER, s=599.9).state is DeliveryState.PARKED


def test_an_endpoints_wish_makes_the_wait_longer_never_shorter_and_not_for_ever() -> None:
    policy = RETRIES.model_copy(update={"longest_wish_s": 120.0})
    assert 60 <= wait_s(sent(), 1, 60.0, policy) <= 61
    assert 120 <= wait_s(sent(), 1, 10.0**6, policy) <= 121
    assert wait_s(sent(), 5, 0.0, policy) == pytest.approx(wait_s(sent(), 5, None, policy))


def test_the_wait_is_the_same_wherever_it_is_computed_and_differs_between_endpoints() -> None:
    other = first(message_id="ord-1", endpoint_id="hook-2", recipient="bank-002", now=T0)
    assert wait_s(sent(), 3, None, RETRIES) == wait_s(sent(), 3, None, RETRIES) != wait_s(other, 3, None, RETRIES)


def test_a_second_word_about_the_same_attempt_changes_nothing() -> None:
    again = told(sent(), LATER)
    assert told(again, LATER, attempt=1, s=9) is again
    assert told(again, REFUSED, attempt=1, s=9) is again


def test_a_second_word_that_the_message_arrived_counts_but_is_no_further_attempt() -> None:
    done = told(told(sent(), LATER), DELIVERED, attempt=1, s=9)
    assert (done.state, done.attempts) == (DeliveryState.RECEIVED, 1)
    assert told(parked(), DELIVERED, attempt=1, s=9).state is DeliveryState.RECEIVED


def test_what_was_received_or_acknowledged_is_not_unmade_by_a_late_failure() -> None:
    done = told(sent(), DELIVERED)
    assert told(done, LATER) is done
    known = asked(done, DeliveryRequest.ACKNOWLEDGE)
    assert isinstance(known, Delivery) and told(known, GONE) is known


@pytest.mark.parametrize("before", [sent(), told(sent(), LATER), told(sent(), DELIVERED), parked()], ids=lambda one: one.state)
def test_an_acknowledgement_by_whatever_way_ends_the_attempts(before: Delivery) -> None:
    known = asked(before, DeliveryRequest.ACKNOWLEDGE)
    assert isinstance(known, Delivery)
    assert (known.state, known.acknowledged_at, known.next_at) == (DeliveryState.ACKNOWLEDGED, after(seconds=2), None)
    assert asked(known, DeliveryRequest.ACKNOWLEDGE, s=9) is known


def test_a_parked_delivery_is_replayed_with_all_its_attempts_before_it() -> None:
    again = asked(parked(), DeliveryRequest.REPLAY)
    assert isinstance(again, Delivery)
    assert (again.state, again.next_at, again.replays) == (DeliveryState.REDELIVERED, after(seconds=2), 1)
    for _ in range(4):
        again = told(again, LATER, s=3)
    assert (again.state, again.attempts, again.round_from) == (DeliveryState.RETRYING, 5, 1)
    assert told(again, LATER, s=3).state is DeliveryState.PARKED


def test_when_a_message_arrived_first_stays_known_over_a_replay() -> None:
    again = asked(told(sent(), DELIVERED), DeliveryRequest.REPLAY)
    assert isinstance(again, Delivery)
    assert told(again, DELIVERED, s=50).received_at == after(seconds=1)


def test_a_person_need_not_wait_for_the_next_attempt() -> None:
    again = asked(told(sent(), LATER), DeliveryRequest.REPLAY)
    assert isinstance(again, Delivery) and again.next_at == after(seconds=2)


def test_a_replay_of_what_is_on_its_way_or_acknowledged_is_refused_with_the_open_moves() -> None:
    known = asked(sent(), DeliveryRequest.ACKNOWLEDGE)
    assert isinstance(known, Delivery)
    assert asked(sent(), DeliveryRequest.REPLAY) == Refusal(
        "transition-not-allowed", "the delivery is sent; actions allowed now: acknowledge", ("acknowledge",)
    )
    assert asked(known, DeliveryRequest.REPLAY) == Refusal(
        "transition-not-allowed", "the delivery is acknowledged; actions allowed now: none"
    )
    assert list_allowed(parked()) == ("acknowledge", "replay")


def test_the_table_has_a_move_for_every_answer_in_every_state() -> None:
    assert {(state, outcome) for state in DeliveryState for outcome in CallOutcome} <= TABLE.keys()


def test_a_delivery_is_the_same_after_it_was_written_and_read() -> None:
    done = told(sent(), LATER)
    assert Delivery.model_validate_json(done.model_dump_json()) == done
