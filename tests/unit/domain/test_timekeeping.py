"""The index of due moments and what is asked for from it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from schemas.values import instant_ms
from stream_processors.domain import clocks as domain
from stream_processors.domain.timekeeping import ASK_AGAIN_AFTER, Member, entries, indexed, requests
from tests.support.builders import T0, after
from tests.support.clocks import fallen, started

WARN, DUE = "case-1|block|1|warn", "case-1|block|1|due"


def test_a_clock_has_one_entry_for_its_next_moment() -> None:
    found = entries("case-1", (), started())
    assert found == (((WARN, instant_ms(after(minutes=20))),), ())


def test_a_step_that_fell_due_makes_room_for_the_next() -> None:
    before = started()
    found = entries("case-1", before, fallen(before, after(minutes=20)).clocks)
    assert found == (((DUE, instant_ms(after(minutes=30))),), (WARN,))


def test_a_clock_that_stopped_leaves_the_index_and_what_did_not_change_stays_as_it_is() -> None:
    before = started(started(), name="warn")
    ended = domain.stop(before, name="block", now=T0).clocks
    assert entries("case-1", before, ended) == ((), (WARN,))
    assert entries("case-1", ended, ended) == ((), ())
    assert set(indexed("case-1", ended)) == {"case-1|warn|1|due"}


def test_a_moment_between_two_milliseconds_is_not_asked_for_before_it() -> None:
    clocks = started(until=after(minutes=5, microseconds=1001))
    ((_, at),) = entries("case-1", (), clocks).add
    assert at == instant_ms(after(minutes=5)) + 2


def test_what_is_due_is_asked_for_the_earliest_first_with_an_id_of_its_own() -> None:
    members = [("case-b|warn|2|due", 2_000), ("case-a|block|1|escalate-1", 1_000), (DUE, instant_ms(T0) + 1)]
    first, second = requests(members, now=T0)
    assert (first.action_id, first.case_id, first.clock) == ("due-case-a-block-1-escalate-1", "case-a", "block")
    assert (first.run, first.step, instant_ms(first.at)) == (1, "escalate-1", 1_000)
    assert second.action_id == "due-case-b-warn-2-due"


def test_a_moment_is_asked_for_at_its_time_and_not_before() -> None:
    at = instant_ms(after(minutes=30))
    assert requests([(DUE, at)], now=after(minutes=30, microseconds=-1)) == ()
    assert len(requests([(DUE, at)], now=after(minutes=30))) == 1


def test_what_was_asked_for_is_asked_for_again_only_when_nothing_came_of_it() -> None:
    def asked(ago: timedelta) -> int:
        return len(requests([(DUE, 0)], now=T0, asked={DUE: T0 - ago}))

    assert asked(timedelta()) == asked(ASK_AGAIN_AFTER - timedelta(microseconds=1)) == 0
    assert asked(ASK_AGAIN_AFTER) == 1
    assert asked(timedelta(hours=-1)) == 1, "the clock was set back"


def test_a_member_is_read_as_it_was_written() -> None:
    member = Member("a|case|of|bars", "block", 12, "escalate-2")
    assert Member.parse(str(member)) == member


@pytest.mark.parametrize(
    "text", ["", "case-1", "case-1|block|1", "case-1|block|x|due", "case-1|block||due", "|block|1|due", "c|b|-1|due"]
)
def test_what_is_no_member_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is no member"):
        Member.parse(text)
