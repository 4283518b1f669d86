"""An appeal in sentences: who may do what, what it needs, which clocks run, who is told."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.appeals import Appeal, AppealMove, AppealRequest, AppealState
from stream_processors.domain.appeals import APPEAL, RELEASE, TABLE, WRITTEN_NOTICE, Around, Decided, decide, list_allowed
from stream_processors.domain.notifications.reversals import Executed
from tests.support.builders import POLICY, T0, after

AGENCY = "public-security-630202"
DONE = (
    Executed("bank-b", "stop_payment", "order-1", 500, "CNY"),
    Executed("telecom-1", "number_suspension", "order-2"),
    Executed("bank-b", "freeze", "order-3", 100, "CNY"),
)
AROUND = Around(AGENCY, DONE, frozenset({"officer-a"}))


def asked(move: str, party: str = AGENCY, officer: str | None = None, **over: Any) -> AppealRequest:
    fields: dict[str, Any] = {"request_id": f"req-{move}-{party}", "appeal_id": "obj-1", "case_id": "case-1"}
    if party == AGENCY:
        officer = officer or "officer-b"
    if move in ("uphold", "reject"):
        fields["text_sealed"] = "reasons"
    return AppealRequest.model_validate({**fields, "action": move, "party": party, "officer": officer, **over})


def done(appeal: Appeal | None, request: AppealRequest, around: Around = AROUND) -> Decided:
    return decide(request=request, appeal=appeal, around=around, now=after(hours=1))


def at(state: str, around: Around = AROUND, **lodging: Any) -> Appeal:
    """An appeal that came by bank-a and was brought to the state."""
    ways = {
        "filed": [],
        "notice_given": ["notice"],
        "upheld": ["notice", "uphold"],
        "rejected": ["notice", "reject"],
        "released": ["notice", "uphold", "release"],
    }
    found = decide(request=asked("file", "bank-a", **lodging), appeal=None, around=around, now=T0).appeal
    for move in ways[state]:
        found = done(found, asked(move), around).appeal
    assert found is not None and found.state == state
    return found


def whom(decided: Decided) -> dict[str, tuple[Any, ...]]:
    return {one.recipient: (one.payload.requested_action, one.payload.orders) for one in decided.notifications}  # type: ignore[union-attr]


def test_an_institution_lodges_it_and_the_agency_is_asked_for_the_written_notice() -> None:
    decided = done(None, asked("file", "bank-a", orders=["order-1"], text_sealed="words"))
    found = decided.appeal
    assert found is not None and (found.state, found.filed_through, found.filed_at) == ("filed", "bank-a", after(hours=1))
    assert (decided.started, decided.stopped) == ((WRITTEN_NOTICE, APPEAL), ())
    assert whom(decided) == {AGENCY: ("give_notice", ("order-1",)), "bank-a": ("none", ())}


def test_an_agency_may_be_the_door_too_and_is_told_once() -> None:
    decided = done(None, asked("file"))
    assert decided.appeal is not None and decided.appeal.filed_through == AGENCY
    assert [one.recipient for one in decided.notifications] == [AGENCY]


def test_there_must_be_something_to_object_to() -> None:
    nothing = done(None, asked("file", "bank-a"), Around(AGENCY))
    assert nothing.refusal is not None and nothing.refusal.problem == "nothing-to-appeal"
    unknown = done(None, asked("file", "bank-a", orders=["order-9"]))
    assert unknown.refusal is not None and unknown.refusal.problem == "unknown-order"


@pytest.mark.parametrize("party", ["bank-a", AGENCY])
def test_the_door_or_the_agency_gives_the_written_notice(party: str) -> None:
    decided = done(at("filed"), asked("notice", party, text_sealed="notice"))
    assert decided.appeal is not None and decided.appeal.notice_given_at == after(hours=1)
    assert (decided.appeal.notice_sealed, decided.appeal.reasons_sealed) == ("notice", None)
    assert decided.stopped == (WRITTEN_NOTICE,) and whom(decided)[AGENCY][0] == "decide"


@pytest.mark.parametrize("move", ["uphold", "reject"])
def test_only_another_officer_of_the_agency_decides_and_gives_reasons(move: str) -> None:
    noticed = at("notice_given")
    for party in ("bank-a", "bank-b"):
        refused = done(noticed, asked(move, party)).refusal
        assert refused is not None and refused.problem == "forbidden"
    own = done(noticed, asked(move, officer="officer-a")).refusal
    assert own is not None and own.problem == "conflict-of-interest"
    silent = done(noticed, asked(move, text_sealed=None)).refusal
    assert silent is not None and silent.problem == "reasons-missing"
    decided = done(noticed, asked(move))
    assert decided.appeal is not None and decided.appeal.decided_by == "officer-b"
    assert (decided.stopped, decided.started) == ((APPEAL,), (RELEASE,) if move == "uphold" else ())


def test_whoever_executed_something_hears_the_decision_with_its_own_orders() -> None:
    told = whom(done(at("notice_given"), asked("reject")))
    assert told == {
        "bank-b": ("none", ("order-1", "order-3")),
        "telecom-1": ("none", ("order-2",)),
        "bank-a": ("none", ()),
    }


def test_a_release_asks_exactly_those_who_executed_what_is_objected_to() -> None:
    decided = done(at("upheld", orders=["order-3"]), asked("release"))
    assert decided.appeal is not None and decided.appeal.pending_parties == ("bank-b",)
    assert whom(decided) == {"bank-b": ("confirm", ("order-3",)), "bank-a": ("none", ())}


def test_it_ends_when_the_last_executor_has_released_and_not_before() -> None:
    released = at("released")
    first = done(released, asked("confirm", "bank-b"))
    assert first.appeal is not None and (first.appeal.state, first.stopped) == ("released", ())
    assert whom(first) == {AGENCY: ("none", ())}
    last = done(first.appeal, asked("confirm", "telecom-1"))
    assert last.appeal is not None and last.appeal.confirmed_parties == ("bank-b", "telecom-1")
    assert (last.appeal.state, last.appeal.completed_at, last.stopped) == ("completed", after(hours=1), (RELEASE,))
    assert set(whom(last)) == {AGENCY, "bank-a"}


def test_a_release_that_nobody_has_to_execute_any_more_is_propagated_at_once() -> None:
    decided = done(at("upheld"), asked("release"), Around(AGENCY))
    assert decided.appeal is not None and decided.appeal.state == "completed"
    assert decided.stopped == (RELEASE,)


def test_a_confirmation_of_somebody_who_executed_nothing_or_again_is_refused() -> None:
    released = at("released")
    for party in ("bank-a", "bank-z", AGENCY):
        refused = done(released, asked("confirm", party)).refusal
        assert refused is not None and refused.problem == "forbidden"
    once = done(released, asked("confirm", "bank-b")).appeal
    again = done(once, asked("confirm", "bank-b", request_id="req-new")).refusal
    assert again is not None


def test_a_request_that_comes_again_is_an_echo() -> None:
    noticed = at("notice_given")
    assert done(noticed, asked("notice")) == Decided()


def test_a_refusal_names_the_moves_that_are_open() -> None:
    refused = done(at("upheld"), asked("reject")).refusal
    assert refused is not None and refused.why.endswith("actions allowed now: release")
    assert (refused.problem, refused.allowed_transitions) == ("transition-not-allowed", ("release",))
    assert list_allowed("bank-a", None, at("rejected"), AROUND) == ()


def test_every_move_and_state_stands_in_the_table_and_every_clock_in_the_policy() -> None:
    assert {move for _, move in TABLE} == set(AppealMove)
    assert {state for row in TABLE.values() for state in row.to} == set(AppealState)
    clocks = {name for row in TABLE.values() for name in (*row.detail.started, *row.detail.stopped)}
    assert clocks == {WRITTEN_NOTICE, APPEAL, RELEASE} <= {clock.name for clock in POLICY.deadlines.rules}
