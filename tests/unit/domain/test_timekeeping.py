"""The index of due moments and what is asked for from it."""

from __future__ import annotations

import pytest

from schemas.cases.case import Action
from schemas.codec import decode, encode
from schemas.common import instant_ms
from schemas.deadlines import DeadlineStep
from schemas.topics import CASE_COMMANDS
from stream_processors.domain.deadlines import deadlines as domain
from stream_processors.domain.deadlines.due_index import ACTOR, Member, Moment, due_ms, moments, request
from tests.support.builders import T0, after
from tests.support.clocks import fallen, started


def test_a_clock_has_one_moment_its_next() -> None:
    assert moments(started()) == (Moment(instant_ms(after(minutes=20)), "block", 1, DeadlineStep.WARN),)


def test_a_step_that_fell_due_makes_room_for_the_next() -> None:
    fired = fallen(started(), after(minutes=20)).clocks
    assert moments(fired) == (Moment(instant_ms(after(minutes=30)), "block", 1, DeadlineStep.DUE),)


def test_a_clock_that_stopped_has_none_and_the_earliest_of_the_others_is_the_first() -> None:
    two = started(started(), name="warn")
    assert [(one.clock, one.step) for one in moments(two)] == [("warn", "due"), ("block", "warn")]
    ended = domain.stop(two, name="block", now=T0).clocks
    assert [one.clock for one in moments(ended)] == ["warn"]
    assert moments(domain.cancel(ended, now=T0)) == ()


@pytest.mark.parametrize(("micros", "later"), [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)])
def test_a_moment_between_two_milliseconds_is_not_reckoned_before_it(micros: int, later: int) -> None:
    assert due_ms(after(microseconds=micros)) == instant_ms(T0) + later


def test_a_request_is_an_action_about_the_case_with_an_id_of_the_moment_s_own() -> None:
    asked = request(Member("case-b", "warn", 2, DeadlineStep.ESCALATE_1))
    assert asked.action_id == "due-case-b-warn-2-escalate-1"
    value = encode(CASE_COMMANDS, asked, id=asked.action_id, source="/timekeeper", actor=ACTOR, time=T0)
    found = decode(CASE_COMMANDS, value).data
    assert Action.model_validate(found.model_dump()) == found
    assert (found.kind, found.case_id, found.due.deadline, found.due.run, found.due.step) == (
        "deadline_due",
        "case-b",
        "warn",
        2,
        "escalate-1",
    )
