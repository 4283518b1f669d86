"""The broker's time from its stamps: never ahead of it, carried on by a clock that no setting moves."""

from __future__ import annotations

from stream_processors.domain.deadlines.broker_time import HOLD_MS, SILENT_MS, BrokerTime

NOON = 1_772_413_200_000


def test_nothing_is_known_before_the_broker_stamped_anything() -> None:
    time = BrokerTime()
    time.seen(NOON, 5)  # it may have stood in the log for hours
    assert time.now_ms(5) is None and not time.known(5)


def test_the_time_goes_on_from_the_stamp_and_is_behind_by_what_the_answer_took() -> None:
    time = BrokerTime()
    time.acknowledged(NOON, 1_000)
    assert time.now_ms(1_000) == NOON
    assert time.now_ms(61_000) == NOON + 60_000


def test_of_two_stamps_the_one_that_took_less_counts_for_a_while() -> None:
    time = BrokerTime()
    time.acknowledged(NOON, 1_000)
    time.acknowledged(NOON + 1_000, 2_300)  # 300 ms on its way
    assert time.now_ms(3_000) == NOON + 2_000
    time.acknowledged(NOON + HOLD_MS, 1_000 + HOLD_MS + 40)
    assert time.now_ms(1_000 + HOLD_MS) == NOON + HOLD_MS - 40


def test_a_broker_that_was_set_forward_is_followed_at_once_and_back_after_a_while() -> None:
    time = BrokerTime()
    time.acknowledged(NOON, 0)
    time.seen(NOON + 3_600_000, 100)
    assert time.now_ms(100) == NOON + 3_600_000
    time.seen(NOON, 200)
    assert time.now_ms(200) == NOON + 3_600_100
    time.acknowledged(NOON + HOLD_MS, 200 + HOLD_MS)
    assert time.now_ms(200 + HOLD_MS) == NOON + HOLD_MS


def test_after_a_long_silence_the_broker_has_to_be_asked() -> None:
    time = BrokerTime()
    time.acknowledged(NOON, 0)
    assert time.known(SILENT_MS - 1) and not time.known(SILENT_MS)
    assert time.now_ms(SILENT_MS) == NOON + SILENT_MS, "the best that is known, until then"
