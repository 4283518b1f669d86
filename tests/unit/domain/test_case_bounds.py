"""What is bounded in a case never stands in the way of whoever is to be free, or to be told."""

from __future__ import annotations

import pytest

from schemas.appeals import AppealRequest
from schemas.dissuasion import DissuasionEvent
from schemas.orders.order import OrderState
from stream_processors.domain.cases import decide as case
from tests.support.builders import taken_back
from tests.support.loop import QUEUE, Loop
from tests.support.order_builders import ask, dissuasion_event, event, issue, measure, subject

BANK = "institution:bank-001"
OTHER = {"party": QUEUE, "officer": "officer-c"}


def stopped(n: int, institutions: int = 0) -> Loop:
    """A claimed case in which `n` accounts are stopped, all of them carried out."""
    loop = Loop().claimed()
    for number in range(institutions):
        loop.joined(f"bank-{number + 100}")
    for number in range(n):
        loop.executed(order_id=f"ord-{number}", subject=subject(number))
    return loop


def lodge(move: str, party: str = "bank-001", officer: str | None = None, **more: object) -> AppealRequest:
    return AppealRequest(request_id="r", appeal_id="obj-1", case_id="case-1", action=move, party=party, officer=officer, **more)


def upheld(loop: Loop, **lodged: object) -> None:
    loop.do("appeal", BANK, appeal=lodge("file", text_sealed="k1.words", **lodged))
    loop.do("appeal", BANK, appeal=lodge("notice"))
    loop.do("appeal", "officer:officer-c", appeal=lodge("uphold", **OTHER, text_sealed="k1.why"))


@pytest.mark.parametrize("n", [15, 17, 32])
def test_a_false_alarm_releases_however_many_orders_there_are(n: int) -> None:
    loop = stopped(n)
    loop.do("dispose", disposition="false_positive")
    assert {one.related_order_id for one in loop.it.orders if one.kind == "release"} == {f"ord-{number}" for number in range(n)}


@pytest.mark.parametrize(("stops", "institutions"), [(12, 40), (20, 40)])
def test_a_false_alarm_is_not_refused_for_want_of_a_clock(stops: int, institutions: int) -> None:
    loop = stopped(stops, institutions)
    loop.do("dispose", disposition="false_positive")


def test_one_order_is_released_in_a_full_case_too() -> None:
    loop = stopped(20, 40)
    loop.do("order", order=issue("release", "ord-rel", related_order_id="ord-3"))
    loop.answered("execute", "ord-rel", amount_minor=None)
    assert loop.order("ord-3").state is OrderState.RELEASED


def full(loop: Loop) -> Loop:
    """No further order finds a place for its clocks."""
    for number in range(16):
        try:
            loop.ordered(order_id=f"more-{number}", subject=subject(100 + number))
        except AssertionError:
            break
    assert len(loop.running()) >= 54, "the next stop would start three"
    return loop


def test_a_measure_is_kept_though_its_next_clock_finds_no_place() -> None:
    loop = full(stopped(0, 40))
    loop.do("measure", BANK, measure=measure("warned", reaction="insisted"))
    assert loop.it.measures


def test_a_hold_that_crossed_with_its_release_can_be_told_in_a_full_case() -> None:
    loop = Loop().claimed()
    for number in range(40):
        loop.joined(f"bank-{number + 100}")
    loop.ordered("freeze", subject=subject(1), amount_minor=100)
    loop.do("order", order=issue("release", "ord-rel", related_order_id="ord-1"))
    full(loop)
    loop.answered("execute", "ord-1", amount_minor=100)


def test_a_missed_dissuasion_is_asked_again_whatever_other_clocks_run() -> None:
    loop = Loop().claimed()
    loop.do("dissuasion", dissuasion=ask())
    for number in range(40):
        loop.joined(f"bank-{number + 100}")
    loop.falls_due(loop.clock("dissuade", "dissuasion-1"))
    loop.falls_due(loop.clock("dissuade", "dissuasion-1"))
    assert loop.it.dissuasions[0].missed_deadlines == 1
    assert ("dissuade", "dissuasion-1") in loop.running()


def test_a_case_that_comes_again_is_acknowledged_again_whatever_other_clocks_run() -> None:
    loop = stopped(20, 40)
    loop.do("dispose", disposition="insufficient")
    loop.joined("bank-002")
    assert ("acknowledge", None) in loop.running()


def test_an_upheld_appeal_to_a_stop_releases_the_freeze_that_took_its_place() -> None:
    loop = Loop().claimed()
    loop.executed()
    loop.do("appeal", BANK, appeal=lodge("file", text_sealed="k1.words", orders=("ord-1",)))
    loop.do("appeal", BANK, appeal=lodge("notice"))
    loop.executed("freeze", "ord-2", related_order_id="ord-1")
    assert loop.order("ord-1").state is OrderState.RELEASED and loop.order("ord-2").held_minor
    loop.do("appeal", "officer:officer-c", appeal=lodge("uphold", **OTHER, text_sealed="k1.why"))
    loop.do("appeal", "officer:officer-c", appeal=lodge("release", **OTHER))
    assert loop.it.appeals[0].state == "released" and loop.it.appeals[0].pending_parties == ("bank-001",)
    release = next(one.order_id for one in loop.it.orders if one.kind == "release")
    loop.answered("execute", release, amount_minor=None)
    assert loop.order("ord-2").held_minor == 0 and loop.it.appeals[0].state == "completed"


def test_an_answered_letter_does_not_say_that_a_block_was_lifted() -> None:
    loop = Loop().claimed()
    loop.do("measure", BANK, measure=measure("blocked"))
    upheld(loop)
    loop.do("appeal", "officer:officer-c", appeal=lodge("release", **OTHER))
    assert loop.it.appeals[0].pending_parties == ("bank-001",)
    loop.ordered("request_information", "ord-9")
    loop.answered("execute", "ord-9", amount_minor=None)
    assert loop.it.appeals[0].state == "released", "what the bank blocked by itself is not lifted by a letter's answer"
    loop.do("appeal", BANK, appeal=lodge("confirm"))
    assert loop.it.appeals[0].state == "completed"


def test_a_freeze_in_place_of_a_stop_holds_no_more_than_arrived() -> None:
    loop = Loop().claimed()
    loop.executed()
    more = {"related_order_id": "ord-1", "verify": None, "traced_minor": None}
    assert loop.refused("order", order=issue("freeze", "ord-2", **more, amount_minor=19_000_000)) == "amount-exceeds-traced"


def test_who_took_a_dissuasion_is_not_told_to_the_others() -> None:
    loop = Loop().claimed()
    loop.do("dissuasion", dissuasion=ask())
    loop.do("dissuasion", BANK, dissuasion=DissuasionEvent(event_id="x", dissuasion_id="dissuasion-1", kind="take"))
    gone = loop.action(
        "dissuasion",
        "institution:telecom-001",
        dissuasion=DissuasionEvent(event_id="y", dissuasion_id="dissuasion-1", kind="give_back"),
    )
    change = loop.decide(gone, "institution:telecom-001")
    assert change.problem == "dissuasion-taken" and "bank-001" not in (change.detail or "")


def test_a_false_alarm_ends_a_return_of_the_money_that_is_under_way() -> None:
    """What was frozen is the innocent's own: it is not paid to anybody meanwhile."""
    loop = Loop().claimed()
    loop.executed("freeze", "ord-1")
    loop.ordered("return_funds", "ord-2", related_order_id="ord-1", amount_minor=500_000, currency="CNY")
    loop.do("order", "officer:officer-b", order=event("approve", "ord-2"))
    loop.do("dispose", disposition="false_positive")
    assert loop.order("ord-2").state is OrderState.RELEASED
    assert {("bank-001", "order_released"), ("bank-001", "order_withdrawn")} <= set(loop.told())


def test_a_false_alarm_releases_what_ran_out_and_was_never_said_to_be_lifted() -> None:
    loop = Loop().claimed()
    loop.executed()
    loop.falls_due(loop.clock("emergency_stop", "ord-1"))
    loop.falls_due(loop.clock("emergency_stop", "ord-1"))
    assert loop.order().state is OrderState.EXPIRED
    loop.do("claim")
    loop.do("dispose", disposition="false_positive")
    assert [one.related_order_id for one in loop.it.orders if one.kind == "release"] == ["ord-1"]


def test_a_stop_counts_for_the_unit_that_has_the_case() -> None:
    """The time of a unit that gave a case away is over with that."""
    loop = Loop().claimed()
    loop.do("transfer", queue="financial-regulator-630200")
    assert ("dispose", None) not in loop.running()


@pytest.mark.parametrize("kind", ["claim", "acknowledge", "order"])
def test_an_officer_who_saw_the_case_before_its_transfer_acts_for_the_new_unit_in_nothing(kind: str) -> None:
    loop = Loop().claimed()
    loop.executed()
    loop.do("transfer", queue="financial-regulator-630200")
    fields = {"order": issue("release", "ord-rel", related_order_id="ord-1")} if kind == "order" else {}
    assert loop.refused(kind, **fields) == "unknown-case"
    loop.do(kind, "officer:officer-r", queue="financial-regulator-630200", **fields)


def test_what_comes_of_an_order_is_told_to_the_unit_that_has_the_case_now() -> None:
    loop = Loop().claimed()
    loop.ordered()
    loop.do("transfer", queue="financial-regulator-630200")
    loop.answered("mismatch")
    assert loop.told() == [("financial-regulator-630200", "order_mismatch")]
    assert loop.order().agency == QUEUE, "who ordered it stays to be read"


def test_what_becomes_of_a_dissuasion_is_told_to_the_unit_that_has_the_case_now() -> None:
    loop = Loop().claimed()
    loop.do("dissuasion", dissuasion=ask())
    loop.do("transfer", queue="financial-regulator-630200")
    (dissuasion,) = loop.it.dissuasions
    loop.do("dissuasion", f"institution:{dissuasion.reachable_by[0].party}", dissuasion=dissuasion_event("take"))
    assert ("financial-regulator-630200", "dissuasion_taken") in loop.told()
    assert QUEUE not in {who for who, _ in loop.told()}


def _ran_out(loop: Loop) -> None:
    """ord-1 ends by its clock; its recipient says nothing."""
    for _ in range(2):  # the warning, then the end
        loop.falls_due(loop.clock("emergency_stop", "ord-1"))
    assert loop.order().state is OrderState.EXPIRED and loop.order().lifted_at is None


def test_an_appeal_waits_for_whoever_may_hold_on_to_what_ran_out() -> None:
    loop = stopped(0)
    loop.executed()
    _ran_out(loop)
    upheld(loop)
    loop.do("appeal", "officer:officer-c", appeal=lodge("release", **OTHER))
    (one,) = loop.it.appeals
    assert (one.state, one.pending_parties) == ("released", ("bank-001",))
    release = loop.it.orders[-1]
    loop.answered("execute", release.order_id, amount_minor=None)
    assert loop.it.appeals[0].state == "completed"


def test_a_case_is_not_closed_over_what_crossed_with_its_release() -> None:
    loop = Loop().claimed()
    loop.ordered()
    loop.answered("verify")
    loop.do("dispose", disposition="false_positive")
    loop.answered("execute", loop.it.orders[-1].order_id, amount_minor=None)
    loop.answered("execute")
    assert loop.order().state is OrderState.RELEASED and loop.order().lifted_at is None
    assert loop.refused("close") == "open-obligations"
    loop.answered("lift")
    loop.do("close")


def test_an_institution_that_left_the_case_owes_nothing_in_it() -> None:
    loop = Loop().claimed()
    loop.joined("bank-002")
    assert ("warn", "bank-002") in loop.running()
    gone = next(one for one in loop.it.signals if one.institution == "bank-002")
    loop.decide(taken_back(gone), "stage:assess")
    assert {about for _, about in loop.running()} == {None, "bank-001"}


def test_what_an_institution_owes_goes_with_its_signal_to_the_case_that_was_split_off() -> None:
    loop = Loop().claimed()
    loop.joined("bank-002")
    gone = next(one for one in loop.it.signals if one.institution == "bank-002")
    due = loop.clock("warn", "bank-002").due_at
    loop.do("split", signals=(gone.signal_id,))
    assert ("warn", "bank-002") not in loop.running()
    (handed,) = loop.changes[-1].follow_ups
    other = Loop(handed.case_id)
    other.decide(handed, "stage:deliver")
    assert other.clock("warn", "bank-002").due_at == due
    about = measure("warned", institution="bank-002", signal_id=gone.signal_id)
    sent = loop.do("measure", "institution:bank-002", measure=about)
    (on,) = sent.follow_ups
    assert on.case_id == handed.case_id
    other.decide(on, "stage:deliver")
    assert ("warn", "bank-002") not in other.running()


def test_two_appeals_that_one_answer_ends_are_both_told() -> None:
    loop = stopped(1)
    for name, officer in (("obj-1", "officer-c"), ("obj-2", "officer-d")):
        for who, one in ((BANK, lodge("file", text_sealed="k1.words")), (BANK, lodge("notice"))):
            loop.do("appeal", who, appeal=one.model_copy(update={"appeal_id": name}))
        other = {"party": QUEUE, "officer": officer}
        for one in (lodge("uphold", **other, text_sealed="k1.why"), lodge("release", **other)):
            loop.do("appeal", f"officer:{officer}", appeal=one.model_copy(update={"appeal_id": name}))
    loop.answered("execute", loop.it.orders[-1].order_id, amount_minor=None)
    names = [one.notification_id for one in loop.changes[-1].notifications]
    assert len(set(names)) == len(names)
    assert {one.state for one in loop.it.appeals} == {"completed"}


def test_a_false_alarm_calls_off_the_dissuasions() -> None:
    """Nobody is to be called any more about what was nothing."""
    loop = Loop().claimed()
    loop.do("dissuasion", dissuasion=ask())
    loop.executed()
    loop.do("dispose", disposition="false_positive")
    (dissuasion,) = loop.it.dissuasions
    assert (dissuasion.state, dissuasion.outcome) == ("cancelled", "not_at_risk")
    assert {one.party for one in dissuasion.reachable_by} <= {who for who, says in loop.told() if says == "dissuasion_ended"}
    assert ("dissuade", dissuasion.dissuasion_id) not in loop.running()
    assert [one.related_order_id for one in loop.it.orders if one.kind == "release"] == ["ord-1"]


def test_a_measure_that_another_case_hands_over_counts_once() -> None:
    loop = Loop().claimed()
    loop.do("measure", BANK, at=4, measure=measure("warned"))
    first = loop.changes[-1].figure_changes
    assert first is not None and len(first.after.measures) == 1
    other = Loop("case-0").claimed()
    other.do("measure", BANK, at=4, measure=measure("warned", "m-2"))
    loop.do("merge", into_case_id="case-0")
    (handed,) = loop.changes[-1].follow_ups
    change = other.decide(handed, "stage:deliver")
    assert change.outcome == "applied" and {one.measure_id for one in other.it.measures} == {"m-1", "m-2"}
    assert change.figure_changes is None or change.figure_changes.after.measures == ()


def test_who_has_the_case_hears_of_an_appeal_that_is_due() -> None:
    loop = Loop().claimed()
    loop.executed()
    loop.do("appeal", BANK, appeal=lodge("file", text_sealed="k1.words"))
    loop.do("transfer", queue="financial-regulator-630200")
    told = loop.falls_due(loop.clock("appeal", "obj-1")).notifications
    assert {one.recipient for one in told} == {"financial-regulator-630200"}


def test_what_is_being_released_is_not_lengthened() -> None:
    loop = Loop().claimed()
    loop.executed()
    loop.do("dispose", disposition="false_positive")
    assert loop.refused("order", order=event("renew", "ord-1")) == "already-released"


def test_a_change_is_made_smaller_without_its_counts() -> None:
    loop = Loop().claimed()
    loop.joined("bank-002")
    loop.do("dissuasion", dissuasion=ask())
    for _ in range(3):
        loop.do("dissuasion", BANK, dissuasion=dissuasion_event("attempt", "not_reached"))
    once = case.smaller(loop.changes[-1])
    assert once is not None and once.case is not None
    assert (len(once.case.signals), once.case.signal_count) == (1, 2)
    twice = case.smaller(once)
    assert twice is not None and twice.case is not None
    assert (len(twice.case.dissuasions[0].attempts), twice.case.dissuasions[0].attempt_count) == (1, 3)
    assert case.smaller(twice) is None
