"""A case under any sequence of actions: its revision, its holder, what a refusal changes, and who may do what."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.cases.case import OFFICERS_ONLY, ActionKind, ActionOutcome, CaseStatus
from stream_processors.domain.cases import counters as tally
from stream_processors.domain.cases.decide import LAPSED, TABLE, decide, list_allowed, state_of
from tests.support.builders import POLICY, after, join, joined, move, taken_back

KINDS = sorted(kind.value for kind in (ActionKind.JOIN, ActionKind.RETRACT, *OFFICERS_ONLY))
FROM_ASSESS = (ActionKind.JOIN, ActionKind.RETRACT)
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
    case, now, played, live = None, 0, [], []
    for number, (kind, officer, behind, name, lease_s, pause_s) in enumerate(steps):
        now += pause_s
        revision = None if behind is None or case is None else case.revision - behind
        if kind == "join":
            money = {"amount_minor": 1000 * number or None, "currency": ["CNY", "USD"][number % 2]}
            action = join(action_id=f"join-{number}", signal_id=f"sig-{number}", score=name * 10, institution=officer, **money)
            live.append(action.signal)
        elif kind == "retract":
            if not live:
                continue
            action = taken_back(live.pop(name % len(live)))
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
            assert change.outcome is ActionOutcome.REDELIVERY or (change.detail and change.problem)
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
        if before is None or action.kind in FROM_ASSESS or change.outcome is not ActionOutcome.APPLIED:
            continue
        if before.status is CaseStatus.CLAIMED and before.holder != action.officer:
            assert action.kind is ActionKind.CLAIM
            assert before.lease_until <= change.at


@given(st.lists(STEP, max_size=30))
def test_an_action_is_applied_once_and_a_stale_one_never(steps: list[Any]) -> None:
    applied = set()
    for before, action, change in _play(steps):
        if action.kind in FROM_ASSESS or before is None:
            continue
        if action.action_id in applied:
            assert change.outcome is ActionOutcome.REDELIVERY
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
        assert set(list_allowed(before, change.at)) == {kind.value for at, kind in TABLE if at == state}
        assert (state == LAPSED) == bool(before and before.lease_until and before.lease_until <= change.at)


@given(st.lists(STEP, max_size=40))
def test_a_case_says_at_any_time_what_its_live_signals_say(steps: list[Any]) -> None:
    """While it hands none over to another (tests/property/test_case_structure.py)."""
    live: dict[str, Any] = {}
    for _, action, change in _play([step for step in steps if step[0] not in ("merge", "split")]):
        if action.kind is ActionKind.JOIN:
            live[action.signal.signal_id] = action.signal
        elif action.kind is ActionKind.RETRACT:
            del live[action.retracted_contribution.signal_id]
        if (case := change.case) is None:
            continue
        assert case.signal_count == len(live)
        assert case.score == max((one.score for one in live.values()), default=0)
        assert set(case.institutions) == {one.institution for one in live.values()}
        assert set(case.kinds) == {one.kind for one in live.values()}
        sums = {name: sum(one.amount_minor or 0 for one in live.values() if one.currency == name) for name in ("CNY", "USD")}
        assert case.amount_minor == {name: n for name, n in sums.items() if n}
        assert {one.signal_id for one in case.signals} <= set(live)
        assert live or case.status is not CaseStatus.CLAIMED
        assert not live or case.status is not CaseStatus.RETRACTED


@given(st.lists(STEP, max_size=40))
def test_the_newest_signals_are_kept_while_none_is_taken_back(steps: list[Any]) -> None:
    played = _play([step for step in steps if step[0] not in ("retract", "merge", "split")])
    joins = sum(action.kind is ActionKind.JOIN for _, action, _ in played)
    last = next((change.case for _, _, change in reversed(played) if change.case is not None), None)
    assert last is None or len(last.signals) == min(joins, POLICY.case_signals_kept)


AMOUNTS = st.tuples(st.sampled_from(["CNY", "USD", *(f"X{n:02}" for n in range(20))]), st.integers(0, 10**15))


@given(st.lists(AMOUNTS, max_size=40), st.data())
def test_what_is_cut_of_a_sum_is_never_less_than_what_is_live(amounts: list[tuple[str, int]], data: Any) -> None:
    """More currencies than are kept: the kept ones are never below their live signals, whichever were taken back."""
    signals = [joined(currency=currency, amount_minor=minor) for currency, minor in amounts]
    sums: dict[str, int] = {}
    for one in signals:
        sums = tally.money(sums, one)
    live = list(signals)
    for _ in range(data.draw(st.integers(0, len(signals)))):
        sums = tally.without(sums, live.pop(data.draw(st.integers(0, len(live) - 1))))
    for name, n in sums.items():
        assert n >= sum(one.amount_minor for one in live if one.currency == name)
    assert len(sums) <= tally.MOST_CURRENCIES
    if len({currency for currency, minor in amounts if minor}) < tally.MOST_CURRENCIES:
        left = {name: sum(one.amount_minor for one in live if one.currency == name) for name, _ in amounts}
        assert sums == {name: n for name, n in left.items() if n}
