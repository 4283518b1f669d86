"""Data requests and campaigns, and the one entrance to all that the coordination body does."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from schemas.cases.case import ActionOutcome
from schemas.oversight.appraisals import SupervisionState
from schemas.oversight.oversight import DataState, OversightAction
from stream_processors.domain.oversight.dispatch import decide, overdue
from stream_processors.domain.scorecards import contributions
from tests.support.builders import T0, after
from tests.support.oversight import action_of, ask, campaign
from tests.support.scores import BODY, MONTH, SIGNER, UNIT, folded, move, of, step


def played(*moves: Any) -> tuple[Any, list[Any]]:
    """(the record, all changes) of moves at a number of days each."""
    record, changes = None, []
    for one, days in moves:
        change = decide(action=action_of(one), actor="x", record=record, now=after(days=days), signer=SIGNER)
        changes.append(change)
        record = change.record or record
    return record, changes


def refused(*moves: Any) -> str:
    _, changes = played(*moves)
    assert changes[-1].outcome is ActionOutcome.REFUSED and changes[-1].record is None
    return changes[-1].problem


def test_data_that_were_handed_in_count_when_they_were_due() -> None:
    record, changes = played((ask(), 0), (ask("submit", UNIT), 5))
    assert record.state is DataState.SUBMITTED and record.submitted_at == after(days=5)
    assert of(folded(changes[0]), UNIT) == {"data_open": 1}
    assert of(folded(*changes), UNIT, MONTH) == {"data_in_time": 1}


@pytest.mark.parametrize(
    "moves, figure",
    [
        (((ask(), 0), (ask("submit", UNIT), 11)), "data_late"),
        (((ask(), 0), (ask("extend"), 1), (ask("submit", UNIT), 11)), "data_in_time"),
        (((ask(), 0), (ask("record_finding", finding="refused"), 11)), "data_refused"),
        (((ask(), 0), (ask("submit", UNIT), 5), (ask("record_finding", finding="concealed"), 6)), "data_concealed"),
        (((ask(), 0), (ask("record_finding"), 11), (ask("clear_finding"), 12), (ask("submit", UNIT), 13)), "data_late"),
        (
            ((ask(), 0), (ask("record_finding"), 11), (ask("record_finding", finding="refused", action_id="again"), 12)),
            "data_refused",
        ),
        (((ask(), 0), (ask("submit", UNIT), 5), (ask("submit", UNIT, action_id="again"), 12)), "data_in_time"),
    ],
)
def test_what_became_of_data_is_what_counts_in_the_end(moves: Any, figure: str) -> None:
    assert of(folded(*played(*moves)[1]), UNIT) == {figure: 1}


def test_a_request_that_was_withdrawn_counts_for_nobody() -> None:
    assert folded(*played((ask(), 0), (ask("withdraw"), 1))[1]) == {}


def test_who_may_not_or_comes_too_early_is_refused() -> None:
    assert refused((ask(), 0), (ask("submit", "somebody-else"), 1)) == "forbidden"
    assert refused((ask(), 0), (ask("record_finding", UNIT), 11)) == "forbidden"
    assert refused((ask(), 0), (ask("record_finding"), 9)) == "not-due"
    assert refused((ask(due_at=T0), 0)) == "invalid-command"
    assert refused((ask("submit", UNIT), 0)) == "not-found"
    assert refused((ask(), 0), (ask("withdraw"), 1), (ask("submit", UNIT), 2)) == "transition-not-allowed"
    assert refused((ask(), 0), (ask("withdraw", revision=7), 1)) == "stale-revision"


def test_a_campaign_counts_as_it_was_last_told() -> None:
    again = campaign(action_id="tell-2", people_reached=900)
    record, changes = played((campaign(), 0), (again, 1))
    assert (record.revision, record.people_reached) == (2, 900)
    assert of(folded(*changes), "bank-001") == {"campaigns": 1, "campaign_reached": 900}
    assert folded(*played((campaign(), 0), (again, 1), (campaign("withdraw"), 2))[1]) == {}


def test_a_campaign_is_its_institutions_alone_and_lies_behind_it() -> None:
    assert refused((campaign(), 0), (campaign(party="bank-002", action_id="t"), 1)) == "not-found"
    assert refused((campaign(held_at=after(days=1)), 0)) == "invalid-command"
    assert refused((campaign("withdraw"), 0)) == "not-found"
    assert refused((campaign(), 0), (campaign("withdraw"), 1), (campaign(action_id="t"), 2)) == "transition-not-allowed"


@pytest.mark.parametrize("first", [ask(), campaign(), step("issue"), move("open")])
def test_the_same_move_again_is_an_echo(first: Any) -> None:
    _, changes = played((first, 0), (first, 1))
    assert [one.outcome for one in changes] == ["applied", "redelivery"]
    assert changes[1].record is None and contributions(changes[1]) == []


def test_a_deadline_that_ran_out_is_said_by_the_next_move_and_once() -> None:
    record, _ = played((step("issue"), 0))
    assert not overdue(record, after(days=9)) and overdue(record, after(days=10))
    record, _ = played((step("issue"), 0), (step("answer", UNIT, revision=1), 11))
    assert (record.state, record.late, record.missed_deadlines, record.revision) == (SupervisionState.ANSWERED, True, 1, 3)
    record, _ = played((step("issue"), 0), (step("extend", revision=1), 11), (step("answer", UNIT), 19))
    assert (record.missed_deadlines, record.late) == (1, False)
    assert refused((step("issue"), 0), (step("answer", UNIT, revision=5), 11)) == "stale-revision"


def test_a_year_is_locked_with_the_signature_of_the_stage() -> None:
    record, _ = played((move("open"), 0), (move("publish"), 1), (move("lock"), 40))
    assert record.lock is not None and record.lock.key_id == SIGNER.key_id
    alone = decide(action=action_of(move("lock", number=2)), actor="x", record=played((move("open"), 0), (move("publish"), 1))[0],
                   now=after(days=40))  # fmt: skip
    assert alone.problem == "no-signer"


@pytest.mark.parametrize(
    "fields",
    [
        {"about": "data:dat-1"},
        {"about": "data:other", "data": ask()},
        {"about": "campaign:dat-1", "data": ask()},
        {"about": "data:dat-1", "data": ask(), "campaign": campaign()},
    ],
)
def test_an_action_is_one_move_about_what_the_move_is_about(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OversightAction(**fields)
    assert BODY
