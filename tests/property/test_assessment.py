"""An appraisal under any sequence of moves: a locked result never changes, and any change to one is seen."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.oversight.appraisals import (
    Appraisal,
    AppraisalMoveKind,
    AppraisalState,
    Ruling,
    SupervisionMoveKind,
    SupervisionState,
)
from stream_processors.domain.oversight import supervision
from stream_processors.domain.oversight.appraisal import TABLE, decide, verified
from tests.support.builders import after
from tests.support.scores import BODY, SIGNER, UNIT, VERIFIER, locked, move, step

STEP = st.tuples(
    st.sampled_from(["open", "publish", "dispute", "decide", "lock"]),
    st.booleans(),
    st.integers(0, 3),
    st.sampled_from([0, 1, 5, 40]),
    st.booleans(),
)


def _play(steps: list[Any]) -> list[tuple[Appraisal | None, Any, Any]]:
    """(before, move, change) of each step. It begins with an open appraisal, so that most steps mean something."""
    found = decide(move=move("open"), record=None, now=after()).record
    days, made = 0, []
    for kind, right, number, pause, again in steps:
        days += pause
        party = (UNIT if kind == "dispute" else BODY) if right else "somebody"
        over: dict[str, Any] = {} if again else {"action_id": f"{kind}-{len(made)}"}
        if kind == "publish":
            over["disputes_until"] = after(days=days + 10)
        if kind == "dispute" and number % 2:
            over["figure"] = "cases"
        one = move(kind, party, number, **over)
        change = decide(move=one, record=found, now=after(days=days), signer=SIGNER)
        made.append((found, one, change))
        found = change.record or found
    return made


@given(st.lists(STEP, max_size=20))
def test_a_locked_result_changes_never(steps: list[Any]) -> None:
    found = locked()
    for kind, right, number, pause, again in steps:
        one = move(kind, BODY if right else UNIT, number, **({} if again else {"action_id": f"n-{kind}-{number}"}))
        change = decide(move=one, record=found, now=after(days=31 + pause), signer=SIGNER)
        assert change.record is None
        assert change.echo or (change.refusal is not None and change.refusal.problem == "locked")
    assert verified(found, VERIFIER)


@given(st.lists(STEP, max_size=30))
def test_what_leads_to_a_lock_is_published_ruled_and_verified(steps: list[Any]) -> None:
    for before, one, change in _play(steps):
        after_it = change.record
        if after_it is None:
            assert change.echo or (change.refusal and change.refusal.why)
            continue
        assert after_it.revision == before.revision + 1
        assert after_it.state in TABLE[before.state, one.kind].to
        waiting = any(dispute.ruling is None for dispute in after_it.disputes)
        assert waiting == (after_it.state is AppraisalState.DISPUTED)
        assert (after_it.lock is not None) == (after_it.state is AppraisalState.LOCKED) == verified(after_it, VERIFIER)
        if after_it.state is AppraisalState.LOCKED:
            assert one.kind is AppraisalMoveKind.LOCK and after_it.lock.at >= after_it.disputes_until


@given(st.lists(STEP, max_size=30))
def test_the_buttons_are_the_moves_of_the_table(steps: list[Any]) -> None:
    for before, _, _ in _play(steps):
        assert set(TABLE.allowed(before.state, before)) == {kind.value for state, kind in TABLE if state is before.state}


@given(st.data())
def test_any_change_of_a_locked_result_is_seen(data: Any) -> None:
    """One figure, one word of a dispute, one time, or a part of the lock."""
    found = locked()
    dispute = found.disputes[0]
    changed: dict[str, Any] = {
        "year": 2024,
        "body": "another-body",
        "opened_at": after(minutes=1),
        "published_at": None,
        "disputes_until": after(days=29),
        "results": (found.results[0].model_copy(update={"figures": {**found.results[0].figures, "cases": 19}}),),
        "disputes": (dispute.model_copy(update={"claimed_value": 2, "ruling": Ruling.REJECTED}),),
        "lock": found.lock.model_copy(update={"digest": "sha-256:" + "0" * 64}),
    }
    names = data.draw(st.sets(st.sampled_from(sorted(changed)), min_size=1))
    assert not verified(found.model_copy(update={name: changed[name] for name in names}), VERIFIER)
    place = data.draw(st.integers(0, len(found.lock.signature) - 1))
    bent = found.lock.signature[:place] + ("A" if found.lock.signature[place] != "A" else "B") + found.lock.signature[place + 1 :]
    assert place == len(bent) - 1 or not verified(
        found.model_copy(update={"lock": found.lock.model_copy(update={"signature": bent})}), VERIFIER
    )


SUPERVISED = st.tuples(
    st.sampled_from([kind.value for kind in SupervisionMoveKind]), st.booleans(), st.sampled_from([0, 1, 5, 30])
)


@given(st.lists(SUPERVISED, max_size=25))
def test_a_measure_is_overdue_only_past_its_deadline_and_ends_once(steps: list[Any]) -> None:
    found, days, ended = None, 0, False
    for number, (kind, right, pause) in enumerate(steps):
        days += pause
        party = (UNIT if kind == "answer" else BODY) if right else "somebody"
        one = step(kind, party, action_id=f"m-{number}", answer_by=after(days=days + 7))
        change = supervision.decide(move=one, record=found, now=after(days=days))
        made = change.record
        if made is None:
            continue
        assert not ended, "nothing leads out of an end"
        if made.state is SupervisionState.OVERDUE:
            assert made.answer_by <= made.changed_at and made.missed_deadlines == found.missed_deadlines + 1
        assert made.revision == (found.revision + 1 if found else 1)
        assert made.missed_deadlines <= (made.revision + 1) // 2
        ended = made.ended_at is not None
        assert ended == (made.state in (SupervisionState.LIFTED, SupervisionState.WITHDRAWN))
        found = made
