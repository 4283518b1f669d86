"""What was asked for and is not answered yet: one request a moment, again when it was refused, never lost for good."""

from __future__ import annotations

from schemas.deadlines import DeadlineStep
from stream_processors.domain.deadlines.due_index import Member
from stream_processors.domain.deadlines.in_flight import AGAIN_AFTER_S, FEW, MOST_WAITING, NUDGE_AFTER_S, RequestsInFlight

ONE, TWO = (Member("case-1", "block", run, DeadlineStep.DUE) for run in (1, 2))


def test_what_is_asked_for_is_not_asked_for_again_however_long_track_takes() -> None:
    line = RequestsInFlight(0, 0)
    line.asked([ONE], 7, 0)
    for now_s in (1, 60, 3600):
        line.answered(7, now_s)
        assert not line.free(ONE) and line.free(TWO)


def test_what_was_refused_is_asked_for_again_after_a_while() -> None:
    line = RequestsInFlight(0, 0)
    line.asked([ONE, TWO], 7, 0)
    line.answered(8, AGAIN_AFTER_S / 2)
    assert not line.free(ONE), "its change may be on its way into the index"
    line.answered(8, AGAIN_AFTER_S)
    assert line.free(ONE)
    assert not line.free(TWO), "that one has no answer yet"


def test_a_new_owner_asks_for_nothing_until_what_it_found_in_the_log_is_answered_but_for_a_few() -> None:
    line = RequestsInFlight(10_000, 0)
    line.answered(10_000 - FEW - 1, 1)
    assert line.room == 0
    line.answered(10_000 - FEW, 2)
    assert line.room == MOST_WAITING


def test_no_more_is_asked_for_than_track_has_room_for() -> None:
    line = RequestsInFlight(0, 0)
    line.asked([Member("case-1", "block", run, DeadlineStep.DUE) for run in range(1, MOST_WAITING + 1)], 0, 0)
    assert line.room == 0
    line.answered(400, 10)
    assert line.room == 400


def test_when_nothing_is_answered_for_long_one_request_is_made_again_at_a_time() -> None:
    line = RequestsInFlight(0, 0)
    assert not line.stuck(NUDGE_AFTER_S), "nothing is asked for"
    line.asked([ONE, TWO], 7, 1)
    line.answered(5, 2)
    assert not line.stuck(2 + NUDGE_AFTER_S - 0.1)
    assert line.stuck(2 + NUDGE_AFTER_S)
    line.nudged(2 + NUDGE_AFTER_S)
    assert not line.stuck(2 + NUDGE_AFTER_S)


def test_after_a_long_quiet_time_the_wait_begins_with_the_request() -> None:
    line = RequestsInFlight(0, 0)
    line.answered(7, 1)
    line.asked([ONE], 7, 500)
    assert not line.stuck(500 + NUDGE_AFTER_S - 0.1)
    assert line.stuck(500 + NUDGE_AFTER_S)


def test_what_the_log_lost_is_seen_by_where_the_next_request_lands() -> None:
    three = Member("case-1", "block", 3, DeadlineStep.DUE)
    line = RequestsInFlight(0, 0)
    line.asked([three, ONE, TWO], 6, 0)
    line.asked([ONE], 7, 20)  # the log ends earlier than it did
    assert line.free(TWO) and not line.free(ONE) and not line.free(three)


def test_an_owner_that_waits_for_what_retention_took_is_stuck_and_asks_all_the_same() -> None:
    line = RequestsInFlight(10_000, 0)
    line.answered(0, 0)
    assert line.stuck(NUDGE_AFTER_S)
