"""The dissuasion in sentences: who is asked, who may call, what ends it, and its clock."""

from __future__ import annotations

import pytest

from schemas.dissuasion import ATTEMPTS_KEPT, Dissuasion
from schemas.notices import SAID, NotificationKind
from stream_processors.domain.dissuasion import CLOCK, MOST_MISSED, TABLE, DissuasionChange, decide
from stream_processors.domain.state_machine import DeadlineStart, DeadlineStop
from tests.support.builders import T0, after
from tests.support.order_builders import BANK, OFFICER, STAGE, ask, asked, dissuasion_event

TELECOM = "institution:telecom-001"


def do(dissuasion: Dissuasion, kind: str, actor: str = BANK, result: str | None = None, **over: object) -> DissuasionChange:
    return decide(dissuasion=dissuasion, event=dissuasion_event(kind, result, **over), actor=actor, now=T0)


def problem(change: DissuasionChange) -> str | None:
    return change.refused.problem if change.refused else None


def test_everybody_who_can_reach_the_person_is_asked_and_the_clock_runs() -> None:
    change = decide(dissuasion=None, event=ask(), actor=OFFICER, now=T0)
    assert change.dissuasion.state == "open"
    assert {one.recipient for one in change.notices} == {"bank-001", "telecom-001", "police-station-ledu"}
    assert {one.kind for one in change.notices} == {NotificationKind.DISSUASION}
    assert (change.starts, change.stops) == ((DeadlineStart(CLOCK, "dissuasion-1"),), ())


def test_one_takes_it_and_the_others_are_told_not_to_call() -> None:
    change = do(asked(), "take")
    assert (change.dissuasion.state, change.dissuasion.taken_by) == ("taken", "bank-001")
    assert {one.recipient for one in change.notices} == {"telecom-001", "police-station-ledu", "public-security-630202"}
    assert {one.kind for one in change.notices} == {NotificationKind.FEEDBACK}
    refused = do(change.dissuasion, "attempt", TELECOM, "not_reached")
    assert problem(refused) == "dissuasion-taken"
    assert "bank-001" not in refused.refused.why, "nobody learns who else can reach the person"


def test_whoever_is_not_asked_has_no_part_in_it() -> None:
    assert problem(do(asked(), "take", "institution:bank-002")) == "not-recipient"
    refused = do(asked(), "take", OFFICER)
    assert (problem(refused), refused.refused.allowed_transitions) == ("transition-not-allowed", ("cancel",))


def test_a_police_station_acts_by_its_officers() -> None:
    change = do(asked(), "attempt", OFFICER, "not_convinced", unit="police-station-ledu")
    assert change.dissuasion.taken_by == "police-station-ledu"
    assert (change.dissuasion.attempts[0].party, change.dissuasion.attempts[0].party_type) == (
        "police-station-ledu",
        "police_station",
    )


def test_whoever_calls_has_taken_it_and_what_came_of_it_is_kept() -> None:
    dissuasion = do(asked(), "attempt", result="hung_up").dissuasion
    assert (dissuasion.state, dissuasion.taken_by, dissuasion.attempt_count, dissuasion.first_attempt_at) == (
        "taken",
        "bank-001",
        1,
        T0,
    )
    over = do(dissuasion, "succeed", result="convinced", prevented_loss_minor=5_000_000, currency="CNY")
    assert (over.dissuasion.state, over.dissuasion.outcome, over.dissuasion.prevented_loss_minor) == (
        "dissuaded",
        "dissuaded",
        5_000_000,
    )
    assert (over.starts, over.stops) == ((), (DeadlineStop(CLOCK, "dissuasion-1"),))


@pytest.mark.parametrize(("kind", "result"), [("succeed", "hung_up"), ("attempt", "convinced"), ("attempt", None)])
def test_a_convinced_person_is_a_success_and_nothing_else_is(kind: str, result: str | None) -> None:
    assert problem(do(asked(), kind, result=result)) in ("result-mismatch", "attempt-missing")


def test_an_attempt_was_made_after_it_was_asked_for() -> None:
    assert problem(do(asked(), "attempt", result="hung_up", at=after(hours=-1))) == "time-out-of-range"
    assert problem(do(asked(), "attempt", result="hung_up", at=after(hours=1))) == "time-out-of-range"


def test_it_ends_without_success_only_with_a_reason() -> None:
    dissuasion = do(asked(), "take").dissuasion
    assert problem(do(dissuasion, "give_up")) == "reason-missing"
    assert problem(do(dissuasion, "give_up", outcome="dissuaded")) == "reason-missing"
    assert do(dissuasion, "give_up", outcome="paid").dissuasion.state == "not_dissuaded"


def test_nobody_stepped_in_time_and_it_is_everybodys_again() -> None:
    dissuasion = do(asked(), "take").dissuasion
    change = do(dissuasion, "due", STAGE)
    assert (change.dissuasion.state, change.dissuasion.taken_by, change.dissuasion.missed_deadlines) == ("open", None, 1)
    assert ("public-security-630202", NotificationKind.FEEDBACK) in {(one.recipient, one.kind) for one in change.notices}
    assert do(change.dissuasion, "take", TELECOM).dissuasion.taken_by == "telecom-001"


def test_its_clock_does_not_run_for_ever() -> None:
    dissuasion = asked()
    for _ in range(MOST_MISSED):
        change = do(dissuasion, "due", STAGE)
        dissuasion = change.dissuasion
    assert change.starts == ()


def test_it_may_be_given_back_and_called_off() -> None:
    dissuasion = do(asked(), "take").dissuasion
    assert problem(do(dissuasion, "give_back", TELECOM)) == "dissuasion-taken"
    assert do(dissuasion, "give_back").dissuasion.state == "open"
    assert do(dissuasion, "cancel", OFFICER).dissuasion.outcome == "not_at_risk"


def test_the_newest_attempts_are_kept_and_all_are_counted() -> None:
    dissuasion = asked()
    for _ in range(ATTEMPTS_KEPT + 3):
        dissuasion = do(dissuasion, "attempt", result="not_reached").dissuasion
    assert (len(dissuasion.attempts), dissuasion.attempt_count) == (ATTEMPTS_KEPT, ATTEMPTS_KEPT + 3)


def test_one_party_that_tries_again_and_again_leaves_the_attempts_of_others() -> None:
    dissuasion = do(do(asked(), "attempt", TELECOM, result="hung_up").dissuasion, "give_back", TELECOM).dissuasion
    for _ in range(ATTEMPTS_KEPT + 3):
        dissuasion = do(dissuasion, "attempt", result="not_reached").dissuasion
    assert [attempt.party for attempt in dissuasion.attempts] == ["telecom-001", *["bank-001"] * (ATTEMPTS_KEPT - 1)]


def test_a_dissuasion_is_read_back_as_it_was_written_and_every_notice_has_its_sentence() -> None:
    dissuasion = do(asked(), "attempt", result="hung_up").dissuasion
    assert Dissuasion.model_validate_json(dissuasion.model_dump_json()) == dissuasion
    assert {row.detail for row in TABLE.values()} <= set(SAID)
