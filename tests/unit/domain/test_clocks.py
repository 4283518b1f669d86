"""A case's clocks in sentences: what starts, warns, falls due, escalates, stops late, and who is told."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from schemas.deadlines import Deadline, Deadlines, DeadlineState, DeadlineStep, DutyRole, Severity
from stream_processors.domain.deadlines import deadlines as domain
from tests.support.builders import T0, after
from tests.support.clocks import CALENDAR, RULES, SHIPPED, fallen, local, started

PAGE = Path(__file__).parents[3] / "docs" / "guide" / "deadlines.md"


def stopped(clocks: tuple[Deadline, ...], now: datetime, **over: Any) -> Deadline:
    found = domain.stop(clocks, **{"name": "block", "now": now, **over}).clock
    assert found is not None
    return found


def test_a_clock_that_starts_waits_for_its_warning() -> None:
    (clock,) = started()
    assert (clock.name, clock.run, clock.state) == ("block", 1, DeadlineState.OPEN)
    assert (clock.started_at, clock.warn_at, clock.due_at) == (T0, after(minutes=20), after(minutes=30))
    assert (clock.step, clock.next_at) == (DeadlineStep.WARN, clock.warn_at)
    assert [(rung.to, rung.at) for rung in clock.escalations] == [
        (DutyRole.UNIT_HEAD, after(hours=1)),
        (DutyRole.CITY, after(hours=2, minutes=30)),
    ]


def test_its_steps_fall_due_one_after_the_other_and_tell_one_more_each_time() -> None:
    clocks, told = started(), []
    for minutes in (20, 30, 60, 150):
        found = fallen(clocks, after(minutes=minutes))
        assert found.refusal is None
        clocks = found.clocks
        told += [(one.step, one.roles, one.parties, one.escalated) for one in found.reached]
    assert told == [
        ("warn", (DutyRole.OFFICER,), (), 0),
        ("due", (DutyRole.OFFICER,), ("public-security",), 0),
        ("escalate-1", (DutyRole.UNIT_HEAD,), (), 1),
        ("escalate-2", (DutyRole.CITY,), (), 2),
    ]
    assert (clocks[0].state, clocks[0].step, clocks[0].fired_at) == (DeadlineState.FIRED, None, after(minutes=30))


def test_what_is_told_names_the_basis_and_whether_it_is_confirmed() -> None:
    (told,) = fallen(started(about="bank-001"), after(minutes=20)).reached
    assert (told.name, told.run, told.about, told.due_at) == ("block", 1, "bank-001", after(minutes=30))
    assert (told.basis, told.needs_confirmation, told.estimated) == ("Art. 22", True, False)


def test_before_its_time_nothing_falls_due() -> None:
    clocks = started()
    found = fallen(clocks, after(minutes=19, seconds=59))
    assert found.refusal is not None and found.refusal.problem == "not-due" and "falls due at" in found.refusal.why
    assert found.clocks is clocks and not found.reached


def test_a_step_falls_due_once() -> None:
    clocks = fallen(started(), after(minutes=20)).clocks
    again = fallen(clocks, after(minutes=21), step="warn")
    assert again.refusal is not None and again.refusal.problem == "stale-step" and again.clocks is clocks


def test_a_step_does_not_overtake_the_one_before_it() -> None:
    found = fallen(started(), after(hours=9), step="escalate-1")
    assert found.refusal is not None and found.refusal.problem == "stale-step" and "the next step is warn" in found.refusal.why


def test_a_run_that_was_ended_or_never_was_is_stale() -> None:
    ended = domain.stop(started(), name="block", now=after(minutes=1)).clocks
    for clocks, run in ((ended, 1), (started(), 2), ((), 1)):
        found = fallen(clocks, after(hours=1), run=run)
        assert found.refusal is not None and found.refusal.problem == "stale-run" and found.clocks is clocks


def test_a_measure_in_time_stops_the_clock() -> None:
    clock = stopped(started(), after(minutes=30))
    assert (clock.state, clock.late, clock.step, clock.next_at) == (DeadlineState.STOPPED, False, None, None)
    assert clock.stopped_at == after(minutes=30)


def test_a_measure_that_comes_late_stops_the_clock_and_is_marked_late() -> None:
    assert stopped(started(), after(minutes=30, seconds=1)).late is True
    clocks = fallen(fallen(started(), after(minutes=20)).clocks, after(minutes=30)).clocks
    clock = stopped(clocks, after(minutes=45))
    assert (clock.state, clock.late, clock.fired_at, clock.step) == (DeadlineState.STOPPED, True, after(minutes=30), None)


def test_what_was_done_in_time_and_told_late_is_in_time_but_nothing_is_done_in_the_future() -> None:
    assert stopped(started(), after(hours=1), done_at=after(minutes=5)).late is False
    assert stopped(started(), after(minutes=5), done_at=after(hours=5)).late is False


def test_a_measure_without_a_clock_changes_nothing() -> None:
    clocks = started()
    for about, name in (("bank-002", "block"), (None, "warn")):
        found = domain.stop(clocks, name=name, about=about, now=T0)
        assert found.clock is None and found.clocks is clocks
    ended = domain.stop(clocks, name="block", now=T0).clocks
    assert domain.stop(ended, name="block", now=after(hours=9)).clock is None, "done twice is done once"


def test_started_again_it_is_another_run_and_the_old_one_never_falls_due() -> None:
    clocks = started(started(), now=after(minutes=25))
    assert [(one.run, one.state) for one in clocks] == [(1, DeadlineState.CANCELLED), (2, DeadlineState.OPEN)]
    assert fallen(clocks, after(minutes=30), run=1).refusal is not None
    assert fallen(clocks, after(minutes=45), run=2).clock is not None


def test_clocks_of_a_name_run_beside_each_other_for_different_things() -> None:
    clocks = started(started(about="bank-001"), about="bank-002")
    assert [(one.run, one.about) for one in clocks] == [(1, "bank-001"), (2, "bank-002")]
    ended = domain.stop(clocks, name="block", about="bank-001", now=T0).clocks
    assert [one.state for one in ended] == [DeadlineState.STOPPED, DeadlineState.OPEN]


def test_a_case_that_ends_calls_off_what_is_outstanding_and_nothing_else() -> None:
    clocks = started(started(started(), name="warn"), name="answer", about="order-1")
    clocks = domain.stop(clocks, name="warn", now=T0).clocks
    assert [one.state for one in domain.cancel(clocks, now=T0)] == ["cancelled", "stopped", "cancelled"]
    assert [one.state for one in domain.cancel(clocks, now=T0, about="order-1")] == ["open", "stopped", "cancelled"]
    assert [one.state for one in domain.cancel(clocks, now=T0, name="block")] == ["cancelled", "stopped", "open"]
    assert all(one.next_at is None and one.late is None for one in domain.cancel(clocks, now=T0) if one.state == "cancelled")


def test_it_counts_from_when_the_matter_began_but_never_from_later_than_now() -> None:
    (late,) = started(began_at=after(hours=-1))
    assert late.due_at == after(minutes=-30) and fallen((late,), T0).refusal is None
    (ahead,) = started(began_at=after(days=3))
    assert ahead.started_at == T0


def test_an_order_that_names_its_own_date_is_due_then() -> None:
    (clock,) = started(name="answer", until=after(days=10))
    assert clock.due_at == after(days=10) and clock.warn_at == after(days=10, hours=-15)


def test_a_warning_that_comes_after_the_due_time_is_told_to_nobody() -> None:
    late = fallen(started(), after(hours=1))
    assert late.clock is not None and late.clock.step is DeadlineStep.DUE and late.reached == ()
    assert [one.step for one in fallen(late.clocks, after(hours=1)).reached] == ["due"]


def test_a_time_too_short_to_warn_of_has_no_warning() -> None:
    (clock,) = started(until=after(minutes=5))
    assert clock.warn_at is None and clock.step is DeadlineStep.DUE


def test_a_clock_that_the_policy_does_not_name_is_not_started() -> None:
    found = domain.start((), domain.DeadlineRequest("tea"), rules=RULES, calendar=CALENDAR, now=T0)
    assert (found.clocks, found.clock, found.refusal) == ((), None, None)


def test_working_days_and_their_escalation_pass_over_a_festival() -> None:
    (clock,) = started(name="return_of_funds", rules=SHIPPED, now=local("2026-02-12 10:00"))
    assert clock.due_at == local("2026-02-25 00:00"), "Fri 13, Sat 14 (worked), Tue 24"
    assert clock.warn_at == local("2026-02-24 09:00")
    assert [rung.at for rung in clock.escalations] == [local("2026-02-26 00:00"), local("2026-02-28 00:00")]


def test_a_year_without_its_notice_marks_the_clock_and_what_it_tells() -> None:
    (clock,) = started(name="answer", now=local("2026-12-30 10:00"))
    assert clock.estimated and clock.due_at == local("2027-01-05 00:00")
    (told,) = fallen((clock,), local("2027-01-04 09:00"), name="answer").reached
    assert told.estimated


def test_the_length_is_that_of_the_severity() -> None:
    due = {
        severity: started(name="acknowledge", rules=SHIPPED, severity=severity)[0]
        for severity in ("critical", "high", "medium", "low")
    }
    assert [due[one].due_at for one in due][:3] == [after(minutes=15), after(hours=1), after(hours=4)]
    assert due["low"].due_at == local("2026-03-04 00:00") and due["low"].severity == "low"


def test_a_policy_that_changes_moves_no_running_clock_and_a_rule_that_is_gone_still_tells_its_officer() -> None:
    found = fallen(fallen(started(), after(minutes=20)).clocks, after(minutes=30), rules=Deadlines())
    assert found.clock is not None and found.clock.due_at == after(minutes=30)
    (told,) = found.reached
    assert (told.roles, told.parties, told.basis, told.needs_confirmation) == ((DutyRole.OFFICER,), (), "", True)


def test_a_case_has_room_for_a_bounded_number_of_clocks_and_the_count_of_runs_goes_on() -> None:
    clocks: tuple[Deadline, ...] = started(name="warn")
    for _ in range(3 * domain.MAX_CLOCKS):
        clocks = domain.stop(started(clocks), name="block", now=T0).clocks
    assert len(clocks) == domain.MAX_CLOCKS and clocks[-1].run == 3 * domain.MAX_CLOCKS
    assert domain.outstanding(clocks, "warn") is not None
    full = clocks
    for n in range(domain.MAX_CLOCKS + 1):
        found = domain.start(full, domain.DeadlineRequest("block", f"order-{n}"), rules=RULES, calendar=CALENDAR, now=T0)
        full = found.clocks
    assert found.refusal is not None and found.refusal.problem == "too-many-deadlines"
    assert len(full) == domain.MAX_CLOCKS and all(one.next_at for one in full)


def test_a_clock_is_the_same_after_the_log() -> None:
    (clock,) = started(about="bank-001")
    assert Deadline.model_validate_json(clock.model_dump_json()) == Deadline(**clock.model_dump())
    assert Deadline.model_validate_json(clock.model_dump_json()).model_dump() == clock.model_dump()


def rule(**over: Any) -> dict[str, Any]:
    return {"name": "block", "length": {"minutes": 30}, "basis": "Art. 22", **over}


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([rule(length={})], "a length requires exactly one of"),
        ([rule(length={"minutes": 1, "hours": 1})], "a length requires exactly one of"),
        ([rule(length={"hours": 10**5})], "9600"),
        ([rule(length={"working_days": 2}, calendar="elapsed")], "block: working_days require the working calendar"),
        ([rule(warn_before={"minutes": 30})], "warn_before .* must be shorter than the length"),
        ([rule(warn_before={"days": 1})], "warn_before requires exactly one of seconds, minutes, hours"),
        (
            [rule(escalate=[{"to": "city", "after": {"hours": 1}}, {"to": "officer", "after": {"hours": 2}}])],
            "officer to unit_head",
        ),
        ([rule(escalate=[{"to": "city", "after": {"hours": 1}}, {"to": "city", "after": {"hours": 2}}])], "at most once"),
        ([rule(escalate=[{"to": "officer", "after": {"hours": 2}}, {"to": "city", "after": {"hours": 1}}])], "longer time"),
        ([rule(), rule()], "block occurs twice"),
        ([rule(severity="high"), rule(severity="high")], "block high occurs twice"),
        ([rule(severity="high"), rule(severity="low")], "block has no length for critical, medium"),
        ([rule(name="Block it")], "name"),
        ([rule(basis="")], "basis"),
        ({"rules": [rule()], "confirmed": {"file": []}}, "confirmed: there is no deadline file"),
        ({"rules": [rule()], "confirmed": {"block": ["Bank"]}}, "pattern"),
        ({"office": {"opens": "19:00"}}, "office hours must open"),
        ({"office": {"closes": 1080}}, "string"),
        ({"office": {"closes": "25:00"}}, "pattern"),
    ],
)
def test_a_section_that_is_not_right_says_what_is_wrong(rules: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Deadlines.model_validate(rules if isinstance(rules, dict) else {"rules": rules})


def test_a_severity_without_its_own_length_has_the_general_one() -> None:
    section = Deadlines.model_validate({"rules": [rule(), rule(severity="high", length={"minutes": 5})]})
    for severity in get_args(Severity):
        found = section.rule("block", severity)
        assert found is not None and found.length.count == (5 if severity == "high" else 30)


def test_the_page_shows_every_shipped_clock_with_its_length_and_basis() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    wanted = []
    for one in SHIPPED.rules:
        name = f"`{one.name}`" + (f" {one.severity}" if one.severity else "")
        length = f"{one.length}" + (", working calendar" if one.calendar == "working" else "")
        steps = "; ".join(f"{step.to.replace('_', ' ')} +{step.after}" for step in one.escalate)
        confirm = "needs confirmation" if one.needs_confirmation else "confirmed"
        wanted.append(f"| {name} | {length} | {one.warn_before or ''} | {steps} | {one.basis} | {confirm} |")
    assert rows == wanted


def test_the_page_shows_what_becomes_of_a_clock() -> None:
    text = PAGE.read_text("utf-8")
    for (state, event), then in domain.TABLE.items():
        assert f"{state} -- {event} --> {then}" in text
