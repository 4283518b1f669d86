"""Feedback, early warnings and take-back notices under any sequence of actions: by counting everything anew."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.cases.case import Case
from schemas.feedback import Feedback
from stream_processors.domain.cases import decide as loop
from stream_processors.domain.notifications.early_warning import early_warning
from stream_processors.domain.notifications.feedback import Handling, feedback, seen_of
from stream_processors.domain.notifications.reversals import Executed, taken_back
from tests.support.builders import POLICY, after, join, move
from tests.support.builders import taken_back as retract

SENDERS = ["bank-a", "bank-b", "telecom-1", "public"]
SMALL = POLICY.model_copy(update={"case_signals_kept": 3})
STEP = st.tuples(
    st.sampled_from(["join", "join", "join", "retract", "claim", "release", "dispose", "act"]),
    st.sampled_from(SENDERS),
    st.integers(0, 9),
)


def _play(steps: list[Any]) -> list[tuple[str, str, Case | None, Handling, Case, Handling]]:
    """(what, who, case and handling before, after) of each step that changed anything."""
    case, handling, played, live = None, Handling(), [], []
    for n, (what, who, number) in enumerate(steps):
        changed, acts = case, handling.acts
        if what == "act":
            if case is None:
                continue
            acts = acts | {f"act-{number % 3}"}
        else:
            if what == "join":
                trust = "low" if who == "public" else None
                times = {"accepted_at": after(minutes=n), "trust": trust}
                action = join(signal_id=f"sig-{n}", action_id=f"join-{n}", institution=who, **times)
                live.append(action.signal)
            elif what == "retract":
                if not live:
                    continue
                action = retract(live.pop(number % len(live)))
            else:
                action = move(what, action_id=f"act-{n}")
            changed = loop.decide(action=action, actor=who, case=case, policy=SMALL, now=after(minutes=n)).case
            if changed is None:
                continue
        assert changed is not None
        now = Handling(seen_of(handling.seen, changed), acts, {"CNY": 100 * len(acts)})
        played.append((what, who, case, handling, changed, now))
        case, handling = changed, now
    return played


@given(st.lists(STEP, max_size=25))
def test_a_sender_that_keeps_the_last_feedback_knows_what_the_case_says_of_its_signal(steps: list[Any]) -> None:
    """Folding what was told is the same as reckoning anew from the case."""
    known: dict[str, Feedback] = {}
    for _, _, before, was, case, handling in _play(steps):
        for one in feedback(before, case, was=was, handling=handling):
            assert isinstance(one.payload, Feedback)
            if one.payload.signal_id is not None:
                assert known.get(one.payload.signal_id) != one.payload, "the same was told twice"
                known[one.payload.signal_id] = one.payload
        for signal in case.signals:
            if signal.trust == "low":
                assert signal.signal_id not in known
                continue
            said = known.get(signal.signal_id, Feedback(case_id=case.case_id, signal_id=signal.signal_id))
            live = {one for one in case.institutions if one != signal.institution}
            assert said.corroborated_by == len(live)
            assert set(said.actions_taken) == handling.acts
            assert said.prevented_loss_minor == ({"CNY": 100 * len(handling.acts)} if handling.acts else {})
            assert said.reviewed == (signal.signal_id in handling.seen or case.status == "disposed")


@given(st.lists(STEP, max_size=25))
def test_nobody_is_told_a_name(steps: list[Any]) -> None:
    for what, _, before, was, case, handling in _play(steps):
        told = list(feedback(before, case, was=was, handling=handling))
        told += early_warning(before, case, holders={"bank-z"}) if what == "join" else ()
        if what == "retract":
            told += taken_back(case, change="retraction", executed=[Executed("bank-z", "freeze", "o-1", 5, "CNY")], warned=set())
        assert "public" not in {one.recipient for one in told}
        for one in told:
            text = one.payload.model_dump_json()
            own = {signal.signal_id for signal in case.signals if signal.institution == one.recipient}
            assert not any(f'"{name}"' in text for name in SENDERS)
            assert not any(f'"{name}"' in text for name in {signal.signal_id for signal in case.signals} - own)


@given(st.lists(STEP, max_size=25))
def test_whoever_reported_or_holds_is_warned_exactly_when_more_others_report(steps: list[Any]) -> None:
    for what, who, before, _, case, _ in _play(steps):
        if what != "join":
            continue
        told = {one.recipient: one.payload for one in early_warning(before, case, holders={"bank-z"})}
        first = who != "public" and (before is None or who not in before.institutions)
        concerned = ({*(before.institutions if before else ()), "bank-z"} - {who}) if first else set()
        assert set(told) == concerned
        for recipient, data in told.items():
            assert data.other_institutions == len({one for one in case.institutions if one != recipient})


DONE = st.lists(
    st.tuples(st.sampled_from(SENDERS[:3]), st.sampled_from(["stop_payment", "freeze", "warned", "request"]), st.integers(0, 9)),
    max_size=6,
)


@given(st.lists(STEP, min_size=1, max_size=12), DONE, st.dictionaries(st.integers(0, 5), st.integers(0, 12)))
def test_everybody_concerned_is_told_once_and_no_more_is_released_than_was_held(
    steps: list[Any], done: list[Any], still: dict[int, int]
) -> None:
    executed = [Executed(who, did, f"order-{n}", minor, "CNY") for n, (who, did, minor) in enumerate(done)]
    for _, _, _, _, case, _ in _play(steps):
        supported = {f"order-{n}": minor for n, minor in still.items()}
        told = taken_back(case, change="retraction", executed=executed, warned={"bank-w"}, supported_minor=supported)
        mine = [one for one in told if one.recipient != case.queue]
        assert sorted(one.recipient for one in mine) == sorted({"bank-w", *(one.institution for one in executed)})
        held = {one.order_id: one.amount_minor or 0 for one in executed}
        proposed = [undo for one in told for undo in one.payload.proposed_orders]
        own = [undo for one in mine for undo in one.payload.reversals]
        assert not (own and case.signal_count), "a part would tell what the reports that are left name"
        if not case.signal_count:
            assert sorted(f"{undo}" for undo in own if undo.order_id) == sorted(f"{undo}" for undo in proposed)
        for undo in proposed:
            left = held[undo.order_id] - undo.amount_minor
            assert left == (min(held[undo.order_id], supported.get(undo.order_id, 0)) if case.signal_count else 0)
