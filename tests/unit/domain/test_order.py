"""Orders in sentences: what is checked first, what may be held, who answers, how an order ends and whom its end reaches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.notices import SAID, NotificationKind, told
from schemas.orders.kinds import OrderKind
from schemas.orders.order import Order
from schemas.orders.policy import OrderRules
from stream_processors.domain.orders import order_book as orders
from stream_processors.domain.orders.effects import LIFT_CLOCK
from stream_processors.domain.orders.order_book import MOST_ORDERS, clock_event, held_minor
from stream_processors.domain.state_machine import DeadlineStart, DeadlineStop
from tests.support.builders import T0, after
from tests.support.order_builders import ANSWERS, BANK, OFFICER, RULES, SECOND, STAGE, Desk, ends, event, issue, subject, transfer

AGENCY, INSTITUTION = "public-security-630202", "bank-001"
LARGE = {"amount_minor": 60_000_000, "verify": transfer(70_000_000)}


def said(change: orders.OrdersChange) -> list[tuple[str, str]]:
    return [(one.recipient, one.template) for one in change.notices]


def why(change: orders.OrdersChange) -> str | None:
    return change.refused.problem if change.refused else None


# --- checked before it is stopped


def test_a_stop_is_issued_with_its_times_and_reaches_its_recipient() -> None:
    change = Desk().do(issue())
    order = change.order
    assert (order.state, order.issued_by, order.valid_until) == ("issued", "officer-a", after(hours=48))
    assert order.verify_fields == ("name", "account", "amount", "time")
    assert said(change) == [(INSTITUTION, "order_issued")]
    expected = {
        DeadlineStart("emergency_stop", "ord-1", after(hours=48)),
        DeadlineStart("order_answer", "ord-1", after(minutes=30)),
    }
    expected.add(DeadlineStart("verify_stop", "ord-1"))  # as long as the policy's clock of that name says
    assert set(change.starts) == expected


def test_a_stop_is_not_carried_out_before_it_was_compared() -> None:
    desk = Desk()
    desk.do(issue())
    change = desk.answer("execute")
    assert why(change) == "transition-not-allowed"
    assert "execute" not in change.refused.allowed_transitions and "verify" in change.refused.allowed_transitions


COMPARED = ("verify_stop", "ord-1")


def compared(desk: Desk) -> list[tuple[str, bool | None]]:
    """What the last change makes of the clock of the comparison: starts it, ends it (True: called off)."""
    change = desk.changes[-1]
    began: list[tuple[str, bool | None]] = [("start", None) for one in change.starts if (one.name, one.about) == COMPARED]
    return began + [("stop", one.called_off) for one in change.stops if (one.name, one.about) == COMPARED]


def test_the_comparison_has_a_time_of_its_own_from_the_issue_of_a_stop() -> None:
    desk = Desk()
    desk.do(issue())
    assert compared(desk) == [("start", None)]
    desk.answer("deliver")
    assert compared(desk) == [], "that it came is no comparison"
    desk.answer("verify")
    assert compared(desk) == [("stop", False)]


def test_a_large_stop_is_compared_from_when_it_goes_out() -> None:
    desk = Desk()
    desk.do(issue(amount_minor=50_000_000, verify=transfer(50_000_000)))
    assert compared(desk) == []
    desk.do(event("approve"), SECOND)
    assert compared(desk) == [("start", None)]


@pytest.mark.parametrize("answer", ["verify", "mismatch", "refuse", "fail"])
def test_any_answer_ends_the_time_of_the_comparison(answer: str) -> None:
    desk = Desk()
    desk.do(issue())
    desk.answer(answer)
    assert compared(desk) == [("stop", False)]


def test_a_stop_that_ends_before_it_was_compared_has_not_to_be_compared_any_more() -> None:
    released, replaced, expired = Desk(), Desk(), Desk()
    for desk in (released, replaced, expired):
        desk.do(issue())
    released.do(issue("release", "rel-1", related_order_id="ord-1"))
    replaced.executed("freeze", "ord-2", related_order_id="ord-1")
    expired.do(event("expire"), STAGE, now=expired.order().valid_until)
    for desk in (released, replaced, expired):
        assert compared(desk) == [("stop", True)]


def test_a_freeze_is_not_compared_and_has_no_time_for_it() -> None:
    desk = Desk()
    desk.executed("freeze")
    assert desk.order().verify_deadline is None
    assert all(one.name != "verify_stop" for change in desk.changes for one in change.starts)


def test_the_officers_basis_stays_sealed_and_the_policys_stands_where_there_is_none() -> None:
    typed, plain = Desk(), Desk()
    heard = typed.do(issue(basis_sealed="k1.basis"))
    assert (typed.order().basis, typed.order().basis_sealed) == ("", "k1.basis")
    assert heard.notices[0].data["basis"] == ""
    heard = plain.do(issue())
    assert (plain.order().basis, plain.order().basis_sealed) == (RULES.kinds["stop_payment"].basis, None)
    assert heard.notices[0].data["basis"] == RULES.kinds["stop_payment"].basis


def test_all_four_fields_are_compared() -> None:
    desk = Desk()
    desk.do(issue())
    assert why(desk.answer("verify", verified_fields=("name", "account", "time"))) == "not-verified"
    assert desk.answer("verify").order.state == "verified"


def test_a_mismatch_is_not_stopped_and_whoever_ordered_it_hears_at_once() -> None:
    desk = Desk()
    desk.do(issue())
    change = desk.answer("mismatch", mismatched_fields=("amount", "name"))
    assert (change.order.state, change.order.refusal_reason, change.order.held_minor) == ("refused", "mismatch", 0)
    assert change.order.mismatched_fields == ("name", "amount")
    assert said(change) == [(AGENCY, "order_mismatch")]
    assert told(change.notices[0]).en == "not stopped, because these fields differ: name, amount"
    assert why(desk.answer("execute")) == "transition-not-allowed"


def test_another_amount_in_the_books_is_a_mismatch_whatever_the_answer_says() -> None:
    desk = Desk()
    desk.do(issue())
    assert why(desk.answer("verify", credited_minor=999_999)) == "fields-mismatch"
    assert desk.order().state == "issued"


def test_an_order_without_what_is_to_be_compared_is_not_issued() -> None:
    change = Desk().do(issue(verify=transfer().model_copy(update={"name_sealed": None})))
    assert why(change) == "order-incomplete"
    assert "name" in change.refused.why


# --- only the traced amount


@pytest.mark.parametrize(
    "over", [{"traced_minor": 799_999}, {"amount_minor": 1_000_001}, {"amount_minor": 0}, {"currency": None}]
)
def test_no_more_is_ordered_than_was_traced_and_arrived(over: dict[str, Any]) -> None:
    assert why(Desk().do(issue(**over))) in ("amount-exceeds-traced", "order-incomplete")


def test_a_freeze_says_what_bounds_it() -> None:
    assert why(Desk().do(issue("freeze", verify=None))) == "order-incomplete"
    for bound in ({"traced_minor": 800_000}, {"verify": transfer()}):
        desk = Desk()
        desk.do(issue("freeze", **{"verify": None, **bound}))
        assert desk.order().amount_minor == 800_000
    assert desk.executed("stop_payment", "ord-2", subject=subject(2)).held_minor
    desk.do(issue("freeze", "ord-3", related_order_id="ord-2", subject=subject(2), verify=None))
    assert desk.order("ord-3").amount_minor == 800_000, "the stop says what arrived"


@pytest.mark.parametrize("over", [{"amount_minor": 800_001}, {"amount_minor": 700_000, "credited_minor": 600_000}])
def test_no_more_is_held_than_was_ordered_and_arrived(over: dict[str, Any]) -> None:
    desk = Desk()
    desk.do(issue())
    desk.answer("verify")
    assert why(desk.answer("execute", **over)) == "amount-exceeds-traced"


def test_less_may_be_held_and_nothing_is_a_failure() -> None:
    desk = Desk()
    desk.do(issue())
    desk.answer("verify")
    assert why(desk.answer("execute", amount_minor=None)) == "amount-missing"
    assert desk.answer("execute", amount_minor=300_000).order.held_minor == 300_000
    assert held_minor(desk.orders) == {"CNY": 300_000}


def test_the_same_money_is_under_one_order() -> None:
    desk = Desk()
    desk.do(issue())
    assert why(desk.do(issue(order_id="ord-2"))) == "already-held"
    assert why(desk.do(issue("freeze", "ord-3"))) == "already-held"
    assert why(desk.do(issue("freeze", "ord-3", verify=None, traced_minor=800_000))) == "already-held"
    assert desk.do(issue(order_id="ord-4", verify=transfer(number=5))).refused is None


def test_a_freeze_takes_the_place_of_its_stop() -> None:
    desk = Desk()
    desk.executed()
    desk.executed("freeze", "ord-2", related_order_id="ord-1")
    assert (desk.order().state, desk.order().held_minor, desk.order().lifted_at) == ("released", 0, T0)
    assert held_minor(desk.orders) == {"CNY": 800_000}
    assert desk.order("ord-2").valid_until == T0.replace(month=9)


def test_a_freeze_in_place_of_a_stop_holds_what_arrived_there_in_its_currency() -> None:
    desk = Desk()
    desk.executed()
    above = {"verify": transfer(90_000_000), "amount_minor": 19_000_000}
    assert why(desk.do(issue("freeze", "ord-2", related_order_id="ord-1", **above))) == "amount-exceeds-traced"
    assert why(desk.do(issue("freeze", "ord-2", related_order_id="ord-1", verify=None, currency="USD"))) == "order-incomplete"


def test_nothing_takes_the_place_of_a_stop_that_is_being_released() -> None:
    desk = Desk()
    desk.executed()
    desk.do(issue("release", "rel-1", related_order_id="ord-1"))
    assert why(desk.do(issue("freeze", "ord-2", related_order_id="ord-1"))) == "already-released"


def test_a_release_of_a_stop_ends_the_freeze_that_was_to_take_its_place() -> None:
    desk = Desk()
    desk.executed()
    desk.do(issue("freeze", "ord-2", related_order_id="ord-1"))
    change = desk.do(issue("release", "rel-1", related_order_id="ord-1"))
    assert said(change) == [(INSTITUTION, "order_released"), (INSTITUTION, "order_withdrawn")]
    assert desk.order("ord-2").state == "released"


@pytest.mark.parametrize("by", [datetime.max.replace(tzinfo=UTC), after(days=3661)])
def test_nobody_waits_for_an_answer_until_the_end_of_time(by: datetime) -> None:
    """A clock that cannot be reckoned would end whoever decides it, again and again."""
    assert why(Desk().do(issue(answer_by=by))) == "order-incomplete"


def test_a_stop_not_yet_carried_out_is_called_off_by_the_freeze_in_its_place() -> None:
    desk = Desk()
    desk.do(issue())
    desk.executed("freeze", "ord-2", related_order_id="ord-1")
    assert desk.order().state == "released"
    assert (INSTITUTION, "order_superseded") in said(desk.changes[-1])


# --- caps


def test_an_account_has_two_stops_renewal_included() -> None:
    desk = Desk()
    desk.executed()
    change = desk.do(event("renew"), now=after(hours=47))
    assert (change.order.state, change.order.renewals, change.order.valid_until) == ("renewed", 1, after(hours=96))
    assert change.stops == (DeadlineStop("emergency_stop", "ord-1"),)
    assert change.starts == (DeadlineStart("emergency_stop", "ord-1", after(hours=96)),)
    assert why(desk.do(event("renew"))) == "account-limit-reached"
    assert why(desk.do(issue(order_id="ord-2", verify=transfer(number=5)))) == "account-limit-reached"


def test_two_stops_leave_no_renewal() -> None:
    desk = Desk()
    desk.executed()
    desk.executed(order_id="ord-2", verify=transfer(number=5))
    assert why(desk.do(event("renew"))) == "account-limit-reached"
    assert desk.do(issue(order_id="ord-3", subject=subject(2))).refused is None


def test_a_stop_that_was_refused_counts_against_nothing() -> None:
    desk = Desk()
    for number in range(3):
        desk.do(issue(order_id=f"ord-{number}"))
        assert desk.answer("refuse", f"ord-{number}").refused is None


def test_a_freeze_is_renewed_as_often_as_needed() -> None:
    desk = Desk()
    desk.executed("freeze")
    for renewals in (1, 2, 3):
        assert desk.do(event("renew")).order.renewals == renewals


# --- four eyes


def test_a_large_stop_waits_for_another_person() -> None:
    desk = Desk()
    change = desk.do(issue(**LARGE))
    assert (change.order.state, change.order.valid_until) == ("awaiting_approval", None)
    assert said(change) == [(AGENCY, "order_approval_required")]
    assert why(desk.do(event("approve"), OFFICER)) == "second-approver-required"
    change = desk.do(event("approve"), SECOND, after(hours=1))
    assert (change.order.state, change.order.approved_by) == ("issued", "officer-b")
    assert change.order.valid_until == after(hours=49)
    assert said(change) == [(INSTITUTION, "order_issued")]


def test_what_was_asked_for_is_looked_at_again_when_it_is_approved() -> None:
    desk = Desk()
    desk.executed("freeze")
    desk.do(issue("return_funds", "ret-1", related_order_id="ord-1", amount_minor=300_000))
    desk.executed("release", "rel-1", related_order_id="ord-1")
    assert why(desk.do(event("approve", "ret-1"), SECOND)) == "amount-exceeds-held"


def test_a_second_person_may_say_no_and_the_first_may_take_it_back() -> None:
    for kind, actor in (("reject", SECOND), ("withdraw", OFFICER)):
        desk = Desk()
        desk.do(issue(**LARGE))
        assert desk.do(event(kind), actor).order.state == "withdrawn"
        assert why(desk.do(event("approve"), SECOND)) == "transition-not-allowed"


def test_a_large_stop_is_not_renewed_by_the_first_person_alone() -> None:
    desk = Desk()
    desk.executed(**LARGE)
    assert why(desk.do(event("renew"), OFFICER)) == "second-approver-required"
    assert desk.do(event("renew"), SECOND).refused is None


# --- who answers, and when


def test_only_the_recipient_answers_and_others_learn_nothing() -> None:
    desk = Desk()
    desk.do(issue())
    for actor in ("institution:bank-002", OFFICER, STAGE, "citizen:somebody"):
        assert desk.do(event("verify", verified_fields=("name", "account", "amount", "time")), actor).refused is not None
    change = desk.do(event("execute"), "institution:bank-002")
    assert (why(change), change.refused.allowed_transitions) == ("not-recipient", ())


def test_an_answer_proves_the_delivery() -> None:
    desk = Desk()
    desk.do(issue())
    desk.answer("verify", now=after(minutes=1))
    desk.answer("execute", now=after(minutes=2))
    assert desk.order().delivered_at == after(minutes=1)
    assert why(desk.do(event("deliver"), STAGE)) == "transition-not-allowed"


def test_a_hold_lasts_from_when_it_was_done() -> None:
    desk = Desk()
    desk.do(issue())
    desk.answer("verify")
    order = desk.answer("execute", now=after(minutes=40), done_at=after(minutes=20)).order
    assert (order.executed_at, order.valid_until, order.late) == (after(minutes=20), after(hours=48, minutes=20), True)


def test_a_clock_that_is_a_little_off_is_set_right_and_one_far_off_is_refused() -> None:
    desk = Desk()
    desk.do(issue())
    desk.answer("verify")
    assert why(desk.answer("execute", done_at=after(minutes=6))) == "time-out-of-range"
    assert why(desk.answer("execute", done_at=after(hours=-1))) == "time-out-of-range"
    assert desk.answer("execute", done_at=after(seconds=20)).order.executed_at == T0


def test_an_unanswered_order_is_overdue_once_and_may_still_be_answered() -> None:
    desk = Desk()
    desk.do(issue())
    assert why(desk.do(event("overdue"), STAGE, after(minutes=29))) == "not-due"
    change = desk.do(event("overdue"), STAGE, after(minutes=30))
    assert (change.order.state, change.order.overdue) == ("issued", True)
    assert {recipient for recipient, _ in said(change)} == {AGENCY, INSTITUTION}
    assert why(desk.do(event("overdue"), STAGE)) == "not-due"
    assert desk.answer("refuse", now=after(minutes=31)).order.late


def test_a_refusal_and_a_failure_give_their_reason() -> None:
    for kind, state in (("refuse", "refused"), ("fail", "failed")):
        desk = Desk()
        desk.do(issue())
        assert why(desk.answer(kind, reason=None)) == "reason-missing"
        change = desk.answer(kind)
        assert (change.order.state, change.order.held_minor) == (state, 0)
        assert change.notices[0].recipient == AGENCY


def test_a_letter_is_carried_out_by_its_answer() -> None:
    desk = Desk()
    change = desk.do(issue("supervision_letter", answer_by=after(days=30)))
    assert (change.order.answer_by, change.order.valid_until) == (after(days=30), None)
    assert why(desk.answer("execute", text_sealed=None)) == "answer-missing"
    assert desk.answer("execute").order.answer_sealed == "k1.answer"


def test_a_letter_runs_under_the_clock_of_letters() -> None:
    change = Desk().do(issue("supervision_letter"))
    assert [(one.name, one.due_at) for one in change.starts] == [("answer_letter", change.order.answer_by)]
    assert change.order.answer_by > after(days=15)


UNIT = "public-security-630203"
OF_UNIT = "officer:officer-u"


@pytest.mark.parametrize("kind", ["supervision_letter", "request_information"])
def test_an_officer_answers_a_letter_for_the_unit_that_it_went_to(kind: str) -> None:
    for answer, state in (("deliver", "delivered"), ("execute", "executed"), ("refuse", "refused"), ("fail", "failed")):
        desk = Desk()
        desk.do(issue(kind, recipient=UNIT))
        change = desk.do(event(answer, unit=UNIT, **ANSWERS.get(answer, {})), OF_UNIT)
        assert (change.order.state, change.order.history[-1].actor) == (state, OF_UNIT)


def test_a_letter_is_answered_for_its_recipient_and_for_no_other_unit() -> None:
    desk = Desk()
    desk.do(issue("supervision_letter", recipient=UNIT))
    for over in ({}, {"unit": AGENCY}, {"unit": INSTITUTION}):
        change = desk.do(event("refuse", reason="no_basis", **over), OF_UNIT)
        assert why(change) == ("not-recipient" if over else "transition-not-allowed")
    assert why(desk.answer("refuse")) == "not-recipient", "no bank, either"
    assert why(desk.do(event("refuse", unit=UNIT), OF_UNIT)) == "reason-missing"
    assert desk.order().state == "issued"


def test_an_officer_answers_no_letter_of_an_institution_and_nothing_but_letters() -> None:
    for kind, recipient in (("supervision_letter", INSTITUTION), ("stop_payment", UNIT), ("block_domain", UNIT)):
        desk = Desk()
        desk.do(issue(kind, recipient=recipient))
        assert why(desk.do(event("refuse", unit=recipient, reason="no_basis"), OF_UNIT)) == "not-recipient"


def test_whoever_acts_as_the_recipient_gives_no_order_by_that() -> None:
    desk = Desk()
    asked = issue("supervision_letter", recipient=UNIT).model_copy(update={"unit": UNIT})
    assert why(desk.do(asked, OF_UNIT)) == "not-recipient"
    assert not desk.orders


def test_a_takedown_keeps_its_records() -> None:
    desk = Desk()
    desk.do(issue("block_domain"))
    assert why(desk.answer("execute", records_kept=False)) == "records-not-kept"
    order = desk.answer("execute").order
    assert (order.preserve_records_until, order.valid_until) == (T0.replace(month=9), None)


def test_a_kind_that_the_policy_does_not_have_is_not_ordered() -> None:
    rules = RULES.model_copy(update={"kinds": {}})
    assert why(Desk(rules).do(issue())) == "order-kind-not-enabled"


# --- ends


def test_a_hold_ends_with_its_clock_never_early_and_both_sides_are_warned() -> None:
    desk = Desk()
    desk.executed()
    warned = desk.do(event("near_expiry"), STAGE, after(hours=46))
    assert {one.kind for one in warned.notices} == {NotificationKind.EXPIRY_WARNING}
    assert {recipient for recipient, _ in said(warned)} == {AGENCY, INSTITUTION}
    assert why(desk.do(event("expire"), STAGE, after(hours=47, minutes=59))) == "not-due"
    change = desk.do(event("expire"), STAGE, after(hours=48))
    assert (change.order.state, change.order.held_minor) == ("expired", 0)
    assert said(change) == [(INSTITUTION, "order_expired"), (AGENCY, "order_expired")]


def test_the_clock_of_before_a_renewal_does_not_end_it() -> None:
    desk = Desk()
    desk.executed()
    desk.do(event("renew"))
    assert why(desk.do(event("expire"), STAGE, after(hours=48))) == "not-due"
    assert why(desk.do(event("renew"), SECOND, after(hours=97))) == "order-expired"


def test_what_ended_before_it_was_done_must_not_be_done() -> None:
    desk = Desk()
    desk.do(issue())
    desk.answer("verify")
    assert why(desk.answer("execute", now=after(hours=48))) == "order-expired"


def test_a_release_ends_what_was_done_when_its_recipient_says_so() -> None:
    desk = Desk()
    desk.executed()
    change = desk.do(issue("release", "rel-1", related_order_id="ord-1"))
    assert [(one.recipient, one.kind) for one in change.notices] == [(INSTITUTION, NotificationKind.RELEASE)]
    assert change.order.subject == desk.order().subject
    assert desk.order().held_minor == 800_000, "nobody has lifted it yet"
    assert why(desk.do(issue("release", "rel-2", related_order_id="ord-1"))) == "already-released"
    desk.answer("execute", "rel-1")
    assert (desk.order().state, desk.order().held_minor, desk.order().lifted_at) == ("released", 0, T0)


def test_a_release_ends_at_once_what_was_not_done_yet() -> None:
    desk = Desk()
    desk.do(issue())
    change = desk.do(issue("release", "rel-1", related_order_id="ord-1"))
    assert desk.order().state == "released"
    assert DeadlineStop("emergency_stop", "ord-1") in change.stops


def test_a_hold_that_crossed_with_its_release_is_told_again_until_it_is_lifted() -> None:
    desk = Desk()
    desk.do(issue())
    desk.answer("verify")
    desk.do(issue("release", "rel-1", related_order_id="ord-1"))
    change = desk.answer("execute")
    assert (change.order.state, change.order.held_minor, change.order.executed_at) == ("released", 0, T0)
    assert said(change) == [(INSTITUTION, "order_lift_required"), (AGENCY, "order_executed_after_end")]
    assert change.starts == (DeadlineStart(LIFT_CLOCK, "ord-1"),)
    assert why(desk.answer("execute")) == "transition-not-allowed", "it is carried out once"
    desk.answer("execute", "rel-1")
    assert desk.order().lifted_at == T0
    assert DeadlineStop(LIFT_CLOCK, "ord-1") in desk.changes[-1].stops


def test_what_was_never_sent_out_is_withdrawn_not_released() -> None:
    desk = Desk()
    desk.do(issue(**LARGE))
    assert why(desk.do(issue("release", "rel-1", related_order_id="ord-1"))) == "transition-not-allowed"
    assert why(desk.do(issue("release", "rel-1", related_order_id="ord-9"))) == "unknown-order"
    assert why(desk.do(issue("release", "rel-1", related_order_id="ord-1", recipient="bank-002"))) == "unknown-order"


# --- returns


def test_a_return_takes_from_what_is_frozen_and_the_whole_of_it_ends_the_freeze() -> None:
    desk = Desk()
    desk.executed("freeze")
    desk.executed("return_funds", "ret-1", related_order_id="ord-1", amount_minor=300_000)
    assert (desk.order().held_minor, desk.order("ret-1").paid_minor) == (500_000, 300_000)
    desk.do(issue("return_funds", "ret-2", related_order_id="ord-1", amount_minor=400_000))
    assert why(desk.do(issue("return_funds", "ret-3", related_order_id="ord-1", amount_minor=100_001))) == "amount-exceeds-held"
    desk.do(event("approve", "ret-2"), SECOND)
    desk.answer("execute", "ret-2", amount_minor=400_000)
    desk.executed("return_funds", "ret-3", related_order_id="ord-1", amount_minor=100_000)
    assert (desk.order().state, desk.order().held_minor) == ("released", 0)


def _return_is_released(executed: bool) -> Desk:
    desk = Desk()
    desk.executed("freeze")
    desk.do(issue("return_funds", "ret-1", related_order_id="ord-1", amount_minor=300_000))
    desk.do(event("approve", "ret-1"), SECOND)
    desk.do(issue("release", "rel-1", related_order_id="ord-1"))
    if executed:
        desk.answer("execute", "rel-1")
    assert desk.order("ret-1").state == "released", "it ends with the freeze"
    return desk


def test_a_return_that_was_paid_before_the_word_of_its_end_came_is_known_and_held_no_more() -> None:
    desk = _return_is_released(executed=False)
    assert why(desk.answer("execute", "ret-1", amount_minor=300_001)) == "amount-missing"
    change = desk.answer("execute", "ret-1", amount_minor=300_000)
    assert said(change) == [(AGENCY, "order_paid_after_end")]
    assert (desk.order("ret-1").state, desk.order("ret-1").paid_minor) == ("released", 300_000)
    assert desk.order().held_minor == 500_000
    assert why(desk.answer("execute", "ret-1", amount_minor=300_000)) == "transition-not-allowed", "it is known once"


def test_a_return_under_way_ends_with_its_freeze_and_its_payment_is_known_all_the_same() -> None:
    desk = Desk()
    desk.executed("freeze")
    desk.do(issue("return_funds", "ret-1", related_order_id="ord-1", amount_minor=300_000))
    desk.do(event("approve", "ret-1"), SECOND)
    change = desk.do(event("expire"), STAGE, now=desk.order().valid_until)
    assert (INSTITUTION, "order_withdrawn") in said(change)
    assert (desk.order().state, desk.order("ret-1").state) == ("expired", "released")
    desk.answer("execute", "ret-1", amount_minor=300_000)
    assert desk.order("ret-1").paid_minor == 300_000


def test_a_return_paid_after_the_release_takes_nothing_from_what_is_held() -> None:
    desk = _return_is_released(executed=True)
    desk.answer("execute", "ret-1", amount_minor=300_000)
    assert (desk.order().held_minor, desk.order("ret-1").paid_minor) == (0, 300_000)


def _pro_rata(rules: OrderRules = RULES, **over: Any) -> Desk:
    """A freeze, and a return of some of it pro rata that waits for its second person."""
    desk = Desk(rules)
    desk.executed("freeze")
    desk.do(
        issue("return_funds", "ret-1", **{"related_order_id": "ord-1", "amount_minor": 300_000, "method": "pro_rata", **over})
    )
    return desk


def test_a_return_pro_rata_waits_for_its_notice_which_is_given_with_it() -> None:
    desk = _pro_rata()
    assert desk.order("ret-1").public_notice_until is None
    change = desk.do(event("approve", "ret-1"), SECOND, now=after(days=2))
    assert desk.order("ret-1").public_notice_until == after(days=32)
    assert DeadlineStart("return_notice", "ret-1", after(days=32)) in change.starts
    assert change.notices[0].data["public_notice_until"] == "2026-04-03T01:00:00Z"


def test_a_return_pro_rata_is_not_paid_before_its_notice_ends() -> None:
    desk = _pro_rata()
    desk.do(event("approve", "ret-1"), SECOND)
    desk.answer("deliver", "ret-1")
    change = desk.answer("execute", "ret-1", amount_minor=300_000, now=after(days=30, seconds=-1))
    assert why(change) == "public-notice-running" and "2026-04-01T01:00:00Z" in change.refused.why
    assert desk.order().held_minor == 800_000
    said_early = desk.answer("execute", "ret-1", amount_minor=300_000, done_at=after(days=29), now=after(days=31))
    assert why(said_early) == "public-notice-running"
    change = desk.answer("execute", "ret-1", amount_minor=300_000, now=after(days=31))
    assert (desk.order("ret-1").state, desk.order("ret-1").late, desk.order().held_minor) == ("executed", False, 500_000)
    assert DeadlineStop("return_notice", "ret-1", called_off=True) in change.stops, "nobody is late with a notice"


def test_the_time_to_answer_a_return_pro_rata_begins_when_it_may_be_paid() -> None:
    desk = _pro_rata()
    desk.do(event("approve", "ret-1"), SECOND)
    last = after(days=30) - timedelta(microseconds=1)  # 24:00 belongs to the day that it ends
    assert desk.order("ret-1").answer_by == ends(last, RULES.kinds[OrderKind.RETURN_FUNDS].answer_within)
    other = _pro_rata(answer_by=after(days=29))
    assert why(other.changes[-1]) == "order-incomplete"


def test_a_notice_that_was_given_before_the_order_counts_from_then() -> None:
    desk = _pro_rata(public_notice_at=after(days=-20))
    desk.do(event("approve", "ret-1"), SECOND)
    assert desk.order("ret-1").public_notice_until == after(days=10)
    over = _pro_rata(public_notice_at=after(days=-31))
    change = over.do(event("approve", "ret-1"), SECOND)
    assert over.order("ret-1").public_notice_until == after(days=-1)
    assert all(one.name != "return_notice" for one in change.starts), "there is nothing to wait for"
    assert over.answer("execute", "ret-1", amount_minor=300_000).refused is None
    assert why(_pro_rata(public_notice_at=after(hours=1)).changes[-1]) == "order-incomplete"


@pytest.mark.parametrize("method", [None, "one_payer", "covered", "traced", "by_time"])
def test_no_other_return_waits_for_a_notice(method: str | None) -> None:
    desk = _pro_rata(method=method)
    change = desk.do(event("approve", "ret-1"), SECOND)
    assert (desk.order("ret-1").method, desk.order("ret-1").public_notice_until) == (method, None)
    assert all(one.name != "return_notice" for one in change.starts)
    assert desk.answer("execute", "ret-1", amount_minor=300_000).refused is None


@pytest.mark.parametrize("answer", ["refuse", "fail"])
def test_a_return_that_comes_to_nothing_waits_for_no_notice_any_more(answer: str) -> None:
    desk = _pro_rata()
    desk.do(event("approve", "ret-1"), SECOND)
    gone = desk.answer(answer, "ret-1")
    assert DeadlineStop("return_notice", "ret-1", called_off=True) in gone.stops
    other = _pro_rata()
    other.do(event("approve", "ret-1"), SECOND)
    released = other.do(issue("release", "rel-1", related_order_id="ord-1"))
    assert DeadlineStop("return_notice", "ret-1", called_off=True) in released.stops


def test_a_policy_without_a_notice_returns_nothing_pro_rata() -> None:
    kind = RULES.kinds[OrderKind.RETURN_FUNDS].model_copy(update={"public_notice_deadline": None})
    desk = _pro_rata(OrderRules(kinds={**RULES.kinds, OrderKind.RETURN_FUNDS: kind}))
    assert why(desk.changes[-1]) == "order-kind-not-enabled"


# --- the orders of a case


def test_an_order_is_issued_once() -> None:
    desk = Desk()
    desk.do(issue())
    assert why(desk.do(issue())) == "transition-not-allowed"
    assert why(desk.do(event("expire", "ord-9"), STAGE)) == "unknown-order"
    assert len(desk.orders) == 1


def test_an_order_that_came_to_nothing_makes_room_and_one_that_counts_does_not() -> None:
    desk = Desk()
    for number in range(MOST_ORDERS):
        desk.do(issue(order_id=f"ord-{number}", subject=subject(number)))
    assert why(desk.do(issue(order_id="more", subject=subject(99)))) == "too-many-orders"
    desk.answer("refuse", "ord-7")
    assert desk.do(issue(order_id="more", subject=subject(99))).refused is None
    assert len(desk.orders) == MOST_ORDERS
    assert "ord-7" not in {one.order_id for one in desk.orders}


def test_a_clock_of_an_order_knows_what_it_is_to_it() -> None:
    order = Desk().executed()
    assert clock_event(order, "emergency_stop") == "expire"
    assert clock_event(order, "emergency_stop", warning=True) == "near_expiry"
    assert clock_event(order, "order_answer") == "overdue"
    assert clock_event(order, LIFT_CLOCK) is None


def test_an_order_is_read_back_as_it_was_written_and_a_newer_field_is_passed_over() -> None:
    order = Desk().executed("block_app")
    assert Order.model_validate_json(order.model_dump_json()) == order
    assert Order.model_validate({**order.model_dump(), "later": 1}) == order


def test_every_kind_can_be_ordered_carried_out_and_told_in_words() -> None:
    for kind in OrderKind:
        desk = Desk()
        more: dict[str, Any] = {}
        if kind in (OrderKind.RELEASE, OrderKind.RETURN_FUNDS):
            desk.executed("freeze", "ord-0")
            more = {"related_order_id": "ord-0", "amount_minor": 100_000}
        assert desk.executed(kind.value, **more).state == "executed"
        for notice in (notice for change in desk.changes for notice in change.notices):
            assert notice.template in SAID
            assert "{" not in "".join(told(notice))


def test_a_notice_is_named_by_its_cause() -> None:
    change = Desk().do(issue())
    assert change.notices[0].notification_id == "act-issue-ord-1/ord-1/0"
    again = Desk().do(issue())
    assert again == change


def test_the_actor_of_an_answer_is_in_the_history() -> None:
    order = Desk().executed()
    assert [(one.actor, one.event.value) for one in order.history] == [(OFFICER, "issue"), (BANK, "verify"), (BANK, "execute")]
