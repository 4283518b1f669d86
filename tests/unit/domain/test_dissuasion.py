"""The dissuasion task in sentences: who is asked, who may call, what ends it, and its clock."""

from __future__ import annotations

import pytest

from schemas.dissuasion import ATTEMPTS_KEPT, Task
from schemas.notices import SAID, NoticeKind
from stream_processors.domain import dissuasion
from stream_processors.domain.dissuasion import CLOCK, MOST_MISSED, TaskChange
from stream_processors.domain.state_machine import ClockStart, ClockStop
from tests.support.builders import T0, after
from tests.support.order_builders import BANK, OFFICER, STAGE, ask, asked, task_event

TELECOM = "institution:telecom-001"


def do(task: Task, kind: str, actor: str = BANK, result: str | None = None, **over: object) -> TaskChange:
    return dissuasion.decide(task=task, event=task_event(kind, result, **over), actor=actor, now=T0)


def problem(change: TaskChange) -> str | None:
    return change.refused.problem if change.refused else None


def test_everybody_who_can_reach_the_person_is_asked_and_the_clock_runs() -> None:
    change = dissuasion.decide(task=None, event=ask(), actor=OFFICER, now=T0)
    assert change.task.state == "open"
    assert {one.recipient for one in change.notices} == {"bank-001", "telecom-001", "police-station-ledu"}
    assert {one.kind for one in change.notices} == {NoticeKind.TASK}
    assert (change.starts, change.stops) == ((ClockStart(CLOCK, "task-1"),), ())


def test_one_takes_it_and_the_others_are_told_not_to_call() -> None:
    change = do(asked(), "take")
    assert (change.task.state, change.task.taken_by) == ("taken", "bank-001")
    assert {one.recipient for one in change.notices} == {"telecom-001", "police-station-ledu", "public-security-630202"}
    assert {one.kind for one in change.notices} == {NoticeKind.FEEDBACK}
    refused = do(change.task, "try", TELECOM, "not_reached")
    assert problem(refused) == "taken"
    assert "bank-001" not in refused.refused.why, "nobody learns who else can reach the person"


def test_whoever_is_not_asked_has_no_part_in_it() -> None:
    assert problem(do(asked(), "take", "institution:bank-002")) == "not-recipient"
    refused = do(asked(), "take", OFFICER)
    assert (problem(refused), refused.refused.moves) == ("not-allowed", ("cancel",))


def test_a_police_station_acts_by_its_officers() -> None:
    change = do(asked(), "try", OFFICER, "not_convinced", unit="police-station-ledu")
    assert change.task.taken_by == "police-station-ledu"
    assert (change.task.attempts[0].party, change.task.attempts[0].way) == ("police-station-ledu", "police_station")


def test_whoever_calls_has_taken_it_and_what_came_of_it_is_kept() -> None:
    task = do(asked(), "try", result="hung_up").task
    assert (task.state, task.taken_by, task.tries, task.first_tried_at) == ("taken", "bank-001", 1, T0)
    over = do(task, "succeed", result="convinced", saved_minor=5_000_000, currency="CNY")
    assert (over.task.state, over.task.outcome, over.task.saved_minor) == ("dissuaded", "dissuaded", 5_000_000)
    assert (over.starts, over.stops) == ((), (ClockStop(CLOCK, "task-1"),))


@pytest.mark.parametrize(("kind", "result"), [("succeed", "hung_up"), ("try", "convinced"), ("try", None)])
def test_a_convinced_person_is_a_success_and_nothing_else_is(kind: str, result: str | None) -> None:
    assert problem(do(asked(), kind, result=result)) in ("result-differs", "attempt-missing")


def test_an_attempt_was_made_after_it_was_asked_for() -> None:
    assert problem(do(asked(), "try", result="hung_up", at=after(hours=-1))) == "impossible-time"
    assert problem(do(asked(), "try", result="hung_up", at=after(hours=1))) == "impossible-time"


def test_it_ends_without_success_only_with_a_reason() -> None:
    task = do(asked(), "take").task
    assert problem(do(task, "give_up")) == "reason-missing"
    assert problem(do(task, "give_up", outcome="dissuaded")) == "reason-missing"
    assert do(task, "give_up", outcome="paid").task.state == "not_dissuaded"


def test_nobody_stepped_in_time_and_it_is_everybodys_again() -> None:
    task = do(asked(), "take").task
    change = do(task, "due", STAGE)
    assert (change.task.state, change.task.taken_by, change.task.missed) == ("open", None, 1)
    assert ("public-security-630202", NoticeKind.FEEDBACK) in {(one.recipient, one.kind) for one in change.notices}
    assert do(change.task, "take", TELECOM).task.taken_by == "telecom-001"


def test_its_clock_does_not_run_for_ever() -> None:
    task = asked()
    for _ in range(MOST_MISSED):
        change = do(task, "due", STAGE)
        task = change.task
    assert change.starts == ()


def test_it_may_be_given_back_and_called_off() -> None:
    task = do(asked(), "take").task
    assert problem(do(task, "give_back", TELECOM)) == "taken"
    assert do(task, "give_back").task.state == "open"
    assert do(task, "cancel", OFFICER).task.outcome == "not_at_risk"


def test_the_newest_attempts_are_kept_and_all_are_counted() -> None:
    task = asked()
    for _ in range(ATTEMPTS_KEPT + 3):
        task = do(task, "try", result="not_reached").task
    assert (len(task.attempts), task.tries) == (ATTEMPTS_KEPT, ATTEMPTS_KEPT + 3)


def test_one_party_that_tries_again_and_again_leaves_the_attempts_of_others() -> None:
    task = do(do(asked(), "try", TELECOM, result="hung_up").task, "give_back", TELECOM).task
    for _ in range(ATTEMPTS_KEPT + 3):
        task = do(task, "try", result="not_reached").task
    assert [attempt.party for attempt in task.attempts] == ["telecom-001", *["bank-001"] * (ATTEMPTS_KEPT - 1)]


def test_a_task_is_read_back_as_it_was_written_and_every_notice_has_its_sentence() -> None:
    task = do(asked(), "try", result="hung_up").task
    assert Task.model_validate_json(task.model_dump_json()) == task
    assert {row.detail for row in dissuasion.TABLE.values()} <= set(SAID)
