"""Transfer, merge, split, absorb, close and reopen, one by one. What they give together is the property tests'."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.appeals import Appeal
from schemas.cases.case import Action, ActionKind, Case, CaseStatus, CaseTransfer
from schemas.deadlines import Deadline
from schemas.dissuasion import Dissuasion
from schemas.measures import Measure
from schemas.orders.order import Order
from stream_processors.domain.cases.counters import EMPTY
from stream_processors.domain.cases.evidence import keep_evidence
from stream_processors.domain.cases.step import CaseEffects
from stream_processors.domain.cases.structure import (
    absorb,
    close,
    forward,
    list_standing,
    merge,
    queues_of,
    reopen,
    split,
    transfer,
)
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import DeadlineStart
from tests.support.builders import POLICY, T0, after, join, joined, move, opened_case, taken_back
from tests.support.order_builders import subject

QUEUE, OTHER = "public-security-630202", "public-security-630222"


def case_of(*names: str, case_id: str = "case-2", **over: Any) -> Case:
    """An open case of these signals, the newest first, each of a bank of its own and of 10 yuan."""
    signals = [signal(name) for name in names]
    opened = opened_case().model_copy(update={"case_id": case_id, "signals": (), "signal_count": 0, "tally": EMPTY})
    whole = opened.model_copy(update={"amount_minor": {}, "institutions": (), "kinds": ()})
    for number, one in enumerate(reversed(signals)):
        portion = _portion(one, of=f"case-{number + 50}")
        done = absorb(portion, whole, POLICY, T0)
        assert isinstance(done, CaseEffects)
        whole = whole.model_copy(update=done.changes)
    return whole.model_copy(update={"merged_from": (), **over})


def signal(name: str, **over: Any) -> Any:
    own = {"signal_id": name, "institution": f"bank-{name}", "amount_minor": 1000, "score": 70}
    return joined(**{**own, **over})


def _portion(one: Any, of: str) -> Action:
    """What a case with this one signal hands over when it is merged."""
    alone = opened_case().model_copy(update={"case_id": of})
    done = split(
        move("split", signals=(one.signal_id,)),
        alone.model_copy(update={"signals": (one, joined(signal_id="other")), "signal_count": 2}),
        POLICY,
        T0,
    )
    assert isinstance(done, CaseEffects)
    return done.follows[0].model_copy(update={"case_id": "case-2"})


def refused(result: CaseEffects | Refusal) -> str:
    assert isinstance(result, Refusal)
    return result.problem


def done(result: CaseEffects | Refusal | None) -> CaseEffects:
    assert isinstance(result, CaseEffects), result
    return result


def order(kind: str = "freeze", state: str = "executed") -> Order:
    made = {"order_id": "ord-1", "kind": kind, "case_id": "case-2", "agency": QUEUE, "recipient": "bank-001", "state": state}
    return Order.model_validate({**made, "issued_by": "officer-a", "drafted_at": T0})


def clock(name: str, about: str | None, state: str = "open") -> Deadline:
    return Deadline(name=name, run=1, about=about, state=state, started_at=T0, due_at=after(hours=1))


def wish(kind: str, **over: Any) -> Action:
    return move(kind, case_id="case-2", **{"queue": QUEUE, **over})


class TestTransfer:
    def test_the_case_is_open_in_the_other_queue_and_is_acknowledged_anew(self) -> None:
        case = case_of("a", status=CaseStatus.CLAIMED, holder="officer-a", lease_until=T0, acknowledged_at=T0)
        found = done(transfer(wish("transfer", queue=OTHER), case, POLICY, T0))
        now = case.model_copy(update=found.changes)
        assert (now.queue, now.status, now.holder, now.acknowledged_at) == (OTHER, CaseStatus.OPEN, None, None)
        assert found.left_queue == QUEUE
        assert (found.called_off, found.starts) == (("acknowledge", "dispose"), (DeadlineStart("acknowledge", None),))
        assert now.transfers == (CaseTransfer(at=T0, transferred_by="officer-a", from_queue=QUEUE, to_queue=OTHER),)

    def test_only_to_another_queue_that_the_policy_knows(self) -> None:
        assert refused(transfer(wish("transfer"), case_of("a"), POLICY, T0)) == "already-in-queue"
        assert refused(transfer(wish("transfer", queue="public-security-110101"), case_of("a"), POLICY, T0)) == "unknown-queue"
        assert {QUEUE, OTHER} <= queues_of(POLICY)

    def test_the_newest_transfers_are_kept(self) -> None:
        old = tuple(
            CaseTransfer(at=after(minutes=n), transferred_by="officer-a", from_queue=OTHER, to_queue=QUEUE) for n in range(32)
        )
        found = done(transfer(wish("transfer", queue=OTHER), case_of("a", transfers=old), POLICY, T0))
        assert len(found.changes["transfers"]) == 32
        assert found.changes["transfers"][0] == old[1]


class TestMerge:
    def test_everything_goes_to_the_other_case_and_clocks_end(self) -> None:
        own = (clock("report", "bank-a"), clock("acknowledge", QUEUE), clock("warn", "bank-a", "stopped"))
        case = case_of("a", "b", deadlines=own, linked=("case-9",))
        found = done(merge(wish("merge", into_case_id="case-1"), case, POLICY, T0))
        now, (handed,) = case.model_copy(update=found.changes), found.follows
        assert (now.status, now.merged_into, now.signal_count, now.amount_minor) == (CaseStatus.MERGED, "case-1", 0, {})
        assert set(found.called_off) == {"report", "acknowledge"}
        assert (handed.case_id, handed.kind, handed.queue) == ("case-1", ActionKind.ABSORB, QUEUE)
        assert handed.portion is not None
        assert (handed.portion.signal_count, handed.portion.amount_minor) == (2, {"CNY": 2000})
        assert [one.name for one in handed.portion.deadlines] == ["report"]

    def test_asked_twice_it_hands_over_under_the_same_name(self) -> None:
        first, second = (done(merge(wish("merge", into_case_id="case-1"), case_of("a"), POLICY, T0)) for _ in range(2))
        assert first.follows[0].action_id == second.follows[0].action_id

    def test_two_cases_cannot_each_go_to_the_other(self) -> None:
        assert refused(merge(wish("merge", into_case_id="case-3"), case_of("a"), POLICY, T0)) == "merge-direction"
        assert refused(merge(wish("merge", into_case_id="case-2"), case_of("a"), POLICY, T0)) == "same-case"

    def test_a_merged_case_and_one_of_another_queue_are_not_merged(self) -> None:
        merged = case_of("a", status=CaseStatus.MERGED, merged_into="case-0")
        assert refused(merge(wish("merge", into_case_id="case-1"), merged, POLICY, T0)) == "case-merged"
        assert refused(merge(wish("merge", into_case_id="case-1", queue=OTHER), case_of("a"), POLICY, T0)) == "other-queue"

    def test_what_stands_keeps_a_case_apart(self) -> None:
        problem = merge(wish("merge", into_case_id="case-1"), case_of("a", orders=(order(),)), POLICY, T0)
        assert refused(problem) == "open-obligations"
        assert "order ord-1" in str(problem)


class TestSplit:
    def test_the_signals_go_to_a_new_case_and_the_rest_is_reckoned_anew(self) -> None:
        case = case_of("a", "b", "c").model_copy(update={"split_count": 2})
        found = done(split(wish("split", signals=("b",)), case, POLICY, T0))
        now, (handed,) = case.model_copy(update=found.changes), found.follows
        assert [one.signal_id for one in now.signals] == ["a", "c"]
        assert (now.signal_count, now.amount_minor, now.institutions) == (2, {"CNY": 2000}, ("bank-a", "bank-c"))
        assert (now.split_count, now.split_off) == (3, {"b": "case-2~3"})
        new = Case.trusted(**done(absorb(handed, None, POLICY, T0)).changes, revision=1, changed_at=T0)
        assert (new.case_id, new.queue, new.status, new.split_from) == ("case-2~3", QUEUE, CaseStatus.OPEN, "case-2")
        assert (new.signal_count, new.institutions, new.amount_minor, new.score) == (1, ("bank-b",), {"CNY": 1000}, 70)
        assert (new.primary_subject, new.primary_signal_id) == (new.signals[0].subjects[0], "b")
        assert Case.model_validate_json(new.model_dump_json()) == new

    def test_not_all_and_only_what_is_listed(self) -> None:
        case = case_of("a", "b")
        assert refused(split(wish("split", signals=("a", "b")), case, POLICY, T0)) == "no-signal-left"
        assert refused(split(wish("split", signals=("a", "z")), case, POLICY, T0)) == "unknown-signal"
        unlisted = case.model_copy(update={"signal_count": 3})
        assert done(split(wish("split", signals=("a", "b")), unlisted, POLICY, T0)).changes["signal_count"] == 1

    def test_a_case_is_not_split_without_end(self) -> None:
        full = {f"old-{n}": "case-2~1" for n in range(200)}
        assert refused(split(wish("split", signals=("a",)), case_of("a", "b", split_off=full), POLICY, T0)) == "split-too-often"

    def test_a_measure_about_the_signal_is_seen_in_both_cases(self) -> None:
        told = Measure(measure_id="m-1", institution="bank-b", kind="warned", done_at=T0, recorded_at=T0, signal_id="b")
        found = done(split(wish("split", signals=("b",)), case_of("a", "b", measures=(told,)), POLICY, T0))
        assert found.follows[0].portion is not None
        assert found.follows[0].portion.measures == (told,)
        assert "measures" not in found.changes


class TestAbsorb:
    def test_counts_amounts_and_signals_come_together(self) -> None:
        handed = done(merge(wish("merge", into_case_id="case-1"), case_of("a", "b"), POLICY, T0)).follows[0]
        case = case_of("c", case_id="case-1", merged_from=("case-7",))
        now = case.model_copy(update=done(absorb(handed, case, POLICY, T0)).changes)
        assert (now.signal_count, now.amount_minor) == (3, {"CNY": 3000})
        assert now.institutions == ("bank-a", "bank-b", "bank-c")
        assert now.merged_from == ("case-7", "case-2")
        assert now.tally.scores == {"70": 3}

    @pytest.mark.parametrize("status", [CaseStatus.DISPOSED, CaseStatus.CLOSED, CaseStatus.RETRACTED])
    def test_a_case_that_was_over_is_open_again(self, status: CaseStatus) -> None:
        handed = done(merge(wish("merge", into_case_id="case-1"), case_of("a"), POLICY, T0)).follows[0]
        found = done(absorb(handed, case_of("c", case_id="case-1", status=status, closed_at=T0), POLICY, T0))
        assert (found.changes["status"], found.changes["reopen_count"], found.changes["closed_at"]) == (CaseStatus.OPEN, 1, None)
        assert found.starts == (DeadlineStart("acknowledge", None),)

    def test_a_claimed_case_stays_its_holders(self) -> None:
        handed = done(merge(wish("merge", into_case_id="case-1"), case_of("a"), POLICY, T0)).follows[0]
        assert "status" not in done(absorb(handed, case_of("c", status=CaseStatus.CLAIMED), POLICY, T0)).changes

    def test_institutions_clocks_go_on_with_the_time_they_had(self) -> None:
        own = (clock("report", "bank-a"), clock("block", "bank-a"))
        handed = done(merge(wish("merge", into_case_id="case-1"), case_of("a", deadlines=own), POLICY, T0)).follows[0]
        target = case_of("c", case_id="case-1", deadlines=(clock("report", "bank-a"),))
        assert done(absorb(handed, target, POLICY, T0)).starts == (DeadlineStart("block", "bank-a", after(hours=1)),)

    def test_no_case_is_lost_because_the_other_is_not_there(self) -> None:
        case = case_of("a", "b")
        handed = done(merge(wish("merge", into_case_id="case-1"), case, POLICY, T0)).follows[0]
        new = Case.trusted(**done(absorb(handed, None, POLICY, T0)).changes, revision=1, changed_at=T0)
        assert (new.case_id, new.signal_count, new.primary_subject, new.merged_from) == (
            "case-1",
            2,
            case.primary_subject,
            ("case-2",),
        )

    def test_of_nothing_no_case_is_opened(self) -> None:
        empty = opened_case().model_copy(update={"case_id": "case-2", "signals": (), "signal_count": 0})
        handed = done(merge(wish("merge", into_case_id="case-1"), empty, POLICY, T0)).follows[0]
        assert refused(absorb(handed, None, POLICY, T0)) == "unknown-case"
        assert "status" not in done(absorb(handed, case_of("c", status=CaseStatus.DISPOSED), POLICY, T0)).changes

    def test_the_newest_signals_are_kept_of_both(self) -> None:
        old, new = (signal("old", accepted_at=T0), signal("new", accepted_at=after(minutes=1)))
        case = case_of("x", case_id="case-1").model_copy(update={"signals": (old,)})
        done_ = done(absorb(_portion(new, "case-9"), case, POLICY.model_copy(update={"case_signals_kept": 1}), T0))
        assert [one.signal_id for one in done_.changes["signals"]] == ["new"]
        assert done_.changes["signal_count"] == 2

    def test_a_case_of_large_signals_is_still_one_record(self) -> None:
        large = tuple(signal(f"s-{n}", narrative_sealed="x" * 30_000) for n in range(20))
        assert 1 < len(keep_evidence(large, 20)) < 14


class TestForward:
    def test_what_comes_for_a_merged_case_goes_on(self) -> None:
        merged = case_of("a", status=CaseStatus.MERGED, merged_into="case-1")
        for action in (join("case-2"), taken_back(signal("a"), "case-2")):
            sent = done(forward(action, merged)).follows[0]
            assert (sent.case_id, sent.action_id, sent.kind) == ("case-1", action.action_id, action.kind)
        assert forward(wish("claim"), merged) is None
        assert forward(join("case-2"), case_of("a")) is None

    def test_a_retraction_finds_the_case_that_its_signal_was_split_off_to(self) -> None:
        case = case_of("a", split_off={"b": "case-2~1"})
        sent = done(forward(taken_back(signal("b"), "case-2"), case)).follows[0]
        assert (sent.case_id, sent.visited_case_ids) == ("case-2~1", ("case-2~1",))
        assert forward(taken_back(signal("a"), "case-2"), case) is None

    def test_a_signal_that_came_back_is_here(self) -> None:
        case = case_of("a", "b", split_off={"b": "case-2~1"})
        back = taken_back(signal("b"), "case-2").model_copy(update={"visited_case_ids": ("case-2~1",)})
        assert forward(back, case) is None

    def test_a_correction_goes_where_the_signal_went_that_it_replaces(self) -> None:
        case = case_of("a", split_off={"b": "case-2~1"})
        corrected = done(forward(join("case-2", signal_id="b", version=2), case))
        assert corrected.follows[0].case_id == "case-2~1"
        assert corrected.changes["split_off"] == {"b": "case-2~1", "b/2": "case-2~1"}


class TestCloseAndReopen:
    def test_a_disposed_case_in_which_nothing_stands_is_closed(self) -> None:
        over = (order("request_information"), order("freeze", "released"))
        found = done(close(wish("close"), case_of("a", status=CaseStatus.DISPOSED, orders=over), POLICY, T0))
        assert found.changes == {"status": CaseStatus.CLOSED, "closed_at": T0, "closed_by": "officer-a"}
        assert refused(close(wish("close"), case_of("a"), POLICY, T0)) == "transition-not-allowed"

    def test_what_stands_is_named(self) -> None:
        person = subject(role="victim")
        reach = ({"party": "bank-001", "party_type": "bank"},)
        dissuasion = Dissuasion.model_validate(
            {"dissuasion_id": "t-1", "case_id": "c", "agency": QUEUE, "person": person, "reachable_by": reach, "state": "open"}
            | {"opened_at": T0, "changed_at": T0}
        )
        made = {"appeal_id": "o-1", "case_id": "c", "filed_through": "bank-001", "filed_at": T0, "changed_at": T0}
        appeal = Appeal.model_validate({**made, "state": "upheld"})
        case = case_of("a", status=CaseStatus.DISPOSED, orders=(order(),), dissuasions=(dissuasion,), appeals=(appeal,))
        assert list_standing(case) == ("order ord-1", "dissuasion t-1", "appeal o-1")
        assert refused(close(wish("close"), case, POLICY, T0)) == "open-obligations"
        settled = case.model_copy(update={"orders": (), "appeals": ()})
        settled = settled.model_copy(update={"dissuasions": (dissuasion.model_copy(update={"state": "dissuaded"}),)})
        assert list_standing(settled) == ()

    @pytest.mark.parametrize("status", [CaseStatus.DISPOSED, CaseStatus.CLOSED])
    def test_it_is_opened_again_for_a_reason(self, status: CaseStatus) -> None:
        case = case_of("a", status=status, closed_at=T0, closed_by="officer-a", acknowledged_at=T0)
        assert refused(reopen(wish("reopen", note_sealed=None), case, POLICY, T0)) == "note-required"
        found = done(reopen(wish("reopen", note_sealed="k1.note"), case, POLICY, T0))
        now = case.model_copy(update=found.changes)
        assert (now.status, now.reopen_count, now.closed_at, now.acknowledged_at) == (CaseStatus.OPEN, 1, None, None)
        assert (now.note_sealed, found.starts) == ("k1.note", (DeadlineStart("acknowledge", None),))
        assert refused(reopen(wish("reopen", note_sealed="k1.note"), case_of("a"), POLICY, T0)) == "transition-not-allowed"
