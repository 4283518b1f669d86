"""A case through its loop: duties, measures, orders, dissuasions, appeals, clocks, and who is told what."""

from __future__ import annotations

import pytest

from schemas.appeals import AppealRequest
from schemas.cases.case import ActionOutcome, CaseStatus
from schemas.deadlines import DeadlineState
from schemas.dissuasion import DissuasionEvent
from schemas.notices import NotificationKind
from schemas.orders.order import OrderState
from stream_processors.domain.cases import decide as case
from stream_processors.domain.cases.state import Phase, phase_of
from stream_processors.domain.deadlines.calendar import add
from tests.support.builders import POLICY, after, taken_back
from tests.support.loop import CALENDAR, QUEUE, Loop
from tests.support.order_builders import ask, event, issue, measure, subject, transfer

BANK, OTHER = "institution:bank-001", "institution:bank-009"


def test_a_new_case_waits_for_its_unit_and_for_the_warning_of_whoever_reported() -> None:
    loop = Loop()
    loop.joined()
    assert loop.running() == {("acknowledge", None), ("warn", "bank-001")}
    assert loop.clock("acknowledge").unit == QUEUE
    loop.joined("bank-001")
    loop.joined("bank-002")
    assert loop.running() == {("acknowledge", None), ("warn", "bank-001"), ("warn", "bank-002")}


def test_a_claim_acknowledges_and_the_disposal_is_due_then() -> None:
    loop = Loop().claimed(at=3)
    assert (loop.it.acknowledged_at, loop.it.acknowledged_by) == (after(minutes=3), "officer-a")
    assert loop.clock("acknowledge").late is False
    assert ("dispose", None) in loop.running()
    assert phase_of(loop.it, loop.now) is Phase.IN_HANDLING
    loop.do("release")
    assert phase_of(loop.it, loop.now) is Phase.ACKNOWLEDGED
    assert loop.refused("acknowledge") == "transition-not-allowed"


def test_an_acknowledgement_without_a_claim_is_one_too() -> None:
    loop = Loop()
    loop.joined()
    loop.do("acknowledge", at=5000)
    assert loop.clock("acknowledge").late is True
    assert loop.it.status is CaseStatus.OPEN and phase_of(loop.it, loop.now) is Phase.ACKNOWLEDGED


def test_a_warning_stops_its_clock_and_one_that_did_not_help_makes_blocking_due() -> None:
    loop = Loop().claimed()
    loop.do("measure", BANK, at=4, measure=measure("warned", reaction="insisted"))
    assert ("warn", "bank-001") not in loop.running()
    assert {("block", "bank-001"), ("report", "bank-001")} <= loop.running()
    loop.do("measure", BANK, at=600, measure=measure("blocked", "m-2"))
    kept = loop.it.measures[-1]
    assert kept.late and loop.clock("block", "bank-001").late


def test_a_measure_that_came_for_a_case_that_was_merged_is_kept_in_the_other_one() -> None:
    """The gateway has answered it by then, so nothing may refuse it: not that a stage sends it on, nor that its institution has
    nothing else in that case any more."""
    loop = Loop().claimed()
    loop.do("measure", "stage:deliver", at=4, measure=measure("warned"))
    loop.do("measure", "stage:deliver", at=4, measure=measure("warned", "m-2", institution="bank-009"))
    assert [one.measure_id for one in loop.it.measures] == ["m-1", "m-2"]


def test_a_measure_is_told_by_whoever_took_it_and_in_a_case_of_its_own() -> None:
    loop = Loop().claimed()
    assert loop.refused("measure", OTHER, measure=measure()) == "forbidden"
    assert loop.refused("measure", OTHER, measure=measure(institution="bank-009")) == "unknown-case"
    assert loop.refused("measure", measure=measure()) == "forbidden"
    assert loop.refused("measure", "stage:timekeeper", measure=measure()) == "forbidden"


def test_only_the_holder_gives_orders() -> None:
    loop = Loop()
    loop.joined()
    assert loop.refused("order", order=issue()) == "not-holder"
    loop.do("claim")
    assert loop.refused("order", "officer:officer-b", order=issue()) == "not-holder"
    assert loop.refused("order", order=issue(case_id="case-2")) == "unknown-case"
    loop.ordered()
    assert phase_of(loop.it, loop.now) is Phase.ORDERED
    assert ("bank-001", "order_issued") in loop.told()


def test_an_executed_stop_tells_the_sender_what_was_saved() -> None:
    loop = Loop().claimed()
    loop.executed()
    assert ("bank-001", "feedback") in loop.told()
    said = next(one.feedback for one in loop.changes[-1].notifications if one.feedback)
    assert said.actions_taken == ("stop_payment",) and said.prevented_loss_minor == {"CNY": 800_000}
    assert said.corroborated_by == 0


def test_another_institution_cannot_answer() -> None:
    loop = Loop().claimed()
    loop.ordered()
    assert loop.refused("order", OTHER, order=event("execute", amount_minor=1)) == "not-recipient"


def test_an_order_that_runs_out_expires_by_its_clock_once() -> None:
    loop = Loop().claimed()
    loop.executed()
    hold = loop.clock("emergency_stop", "ord-1")
    early = loop.falls_due(hold, at=after(minutes=1))
    assert (early.outcome, early.problem) == (ActionOutcome.REFUSED, "not-due")
    loop.falls_due(loop.clock("emergency_stop", "ord-1"))
    assert ("bank-001", "order_expires_soon") in loop.told() and ("bank-001", "deadline_approaching") in loop.told()
    moment = loop.clock("emergency_stop", "ord-1")
    loop.falls_due(moment)
    assert loop.order().state is OrderState.EXPIRED
    again = loop.falls_due(moment)
    assert again.problem in ("stale-run", "stale-step")


def test_a_comparison_that_comes_late_is_kept_and_its_clock_is_marked_late() -> None:
    loop = Loop().claimed()
    loop.ordered()
    clock = loop.clock("verify_stop", "ord-1")
    assert (clock.due_at, clock.unit) == (after(minutes=5), None)
    loop.falls_due(clock)
    assert loop.told() == [("bank-001", "deadline_passed"), ("public-security-630200", "deadline_passed")]
    assert (loop.order().state, loop.order().overdue) == (OrderState.ISSUED, False), "it may be compared still"
    loop.answered("verify", at=6)
    assert loop.order().state is OrderState.VERIFIED
    ended = loop.clock("verify_stop", "ord-1")
    assert (ended.state, ended.late, ended.fired_at) == (DeadlineState.STOPPED, True, after(minutes=5))


def test_what_was_compared_or_called_off_in_time_never_falls_due() -> None:
    loop = Loop().claimed()
    loop.ordered()
    waits = loop.clock("verify_stop", "ord-1")
    loop.answered("mismatch", at=5)
    ended = loop.clock("verify_stop", "ord-1")
    assert (ended.state, ended.late) == (DeadlineState.STOPPED, False)
    assert loop.falls_due(waits, after(minutes=6)).problem == "stale-run"
    loop.ordered(order_id="ord-2", subject=subject(2))
    loop.do("order", order=issue("release", "ord-3", related_order_id="ord-2"))
    ended = loop.clock("verify_stop", "ord-2")
    assert (ended.state, ended.late) == (DeadlineState.CANCELLED, None)


def test_a_notice_is_waited_for_and_nobody_is_late_with_it() -> None:
    loop = Loop().claimed()
    loop.executed("freeze")
    loop.ordered("return_funds", "ret-1", related_order_id="ord-1", amount_minor=300_000, method="pro_rata")
    loop.do("order", "officer:officer-b", order=event("approve", "ret-1"))
    notice = loop.clock("return_notice", "ret-1")
    assert notice.due_at == loop.order("ret-1").public_notice_until and notice.escalations == ()
    paid = event("execute", "ret-1", amount_minor=300_000)
    assert loop.refused("order", BANK, order=paid) == "public-notice-running"
    change = loop.falls_due(notice)
    assert {(one.recipient, one.template) for one in change.notifications} == {
        ("bank-001", "public_notice_ended"),
        ("public-security-630200", "public_notice_ended"),
        (QUEUE, "public_notice_ended"),
    }
    assert change.figure_changes is None, "it is nobody's duty"
    ended = loop.clock("return_notice", "ret-1")
    assert (ended.state, ended.late, ended.next_at) == (DeadlineState.CANCELLED, None, None)
    assert loop.falls_due(notice).problem == "stale-run", "once"
    loop.answered("execute", "ret-1", amount_minor=300_000)
    assert loop.order("ret-1").paid_minor == 300_000


def test_the_last_day_of_a_notice_that_is_a_day_off_moves_to_the_next_working_day() -> None:
    """Civil Code 203: the clock's own calendar tells, which the order is told by."""
    loop = Loop().claimed()
    loop.executed("freeze")
    loop.ordered(
        "return_funds",
        "ret-1",
        related_order_id="ord-1",
        amount_minor=300_000,
        method="pro_rata",
        public_notice_at=after(days=-2),
    )
    loop.do("order", "officer:officer-b", order=event("approve", "ret-1"))
    until = loop.order("ret-1").public_notice_until
    rule = POLICY.deadlines.rule("return_notice")
    assert until is not None and rule is not None and loop.clock("return_notice", "ret-1").due_at == until
    assert until == add(after(days=-2), rule.length, working=True, calendar=CALENDAR).at


def test_a_false_alarm_releases_at_once_what_was_ordered() -> None:
    loop = Loop().claimed()
    loop.executed()
    loop.ordered("freeze", "ord-2", amount_minor=30_000_000, subject=subject(2), verify=transfer(40_000_000))
    loop.ordered("suspend_number", "ord-3", recipient="telecom-001", subject=subject(3))
    loop.do("dispose", disposition="false_positive")
    assert loop.order("ord-2").state is OrderState.WITHDRAWN, "nobody outside was told of it"
    assert loop.order("ord-3").state is OrderState.RELEASED, "it was not carried out yet"
    assert {("bank-001", "order_released"), ("telecom-001", "order_released")} <= set(loop.told())
    assert ("warn", "bank-001") not in loop.running()
    assert loop.refused("close") == "open-obligations"
    releases = [one for one in loop.it.orders if one.kind == "release"]
    for one in releases:
        loop.answered("execute", one.order_id, amount_minor=None)
    assert loop.order("ord-1").state is OrderState.RELEASED and loop.order("ord-1").lifted_at is not None
    loop.do("close")
    assert phase_of(loop.it, loop.now) is Phase.CLOSED


def test_a_confirmed_case_keeps_its_orders() -> None:
    loop = Loop().claimed()
    loop.executed()
    loop.do("dispose", disposition="confirmed")
    assert loop.order().state is OrderState.EXECUTED
    assert ("bank-001", "feedback") in loop.told()
    loop.do("order", "officer:officer-b", order=issue("release", "ord-9", related_order_id="ord-1"))
    loop.answered("execute", "ord-9", amount_minor=None)
    assert loop.order().state is OrderState.RELEASED, "an officer of the unit may release without holding the case"


def filed(loop: Loop) -> dict[str | None, str]:
    """Institution -> the state of its newest suspicious transaction report."""
    return {one.about: one.state.value for one in loop.it.deadlines if one.name == "suspicious_report"}


def confirmed(*institutions: str) -> Loop:
    loop = Loop()
    for one in institutions:
        loop.joined(one)
    loop.do("claim")
    loop.do("dispose", disposition="confirmed")
    return loop


def test_a_confirmed_case_makes_the_suspicious_report_due_of_the_banks_that_reported_it() -> None:
    loop = confirmed("bank-001", "telecom-001", "pay-001")
    assert filed(loop) == {"bank-001": "open", "pay-001": "open"}, "a telecom operator files none"
    rule = POLICY.deadlines.rule("suspicious_report")
    assert rule is not None
    due = add(loop.now, rule.length, working=True, calendar=CALENDAR).at
    assert loop.clock("suspicious_report", "bank-001").due_at == due
    loop.do("measure", BANK, at=60, measure=measure("reported", done_at=after(minutes=60)))
    assert filed(loop) == {"bank-001": "stopped", "pay-001": "open"}
    assert not loop.it.measures[-1].late


def test_a_suspicious_report_that_is_not_filed_is_told_its_bank_and_counts_as_missing() -> None:
    loop = confirmed("bank-001")
    warned = loop.falls_due(loop.clock("suspicious_report", "bank-001"))
    assert [(one.recipient, one.template) for one in warned.notifications] == [("bank-001", "deadline_approaching")]
    fired = loop.falls_due(loop.clock("suspicious_report", "bank-001"))
    assert ("bank-001", "deadline_passed") in loop.told() and ("financial-regulator-630200", "deadline_passed") in loop.told()
    assert [(one.name, one.party, one.state) for one in fired.figure_changes.after.deadlines] == [
        ("suspicious_report", "bank-001", "fired")
    ]
    again = loop.falls_due(loop.clock("suspicious_report", "bank-001"))
    assert [one.template for one in again.notifications] == ["deadline_escalated"]
    late = loop.do("measure", BANK, measure=measure("reported", done_at=loop.now))
    assert loop.clock("suspicious_report", "bank-001").late and loop.it.measures[-1].late
    assert [(one.state, one.late) for one in late.figure_changes.after.deadlines] == [("stopped", True)]


def test_what_was_reported_before_the_confirmation_is_no_suspicious_report() -> None:
    loop = Loop().claimed()
    loop.do("measure", BANK, measure=measure("reported"))
    loop.do("dispose", disposition="confirmed")
    assert filed(loop) == {"bank-001": "open"}


@pytest.mark.parametrize("disposition", ["false_positive", "insufficient", "transferred"])
def test_no_other_disposal_makes_a_suspicious_report_due(disposition: str) -> None:
    loop = Loop().claimed()
    loop.do("dispose", disposition=disposition)
    assert filed(loop) == {}


def test_a_confirmation_that_is_taken_back_calls_the_suspicious_report_off() -> None:
    loop = confirmed("bank-001", "bank-002")
    loop.do("measure", BANK, measure=measure("reported"))
    loop.do("reopen", note_sealed="k1.why")
    assert filed(loop) == {"bank-001": "stopped", "bank-002": "cancelled"}
    loop.do("claim")
    loop.do("dispose", disposition="confirmed")
    assert filed(loop) == {"bank-001": "stopped", "bank-002": "open"}, "who filed it has filed it"
    assert loop.clock("suspicious_report", "bank-002").run == 3


def test_another_report_of_a_confirmed_case_takes_nothing_back_but_a_correction_and_a_retraction_do() -> None:
    loop = confirmed("bank-001", "bank-002", "bank-003")
    loop.joined("bank-001")
    assert loop.it.status is CaseStatus.OPEN
    assert set(filed(loop).values()) == {"open"}, "nobody wins time by one more report"
    older = next(one for one in loop.it.signals if one.institution == "bank-002")
    loop.joined("bank-002", signal_id=older.signal_id, version=2)
    assert filed(loop) == {"bank-001": "open", "bank-002": "cancelled", "bank-003": "open"}
    loop.decide(taken_back(next(one for one in loop.it.signals if one.institution == "bank-003")), "stage:assess")
    assert filed(loop) == {"bank-001": "open", "bank-002": "cancelled", "bank-003": "cancelled"}
    loop.do("claim")
    loop.do("dispose", disposition="false_positive")
    assert set(filed(loop).values()) == {"cancelled"}


def test_suspicious_reports_leave_room_for_what_officers_order() -> None:
    loop = Loop()
    for n in range(80):
        loop.joined(f"bank-{n:03}")
    loop.do("claim")
    loop.do("dispose", disposition="confirmed")
    assert len(loop.running()) <= 33
    loop = confirmed(*(f"pay-{n:03}" for n in range(20)))
    assert sum(name == "suspicious_report" for name, _ in loop.running()) == 32 - 20


def test_a_report_taken_back_reaches_whoever_acted_on_it() -> None:
    loop = Loop().claimed()
    loop.executed()
    loop.decide(taken_back(loop.it.signals[0]), "stage:assess")
    told = {one.recipient: one.retraction for one in loop.changes[-1].notifications if one.retraction}
    assert set(told) == {"bank-001", QUEUE}
    assert told[QUEUE].proposed_orders[0].order_id == "ord-1" and told["bank-001"].reversals[0].reversal == "release"


def test_a_correction_says_so_and_proposes_what_no_report_bears_out_any_more() -> None:
    loop = Loop().claimed()
    held = loop.executed().held_minor
    older = loop.it.signals[0]
    loop.joined(older.institution, signal_id=older.signal_id, version=2, amount_minor=held - 1_000)
    loop.decide(taken_back(older), "stage:assess")
    notices = [one for one in loop.changes[-1].notifications if one.retraction]
    assert {(one.recipient, one.kind, one.retraction.change) for one in notices if one.retraction} == {
        ("bank-001", NotificationKind.CORRECTION, "correction"),
        (QUEUE, NotificationKind.CORRECTION, "correction"),
    }
    (proposed,) = next(one.retraction.proposed_orders for one in notices if one.recipient == QUEUE and one.retraction)
    assert (proposed.order_id, proposed.reversal, proposed.amount_minor) == ("ord-1", "release", 1_000)


def test_whoever_holds_the_subject_is_warned_when_one_more_reports_it() -> None:
    loop = Loop().claimed()
    loop.executed("suspend_number", recipient="telecom-001", subject=subject(3))
    loop.joined("bank-002")
    assert loop.told() == [("bank-001", "early_warning"), ("telecom-001", "early_warning")]


def test_others_are_warned_when_one_more_reports_the_subject() -> None:
    loop = Loop()
    loop.joined()
    loop.joined("bank-002")
    assert loop.told() == [("bank-001", "early_warning")]
    loop.joined("bank-002")
    assert loop.told() == []


def test_a_dissuasion_dissuasion_has_its_short_clock() -> None:
    loop = Loop().claimed()
    loop.do("dissuasion", dissuasion=ask())
    assert ("dissuade", "dissuasion-1") in loop.running()
    loop.do("dissuasion", BANK, dissuasion=DissuasionEvent(event_id="x", dissuasion_id="dissuasion-1", kind="take"))
    warned = loop.falls_due(loop.clock("dissuade", "dissuasion-1"))
    assert [one.recipient for one in warned.notifications] == ["bank-001"]
    loop.falls_due(loop.clock("dissuade", "dissuasion-1"))
    assert loop.it.dissuasions[0].missed_deadlines == 1 and loop.it.dissuasions[0].taken_by is None
    assert ("dissuade", "dissuasion-1") in loop.running()


def lodge(move: str, party: str = "bank-001", officer: str | None = None, **more: object) -> AppealRequest:
    return AppealRequest(request_id="r", appeal_id="obj-1", case_id="case-1", action=move, party=party, officer=officer, **more)


def test_an_appeal_that_is_upheld_releases_and_ends_when_the_executor_says_so() -> None:
    loop = Loop().claimed()
    loop.executed()
    loop.do("appeal", BANK, appeal=lodge("file", text_sealed="k1.words"))
    assert {("written_notice", "obj-1"), ("appeal", "obj-1")} <= loop.running()
    loop.do("appeal", BANK, appeal=lodge("notice"))
    own = {"party": QUEUE, "officer": "officer-a"}
    assert loop.refused("appeal", appeal=lodge("uphold", **own, text_sealed="k1.why")) == "conflict-of-interest"
    other = {"party": QUEUE, "officer": "officer-c"}
    loop.do("appeal", "officer:officer-c", appeal=lodge("uphold", **other, text_sealed="k1.why"))
    loop.do("appeal", "officer:officer-c", appeal=lodge("release", **other))
    assert ("release", "obj-1") in loop.running()
    assert ("bank-001", "order_released") in loop.told()
    loop.answered("execute", next(one.order_id for one in loop.it.orders if one.kind == "release"), amount_minor=None)
    assert loop.order().state is OrderState.RELEASED
    assert loop.it.appeals[0].state == "completed"
    assert ("release", "obj-1") not in loop.running()


def test_nobody_objects_in_anothers_name() -> None:
    loop = Loop().claimed()
    loop.executed()
    assert loop.refused("appeal", OTHER, appeal=lodge("file")) == "forbidden"
    assert loop.refused("appeal", appeal=lodge("file", party=QUEUE, officer="officer-z")) == "forbidden"


def test_an_institutions_retry_is_an_echo() -> None:
    loop = Loop().claimed()
    action = loop.action("measure", BANK, measure=measure())
    loop.decide(action, BANK)
    again = loop.decide(action, BANK)
    assert again.outcome is ActionOutcome.REDELIVERY and len(loop.it.measures) == 1


def test_clocks_that_joins_start_leave_room_for_orders() -> None:
    loop = Loop()
    for n in range(80):
        loop.joined(f"bank-{n:03}")
    loop.do("claim")
    loop.ordered()
    assert loop.order().state is OrderState.ISSUED
    assert len(loop.it.deadlines) <= 64


def test_a_transfer_asks_the_new_unit_to_acknowledge() -> None:
    loop = Loop().claimed()
    change = loop.do("transfer", queue="financial-regulator-630200")
    assert change.left_queue == QUEUE and loop.it.queue == "financial-regulator-630200"
    assert loop.clock("acknowledge").unit == "financial-regulator-630200"
    assert loop.it.acknowledged_at is None and loop.it.holder is None
    loop.do("claim", "officer:officer-r", queue="financial-regulator-630200")
    assert loop.clock("acknowledge").state is DeadlineState.STOPPED


def test_a_letter_reaches_the_unit_that_had_the_case_before_and_is_answered_by_it() -> None:
    loop, now_in, officer = Loop().claimed(), "financial-regulator-630200", "officer:officer-r"
    loop.ordered()
    loop.do("transfer", queue=now_in)
    loop.do("claim", officer, queue=now_in)
    letter = issue("supervision_letter", "ord-2", case_id="case-1", agency=now_in, recipient=QUEUE)
    change = loop.do("order", officer, queue=now_in, order=letter)
    assert [(one.recipient, one.template) for one in change.notifications if one.order_id == "ord-2"] == [(QUEUE, "order_issued")]
    assert ("answer_letter", "ord-2") in loop.running() and ("order_answer", "ord-2") not in loop.running()
    said = event("execute", "ord-2", unit=QUEUE, text_sealed="k1.answer")
    change = loop.do("order", "officer:officer-a", order=said)
    assert loop.order("ord-2").state is OrderState.EXECUTED and ("answer_letter", "ord-2") not in loop.running()
    assert (now_in, "order_executed") in [(one.recipient, one.template) for one in change.notifications]


def test_a_letters_clock_tells_the_unit_that_has_not_answered() -> None:
    loop, unit = Loop().claimed(), "public-security-630203"
    loop.ordered("supervision_letter", recipient=unit)
    clock = loop.clock("answer_letter", "ord-1")
    assert clock.due_at == loop.order().answer_by
    loop.falls_due(clock)
    assert unit in [recipient for recipient, _ in loop.told()], "it is warned"
    change = loop.falls_due(loop.clock("answer_letter", "ord-1"))
    assert unit in [one.recipient for one in change.notifications if one.template == "order_answer_overdue"]
    assert loop.order().overdue


def test_a_case_that_comes_again_is_to_be_acknowledged_again() -> None:
    loop = Loop().claimed()
    loop.do("dispose", disposition="insufficient")
    assert {name for name, _ in loop.running()} == {"warn"}
    loop.joined("bank-002")
    assert loop.it.status is CaseStatus.OPEN and loop.it.acknowledged_at is None
    assert ("acknowledge", None) in loop.running()


@pytest.mark.parametrize("kind", ["merge", "split", "transfer", "dispose"])
def test_what_ends_or_moves_a_case_is_its_holders(kind: str) -> None:
    loop = Loop().claimed()
    extra = {"disposition": "confirmed", "into_case_id": "case-0", "signals": ("sig-0",)}
    change = loop.decide(loop.action(kind, "officer:officer-b", **extra), "officer:officer-b")
    assert change.problem == "not-holder"
    assert set(change.allowed_transitions) == set(case.list_allowed(loop.it, loop.now))
