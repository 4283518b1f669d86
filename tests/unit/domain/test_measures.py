"""Measures of institutions: which clocks they stop and start, lateness, and that each counts once."""

from __future__ import annotations

from datetime import timedelta

from stream_processors.domain.measures import MOST_MEASURES, MeasureChange, add, is_above_reported
from stream_processors.domain.state_machine import DeadlineStart, DeadlineStop
from tests.support.builders import T0, after
from tests.support.order_builders import measure

DUE = {"warn": after(minutes=10), "block": after(minutes=30), "report": after(minutes=60)}


def added(*args: object, **over: object) -> MeasureChange:
    given = {"measures": (), "due_at": DUE, "now": after(minutes=5), **over}
    return add(measure=measure(*args), **given)  # type: ignore[arg-type]


def test_each_measure_stops_its_own_clock() -> None:
    for kind, clock in (("warned", "warn"), ("blocked", "block"), ("reported", "report")):
        change = added(kind)
        assert change.stops == (DeadlineStop(clock, "bank-001"),)
        assert change.starts == (), "what runs already is not started anew"
        assert (change.measure.late, change.measure.recorded_at) == (False, after(minutes=5))


def test_what_was_done_makes_its_report_due_if_it_was_not() -> None:
    assert added("blocked", due_at={}).starts == (DeadlineStart("report", "bank-001"),)
    assert added("warned", due_at={}).starts == (DeadlineStart("report", "bank-001"),)
    assert added("reported", due_at={}).starts == ()


def test_a_warning_that_did_not_help_makes_blocking_due() -> None:
    for reaction, names in (("insisted", ["report", "block"]), ("not_reached", ["report", "block"]), ("hesitated", ["report"])):
        change = add(measures=(), measure=measure(reaction=reaction), due_at={}, now=T0)
        assert [one.name for one in change.starts] == names


def test_a_measure_that_came_late_is_kept_and_marked() -> None:
    told_late = added(now=after(minutes=11))
    assert (told_late.measure.late, told_late.measure.done_late) == (True, False)
    done_late = add(measures=(), measure=measure(done_at=after(minutes=12)), due_at=DUE, now=after(minutes=13))
    assert (done_late.measure.late, done_late.measure.done_late) == (True, True)
    assert done_late.measures == (done_late.measure,)


def test_at_the_moment_it_is_due_it_is_in_time_and_without_a_clock_always() -> None:
    assert not added(now=after(minutes=10)).measure.late
    assert not added(due_at={}, now=after(days=9)).measure.late


def test_what_is_reported_after_a_confirmation_is_the_suspicious_transaction_report_as_well() -> None:
    due = {**DUE, "suspicious_report": after(days=7)}
    both = added("reported", due_at=due, running=("report", "suspicious_report"), now=after(hours=2))
    assert both.stops == (DeadlineStop("report", "bank-001"), DeadlineStop("suspicious_report", "bank-001"))
    assert both.measure.late, "by the one that was due first"
    one = added("reported", due_at=due, running=("suspicious_report",), now=after(days=7))
    assert one.stops == (DeadlineStop("suspicious_report", "bank-001"),)
    assert not one.measure.late, "the report was done long ago"
    assert added("reported", due_at=due, running=("suspicious_report",), now=after(days=8)).measure.late
    assert added("warned", due_at=due, running=("suspicious_report",)).stops == (DeadlineStop("warn", "bank-001"),)


def test_the_same_measure_counts_once_however_its_note_is_sealed() -> None:
    first = add(measures=(), measure=measure(note_sealed="k1.a"), due_at=DUE, now=T0)
    again = add(measures=first.measures, measure=measure(note_sealed="k1.b"), due_at=DUE, now=after(hours=3))
    assert (again.echo, again.measures, again.stops) == (True, first.measures, ())


def test_a_reference_names_one_measure() -> None:
    first = added()
    change = add(measures=first.measures, measure=measure(reaction="insisted"), due_at=DUE, now=T0)
    assert (change.refused.problem, change.measures) == ("reference-reused", first.measures)


def test_what_cannot_have_been_done_yet_is_refused() -> None:
    change = add(measures=(), measure=measure(done_at=after(minutes=6)), due_at=DUE, now=T0)
    assert (change.refused.problem, change.measures) == ("time-out-of-range", ())
    assert add(measures=(), measure=measure(done_at=after(minutes=4)), due_at=DUE, now=T0).refused is None


def test_a_measure_above_what_the_reports_name_is_shown_to_officers() -> None:
    blocked = measure("blocked")
    assert (blocked.amount_minor, blocked.currency) == (500_000, "CNY")
    assert is_above_reported(blocked, {"CNY": 499_999})
    assert not is_above_reported(blocked, {"CNY": 500_000})
    assert is_above_reported(blocked, {"USD": 10**9}), "nothing was reported in its currency"
    assert not is_above_reported(blocked, {}), "no report names an amount"
    assert not is_above_reported(measure("warned"), {"CNY": 1})


def test_a_flood_of_one_institution_pushes_out_nobody_else() -> None:
    kept = added().measures
    for number in range(MOST_MEASURES + 5):
        flood = measure("reported", f"f-{number}", institution="bank-002")
        kept = add(measures=kept, measure=flood, due_at=DUE, now=T0 + timedelta(minutes=6 * number)).measures
    assert len(kept) == MOST_MEASURES
    assert kept[0].measure_id == "m-1"
    assert kept[-1].measure_id == f"f-{MOST_MEASURES + 4}"
