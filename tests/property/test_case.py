"""A case under any sequence of actions: its revision, its holder, what a refusal changes, and who may do what."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.cases import ActionKind, ActionOutcome, CaseStatus
from stream_processors.domain.case import LAPSED, TABLE, decide, open_moves, state_of
from tests.support.builders import POLICY, after, join, move

KINDS = sorted(kind.value for kind in ActionKind)
STEP = st.tuples(
    st.sampled_from(KINDS),
    st.sampled_from(["officer-a", "officer-b", "officer-c"]),
    st.sampled_from([None, 0, 0, 1, -1]),
    st.integers(0, 9),
    st.sampled_from([None, 1, 600, 10**6]),
    st.sampled_from([0, 1, 500, 4000]),
)


def _play(steps: list[Any]) -> list[tuple[Any, Any, Any]]:
    """(case before, action, change) of each step."""
    case, now, played = None, 0, []
    for number, (kind, officer, behind, name, lease_s, pause_s) in enumerate(steps):
        now += pause_s
        revision = None if behind is None or case is None else case.revision - behind
        if kind == "join":
            action = join(action_id=f"join-{number}", signal_id=f"sig-{number}", score=name * 10, institution=officer)
        else:
            action = move(kind, officer, action_id=f"act-{name}", revision=revision, lease_s=lease_s)
        change = decide(action=action, actor=officer, case=case, policy=POLICY, now=after(seconds=now))
        played.append((case, action, change))
        case = change.case or case
    return played


@given(st.lists(STEP, max_size=30))
def test_only_an_applied_action_changes_a_case_and_by_one_revision(steps: list[Any]) -> None:
    for before, action, change in _play(steps):
        if change.outcome is ActionOutcome.APPLIED:
            assert change.case.revision == change.revision == (before.revision if before else 0) + 1
            assert change.case.changed_at == change.at
        else:
            assert change.case is None
            assert change.outcome is ActionOutcome.ECHO or (change.why and change.problem)
        assert (change.action_id, change.case_id, change.kind) == (action.action_id, action.case_id, action.kind)


@given(st.lists(STEP, max_size=30))
def test_a_claimed_case_has_one_holder_and_no_other_has_any(steps: list[Any]) -> None:
    for _, _, change in _play(steps):
        case = change.case
        if case is not None:
            held = case.status is CaseStatus.CLAIMED
            assert (case.holder is not None) == (case.lease_until is not None) == held


@given(st.lists(STEP, max_size=30))
def test_nobody_moves_a_case_that_another_holds(steps: list[Any]) -> None:
    for before, action, change in _play(steps):
        if before is None or action.kind is ActionKind.JOIN or change.outcome is not ActionOutcome.APPLIED:
            continue
        if before.status is CaseStatus.CLAIMED and before.holder != action.officer:
            assert action.kind is ActionKind.CLAIM
            assert before.lease_until <= change.at


@given(st.lists(STEP, max_size=30))
def test_an_action_is_applied_once_and_a_stale_one_never(steps: list[Any]) -> None:
    applied = set()
    for before, action, change in _play(steps):
        if action.kind is ActionKind.JOIN or before is None:
            continue
        if action.action_id in applied:
            assert change.outcome is ActionOutcome.ECHO
        elif action.revision is not None and action.revision != before.revision:
            assert (change.outcome, change.problem) == (ActionOutcome.REFUSED, "stale-revision")
        if change.outcome is ActionOutcome.APPLIED:
            applied.add(action.action_id)


@given(st.lists(STEP, min_size=1, max_size=30))
def test_a_decision_depends_on_its_arguments_alone(steps: list[Any]) -> None:
    for before, action, change in _play(steps):
        again = decide(action=action, actor=change.actor, case=before, policy=POLICY, now=change.at)
        assert again == change


@given(st.lists(STEP, max_size=30))
def test_the_buttons_are_the_moves_of_the_table(steps: list[Any]) -> None:
    for before, _, change in _play(steps):
        state = state_of(before, change.at)
        assert set(open_moves(before, change.at)) == {kind.value for at, kind in TABLE if at == state}
        assert (state == LAPSED) == bool(before and before.lease_until and before.lease_until <= change.at)


@given(st.lists(STEP, max_size=40))
def test_sums_and_counts_are_those_of_all_joins(steps: list[Any]) -> None:
    joins, last = 0, None
    for _, action, change in _play(steps):
        joins += action.kind is ActionKind.JOIN
        last = change.case or last
    if last is not None:
        assert last.signal_count == joins
        assert len(last.signals) == min(joins, POLICY.case_signals_kept)
        assert last.amount_minor == {"CNY": 1_200_000 * joins}
