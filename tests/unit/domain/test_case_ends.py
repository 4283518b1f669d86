"""What must not outlive its cause, and what must: duties, dissuasions, clocks after retractions, false alarms, transfers and
ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from gateway.rendering.case_parts import own_deadlines
from schemas.appeals import AppealRequest
from schemas.cases.case import CaseChange, CaseStatus
from schemas.deadlines import DeadlineState, Length
from schemas.feedback import Feedback
from schemas.orders.order import OrderState
from schemas.signals.submission import SignalKind
from stream_processors.domain import measures
from stream_processors.domain.cases.party_actions import MOST_BY_ONE_DOOR
from stream_processors.domain.deadlines.calendar import add
from stream_processors.domain.scorecards.changes import figures_of
from stream_processors.views.allowed_actions import feedback_of
from tests.support.builders import after, taken_back
from tests.support.loop import CALENDAR, QUEUE, Loop
from tests.support.order_builders import ask, event, issue, measure

BANK = "institution:bank-001"


def _retract(loop: Loop, n: int = 0, at: float | None = None) -> None:
    """Takes the signal back that came as the n-th newest."""
    gone = loop.it.signals[n]
    change = loop.decide(taken_back(gone), "stage:assess", at)
    assert change.case is not None, change.detail


def test_whoever_reports_again_after_taking_it_back_owes_the_warning_again() -> None:
    loop = Loop()
    loop.joined()
    _retract(loop, at=1)
    assert loop.it.status is CaseStatus.RETRACTED and loop.running() == set()
    loop.joined(at=24 * 60)
    assert ("warn", "bank-001") in loop.running()
    loop.do("measure", BANK, at=24 * 60 + 1, measure=measure("warned", done_at=after(minutes=24 * 60 + 1)))
    assert (loop.it.measures[-1].late, loop.it.measures[-1].done_late) == (False, False)
    assert loop.clock("warn", "bank-001").late is False


def test_a_report_after_a_false_alarm_makes_its_duties_due_again() -> None:
    loop = Loop().claimed()
    loop.do("dispose", disposition="false_positive", at=3)
    loop.joined(at=60)
    assert {("warn", "bank-001"), ("acknowledge", None)} <= loop.running()


@pytest.mark.parametrize("closed", [False, True])
def test_a_measure_that_is_told_after_a_false_alarm_is_kept_and_asks_for_nothing(closed: bool) -> None:
    loop = Loop().claimed()
    loop.do("dispose", disposition="false_positive", at=3)
    if closed:
        loop.do("close")
    loop.do("measure", BANK, at=5, measure=measure("warned", reaction="insisted", done_at=after(minutes=2)))
    assert len(loop.it.measures) == 1 and loop.running() == set()


def test_one_in_a_confirmed_case_still_asks_for_its_report() -> None:
    loop = Loop().claimed()
    loop.do("dispose", disposition="confirmed", at=3)
    loop.do("measure", BANK, at=5, measure=measure("warned", done_at=after(minutes=2)))
    assert ("report", "bank-001") in loop.running()


@pytest.mark.parametrize("wish", ["merge", "close"])
def test_what_was_carried_out_after_it_ran_out_stands_until_it_is_lifted(wish: str) -> None:
    loop = Loop("case-9").claimed()
    loop.ordered()
    loop.answered("verify")
    loop.falls_due(loop.clock("emergency_stop", "ord-1"))
    while loop.order().state is not OrderState.EXPIRED:
        loop.falls_due(loop.clock("emergency_stop", "ord-1"))
    loop.answered("execute")
    assert ("order_lift", "ord-1") in loop.running()
    loop.do("claim")
    more: dict[str, Any] = {"into_case_id": "case-1"} if wish == "merge" else {}
    if wish == "close":
        loop.do("dispose", disposition="confirmed")
    assert loop.refused(wish, **more) == "open-obligations"
    assert ("order_lift", "ord-1") in loop.running()
    loop.answered("lift")
    loop.do(wish, **more)


def test_a_stop_that_only_ran_out_stands_in_nobodys_way() -> None:
    loop = Loop("case-9").claimed()
    loop.executed()
    while loop.order().state is not OrderState.EXPIRED:
        loop.falls_due(loop.clock("emergency_stop", "ord-1"))
    loop.do("claim")
    loop.do("merge", into_case_id="case-1")


def test_what_is_carried_out_after_it_was_said_to_be_lifted_is_to_be_lifted_again() -> None:
    loop = Loop().claimed()
    loop.ordered()
    loop.answered("verify")
    loop.do("order", order=issue("release", "rel-1", related_order_id="ord-1"))
    loop.answered("lift")
    loop.answered("execute")
    assert loop.order().lifted_at is None and ("order_lift", "ord-1") in loop.running()
    loop.answered("lift")
    assert loop.order().lifted_at is not None and ("order_lift", "ord-1") not in loop.running()


def test_the_time_to_acknowledge_is_that_of_the_worst_signal() -> None:
    loop = Loop()
    loop.joined(score=20, severity="low")
    slow = loop.clock("acknowledge")
    loop.joined("bank-002", at=1, score=95, severity="critical")
    quick = loop.clock("acknowledge")
    assert (quick.severity, quick.due_at) == ("critical", after(minutes=16)) and quick.due_at < slow.due_at
    assert [one.state for one in loop.it.deadlines if one.name == "acknowledge"] == [DeadlineState.CANCELLED, DeadlineState.OPEN]
    loop.joined("bank-003", at=2, score=95, severity="critical")
    assert loop.clock("acknowledge") == quick, "one more of the same gives no new time"


def test_a_worse_signal_gives_nobody_more_time() -> None:
    loop = Loop()
    loop.joined(score=60, severity="medium")
    first = loop.clock("acknowledge")
    loop.joined("bank-002", at=(first.due_at - after()).total_seconds() / 60 - 1, score=95, severity="critical")
    assert loop.clock("acknowledge") == first


def test_a_renewal_goes_on_from_the_day_on_which_the_freeze_ends() -> None:
    """24:00 belongs to the day that it ends: six months twice are a year, and no day more."""
    loop = Loop().claimed()
    loop.executed("freeze")
    executed = loop.order().executed_at
    assert executed is not None
    loop.do("order", order=event("renew"))
    assert loop.order().valid_until == add(executed, Length(months=12), working=False, calendar=CALENDAR).at


def test_the_time_to_answer_a_return_begins_with_the_day_after_its_notice() -> None:
    loop = Loop().claimed()
    loop.executed("freeze")
    over = {"related_order_id": "ord-1", "amount_minor": 100_000, "currency": "CNY", "method": "pro_rata"}
    loop.do("order", order=issue("return_funds", "ret-1", case_id=loop.case_id, **over))
    if loop.order("ret-1").state is OrderState.AWAITING_APPROVAL:
        loop.do("order", "officer:officer-b", order=event("approve", "ret-1"))
    order = loop.order("ret-1")
    assert order.public_notice_until is not None and order.answer_by is not None
    last = order.public_notice_until - timedelta(microseconds=1)
    assert order.answer_by == add(last, Length(working_days=3), working=False, calendar=CALENDAR).at


def _appeal(loop: Loop, n: int, through: str = "bank-001") -> AppealRequest:
    """One more appeal, lodged through an institution."""
    names = {"request_id": f"req-{n}", "appeal_id": f"obj-{n}", "case_id": loop.case_id}
    return AppealRequest.model_validate({**names, "action": "file", "party": through, "text_sealed": "k1.words"})


def test_the_time_of_an_appeal_goes_to_the_unit_that_the_case_goes_to() -> None:
    loop = Loop().claimed()
    loop.executed()
    loop.do("appeal", BANK, appeal=_appeal(loop, 1))
    due = loop.clock("written_notice", "obj-1").due_at
    loop.do("transfer", queue="public-security-630222", at=10)
    clock = loop.clock("written_notice", "obj-1")
    assert (clock.unit, clock.due_at, clock.state) == ("public-security-630222", due, DeadlineState.OPEN)


def test_what_the_unit_before_had_missed_stays_its_own() -> None:
    loop = Loop().claimed()
    loop.executed()
    loop.do("appeal", BANK, appeal=_appeal(loop, 1))
    while loop.clock("written_notice", "obj-1").state is not DeadlineState.FIRED:
        loop.falls_due(loop.clock("written_notice", "obj-1"))
    loop.do("claim")
    loop.do("transfer", queue="public-security-630222")
    assert loop.clock("written_notice", "obj-1").unit == QUEUE


def test_one_door_does_not_close_it_to_others() -> None:
    loop = Loop().claimed()
    loop.joined("bank-002")
    loop.executed()
    for n in range(MOST_BY_ONE_DOOR):
        loop.do("appeal", BANK, appeal=_appeal(loop, n))
    assert loop.refused("appeal", BANK, appeal=_appeal(loop, 8)) == "too-many-appeals"
    loop.do("appeal", "institution:bank-002", appeal=_appeal(loop, 9, "bank-002"))


def test_nobody_calls_a_person_whom_no_report_is_about_any_more() -> None:
    loop = Loop()
    loop.joined()
    loop.do("claim")
    loop.do("dissuasion", dissuasion=ask(case_id=loop.case_id))
    _retract(loop)
    assert loop.it.dissuasions[0].state.value == "cancelled" and loop.running() == set()
    assert {one.recipient for one in loop.changes[-1].notifications if one.template == "dissuasion_ended"} >= {
        "bank-001",
        "telecom-001",
    }


def test_what_was_missed_by_whoever_is_gone_stays_missed_and_escalates_no_further() -> None:
    loop = Loop()
    loop.joined()
    loop.joined("bank-002")
    while loop.clock("warn", "bank-001").state is not DeadlineState.FIRED:
        loop.falls_due(loop.clock("warn", "bank-001"))
    _retract(loop, 1)
    clock = loop.clock("warn", "bank-001")
    assert (clock.state, clock.late, clock.next_at) == (DeadlineState.CANCELLED, True, None)
    loop.joined("bank-001")
    states = {one.run: one.state for one in figures_of(loop.it).deadlines if (one.name, one.party) == ("warn", "bank-001")}
    assert states[clock.run] == "fired" and len(states) == 2


def test_one_institutions_measures_do_not_keep_officers_from_a_case() -> None:
    loop = Loop().claimed()
    for n in range(measures.MOST_AN_HOUR):
        loop.do("measure", BANK, measure=measure("warned", f"m-{n}"))
    before = loop.it.revision
    assert loop.refused("measure", BANK, measure=measure("warned", "m-more")) == "too-many-measures"
    assert loop.it.revision == before
    assert loop.refused("measure", BANK, at=59, measure=measure("warned", "m-more")) == "too-many-measures"
    loop.do("measure", BANK, at=61, measure=measure("warned", "m-more"))


@pytest.mark.parametrize("reported", [None, 1, 499_999, 500_000, 500_001, 10**14])
@pytest.mark.parametrize("currency", ["CNY", "USD"])
def test_the_answer_to_a_measure_is_the_same_whatever_others_reported(reported: int | None, currency: str) -> None:
    loop = Loop()
    loop.joined("bank-001", amount_minor=None, currency=None)
    loop.joined("bank-002", amount_minor=reported, currency=currency if reported else None)
    change = loop.do("measure", BANK, at=5, measure=measure("blocked", amount_minor=500_000))
    assert (change.problem, change.detail, change.revision) == (None, None, 3)
    assert loop.it.measures == (measure("blocked", amount_minor=500_000, recorded_at=loop.now),)


def test_what_an_institution_owes_in_a_case_of_leads_tells_nothing_of_other_leads() -> None:
    """Both banks owe a suspicious transaction report. The notice of the second, its clock and its feedback are those that it
    would have alone."""
    told = []
    for banks in (("bank-001", "bank-002"), ("bank-002",)):
        loop = Loop()
        for bank in banks:
            loop.joined(bank, kind=SignalKind.ORGANIZED_CRIME)
        loop.do("claim", at=5)
        disposed = loop.do("dispose", at=6, disposition="confirmed")
        fallen = loop.falls_due(loop.clock("suspicious_report", "bank-002"))
        notices = [one for change in (disposed, fallen) for one in change.notifications if one.recipient == "bank-002"]
        assert [one.template for one in notices] == ["feedback", "deadline_approaching"]
        ids = [one.notification_id.partition("/")[2] if one.template == "feedback" else one.notification_id for one in notices]
        (clock,) = own_deadlines(loop.it, "bank-002")
        told.append((ids, [one.data for one in notices], notices[0].feedback, clock.run, clock.due_at))
        assert {one.data["run"] for one in fallen.notifications if one.recipient == QUEUE} <= {1, 2}
    assert told[0] == told[1]
    assert told[0][2] == Feedback(case_id="case-1", outcome="confirmed")


def test_that_a_lead_was_taken_back_is_told_to_the_agency_alone() -> None:
    loop = Loop()
    for bank in ("bank-001", "bank-002"):
        loop.joined(bank, kind=SignalKind.ORGANIZED_CRIME)
    loop.do("claim")
    loop.executed(recipient="bank-003")
    for _ in range(2):
        change = loop.decide(taken_back(loop.it.signals[0]), "stage:assess")
    assert {one.recipient for one in change.notifications if one.retraction} == {QUEUE}


def test_a_case_of_leads_confirms_its_subject_for_leads_alone() -> None:
    loop = Loop()
    loop.joined(kind=SignalKind.ORGANIZED_CRIME)
    loop.do("claim")
    lead, plain = loop.do("dispose", disposition="confirmed").verdict, Loop().claimed()
    assert lead.tokens == tuple(f"{name}~lead" for name in plain.do("dispose", disposition="confirmed").verdict.tokens)


def test_feedback_about_sums_without_measure_is_still_a_record_that_can_be_read() -> None:
    loop = Loop().claimed()
    for n in range(3):
        change = loop.do("measure", BANK, measure=measure("blocked", f"m-{n}", amount_minor=10**15))
        assert CaseChange.model_validate_json(change.model_dump_json()) == change
    told = [one.feedback.prevented_loss_minor for change in loop.changes for one in change.notifications if one.feedback]
    assert told[-1] == {"CNY": 10**15}


def test_a_lead_of_organized_crime_asks_after_nobody() -> None:
    loop = Loop()
    loop.joined("bank-002", kind=SignalKind.ORGANIZED_CRIME)
    loop.joined("bank-001", kind=SignalKind.ORGANIZED_CRIME)
    loop.do("claim")
    told = feedback_of(loop.it, loop.it.signals[0].signal_id, "bank-001")
    assert (told.corroborated_by, told.reviewed, told.actions_taken, told.prevented_loss_minor) == (0, False, (), {})


def _missed_by(loop: Loop, institution: str) -> list[str]:
    return [one.state for one in figures_of(loop.it).deadlines if (one.name, one.party) == ("warn", institution)]


def test_what_was_missed_in_a_false_alarm_was_not_missed_by_those_who_are_gone_either() -> None:
    loop = Loop()
    loop.joined()
    loop.joined("bank-002")
    for who in ("bank-001", "bank-002"):
        while loop.clock("warn", who).state is not DeadlineState.FIRED:
            loop.falls_due(loop.clock("warn", who))
    _retract(loop, 1)
    assert _missed_by(loop, "bank-001") == ["fired"]
    loop.do("claim")
    loop.do("dispose", disposition="false_positive")
    assert _missed_by(loop, "bank-001") == _missed_by(loop, "bank-002") == ["cancelled"]


def test_what_was_missed_of_a_report_that_was_the_only_one_is_not_missed_when_another_comes() -> None:
    loop = Loop()
    loop.joined()
    while loop.clock("warn", "bank-001").state is not DeadlineState.FIRED:
        loop.falls_due(loop.clock("warn", "bank-001"))
    _retract(loop)
    assert _missed_by(loop, "bank-001") == ["cancelled"]
    loop.joined()
    assert _missed_by(loop, "bank-001") == ["cancelled", "open"]


def test_dissuasions_end_with_the_last_report_of_a_case_that_was_disposed_of_too() -> None:
    loop = Loop().claimed()
    loop.do("dissuasion", dissuasion=ask(case_id=loop.case_id))
    loop.do("dispose", disposition="confirmed")
    _retract(loop)
    assert loop.it.dissuasions[0].state.value == "cancelled"


def test_what_was_done_is_told_of_a_case_whose_last_report_is_gone() -> None:
    loop = Loop().claimed()
    loop.executed()
    signal = loop.it.signals[0]
    _retract(loop)
    assert "stop_payment" in feedback_of(loop.it, signal.signal_id, "bank-001").actions_taken
