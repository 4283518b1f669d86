"""Deadlines under any sequence of starts, stops and due requests while the time jumps. With the timekeeper:
test_timekeeper.py."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.common import instant_ms
from schemas.deadlines import Deadline, DeadlineState
from stream_processors.domain.deadlines import deadlines as domain
from stream_processors.domain.deadlines.due_index import moments
from tests.support.builders import after
from tests.support.clocks import CALENDAR, RULES

ABOUT = [None, "bank-001", "order-7"]
NAMES = ["block", "warn"]
SPANS = {
    ("block", "warn"): 20,
    ("block", "due"): 30,
    ("block", "escalate-1"): 60,
    ("block", "escalate-2"): 150,
    ("warn", "due"): 10,
}
"""Minutes from the start of each step, read off the rules by hand."""
ORDER = ["warn", "due", "escalate-1", "escalate-2", "escalate-3"]
STEP = st.tuples(
    st.sampled_from(["start", "stop", "cancel", "due", "due", "due", "next", "next", "next"]),
    st.sampled_from(NAMES),
    st.sampled_from(ABOUT),
    st.integers(0, 5),
    st.sampled_from(ORDER),
    st.sampled_from([0, 1, 600, 1200, 1800, 7200, -5, -900, -7200]),
)


def _asked(clocks: tuple[Deadline, ...], kind: str, name: str, run: int, step: str) -> tuple[str, int, str]:
    """`next`: what really comes next of one of the clocks; `due`: anything, stale or made up."""
    waiting = [one for one in clocks if one.step is not None]
    if kind == "next" and waiting:
        one = waiting[run % len(waiting)]
        return one.name, one.run, str(one.step)
    return name, run, step


def _play(steps: list[Any]) -> list[tuple[tuple[Deadline, ...], str, Any, tuple[str, int, str], datetime]]:
    """(clocks before, kind of event, its outcome, what was asked, when)."""
    clocks: tuple[Deadline, ...] = ()
    played, now_s = [], 0
    for kind, name, about, run, step, pause_s in steps:
        now_s = max(0, now_s + pause_s)
        now, asked, found = after(seconds=now_s), ("", 0, ""), None
        before = clocks
        if kind == "start":
            found = domain.start(clocks, domain.DeadlineRequest(name, about), rules=RULES, calendar=CALENDAR, now=now)
        elif kind == "stop":
            found = domain.stop(clocks, name=name, about=about, now=now)
        elif kind == "cancel":
            clocks = domain.cancel(clocks, name=name, about=about, now=now)
        else:
            asked = _asked(clocks, kind, name, run, step)
            found = domain.due(clocks, name=asked[0], run=asked[1], step=asked[2], rules=RULES, now=now)
        clocks = found.clocks if found is not None else clocks
        played.append((before, kind, found, asked, now))
    return played


def _fired(played: list[Any]) -> list[tuple[Any, Any, datetime]]:
    return [(asked, found.clock, now) for _, kind, found, asked, now in played if kind in ("due", "next") and not found.refusal]


@given(st.lists(STEP, max_size=40))
def test_each_step_of_a_run_falls_due_at_most_once_and_never_before_its_time(steps: list[Any]) -> None:
    played = _play(steps)
    began = {(f.clock.name, f.clock.run): now for _, kind, f, _, now in played if kind == "start"}
    fired = _fired(played)
    assert all(count == 1 for count in Counter(asked for asked, _, _ in fired).values())
    for (name, run, step), _, now in fired:
        assert now - began[name, run] >= timedelta(minutes=SPANS[name, step])


@given(st.lists(STEP, max_size=40))
def test_the_steps_of_a_run_come_in_their_order_and_none_after_its_end(steps: list[Any]) -> None:
    ended, last = set(), {}
    for before, kind, found, (name, run, step), _ in _play(steps):
        ended |= {(one.name, one.run) for one in before if one.state not in (DeadlineState.OPEN, DeadlineState.FIRED)}
        if kind in ("due", "next") and not found.refusal:
            assert (name, run) not in ended
            assert ORDER.index(step) > last.get((name, run), -1)
            last[name, run] = ORDER.index(step)


@given(st.lists(STEP, max_size=40))
def test_what_is_refused_says_why_and_changes_nothing(steps: list[Any]) -> None:
    for before, kind, found, (name, run, step), now in _play(steps):
        if kind not in ("due", "next"):
            continue
        open_ = next((one for one in before if (one.name, one.run, one.step) == (name, run, step)), None)
        due = open_ is not None and open_.next_at is not None and open_.next_at <= now
        assert (found.refusal is None) == due, "what is open and due falls due, and nothing else does"
        if found.refusal is not None:
            assert found.clocks is before and not found.reached and found.refusal.why


@given(st.lists(STEP, max_size=40))
def test_a_run_number_is_used_once_and_one_clock_of_a_purpose_is_outstanding(steps: list[Any]) -> None:
    played = _play(steps)
    runs = [(found.clock.name, found.clock.run) for _, kind, found, _, _ in played if kind == "start"]
    assert len(runs) == len(set(runs))
    for before, *_ in played:
        going = [(one.name, one.about) for one in before if one.state in (DeadlineState.OPEN, DeadlineState.FIRED)]
        assert len(going) == len(set(going))
        for one in before:
            assert (one.step is None) == (one.next_at is None)
            assert one.step is None or one.state in (DeadlineState.OPEN, DeadlineState.FIRED)
            assert (one.late is not None) == (one.state is DeadlineState.STOPPED)


@given(st.lists(STEP, max_size=40))
def test_what_stops_a_clock_is_late_exactly_when_it_comes_after_the_due_time(steps: list[Any]) -> None:
    for _, kind, found, _, now in _play(steps):
        if kind == "stop" and found.clock is not None:
            assert found.clock.late == (now > found.clock.due_at)


@given(st.lists(STEP, max_size=40))
def test_the_moments_of_a_case_are_the_next_ones_of_its_running_clocks_and_nothing_else(steps: list[Any]) -> None:
    for clocks, *_ in _play(steps):
        found = moments(clocks)
        assert [one.at_ms for one in found] == sorted(one.at_ms for one in found)
        assert {(one.clock, one.run): (one.step, one.at_ms) for one in found} == {
            (one.name, one.run): (one.step, instant_ms(one.next_at)) for one in clocks if one.next_at is not None
        }
