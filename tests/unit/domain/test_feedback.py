"""What senders and holders are told in sentences: feedback, early warning, a report that was taken back."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.cases.case import Case
from schemas.feedback import Feedback
from schemas.signals.submission import SignalKind
from stream_processors.domain.cases import decide as loop
from stream_processors.domain.notifications.early_warning import early_warning
from stream_processors.domain.notifications.feedback import Handling, feedback, others, seen_of
from stream_processors.domain.notifications.notification import NotificationDraft
from stream_processors.domain.notifications.reversals import REVERSALS, Executed, taken_back
from stream_processors.views.allowed_actions import feedback_of
from tests.support.builders import POLICY, after, join, joined, move
from tests.support.builders import taken_back as retract

SECRET = "bank-b"


def played(*actions: Any, case: Case | None = None, minute: int = 1) -> Any:
    """The case after the actions, one a minute."""
    for n, action in enumerate(actions):
        change = loop.decide(action=action, actor="x", case=case, policy=POLICY, now=after(minutes=minute + n))
        assert change.case is not None, change.detail
        case = change.case
    return case


def one(institution: str, number: int = 1, **over: Any) -> Any:
    return join(
        signal_id=f"sig-{institution}-{number}", action_id=f"join-{institution}-{number}", institution=institution, **over
    )


def said(told: tuple[NotificationDraft, ...]) -> dict[tuple[str, str], Any]:
    about = {(one.recipient, getattr(one.payload, "signal_id", None) or one.payload.case_id): one.payload for one in told}
    assert len(about) == len(told)
    return about


def test_a_signal_that_opens_a_case_has_nothing_to_hear_yet() -> None:
    assert feedback(None, played(one("bank-a"))) == ()


def test_both_sides_hear_that_another_reported_and_not_who() -> None:
    before = played(one("bank-a"))
    told = said(feedback(before, played(one(SECRET), case=before)))
    assert {who: data.corroborated_by for (who, _), data in told.items()} == {"bank-a": 1, SECRET: 1}
    assert SECRET not in told["bank-a", "sig-bank-a-1"].model_dump_json()


def test_a_second_signal_of_ones_own_corroborates_nothing() -> None:
    before = played(one("bank-a"))
    assert feedback(before, played(one("bank-a", 2), case=before)) == ()


def test_a_tip_is_told_nothing_and_corroborates_nothing() -> None:
    before = played(one("bank-a"))
    assert feedback(before, played(one("public", trust="low"), case=before)) == ()


def test_a_claim_is_seen_and_its_release_and_renewal_are_no_news() -> None:
    opened = played(one("bank-a"))
    claimed = played(move("claim"), case=opened)
    assert said(feedback(opened, claimed))["bank-a", "sig-bank-a-1"].reviewed
    was = Handling(seen=seen_of((), claimed))
    released = played(move("release"), case=claimed, minute=2)
    assert feedback(claimed, released, was=was, handling=Handling(seen_of(was.seen, released))) == ()
    again = played(move("claim", action_id="act-2"), case=released, minute=3)
    assert feedback(released, again, was=was, handling=Handling(seen_of(was.seen, again))) == ()


def test_a_signal_that_joins_after_the_release_is_not_seen_with_the_others() -> None:
    released = played(one("bank-a"), move("claim"), move("release"))
    joined_later = played(one("bank-a", 2), case=released, minute=4)
    seen = frozenset({"sig-bank-a-1"})
    assert feedback(released, joined_later, was=Handling(seen), handling=Handling(seen_of(seen, joined_later))) == ()


def test_the_outcome_reaches_everybody_and_survives_the_next_signal() -> None:
    claimed = played(one("bank-a"), one(SECRET), move("claim"))
    disposed = played(move("dispose"), case=claimed, minute=4)
    told = said(feedback(claimed, disposed))
    assert {data.outcome for data in told.values()} == {"confirmed"} and len(told) == 2
    reopened = played(one(SECRET, 2, accepted_at=after(minutes=5)), case=disposed, minute=5)
    seen = Handling(seen_of(frozenset(), disposed) | {"sig-bank-a-1", "sig-bank-b-1"})
    new = said(feedback(disposed, reopened, was=seen, handling=seen))
    assert list(new) == [(SECRET, "sig-bank-b-2")] and new[SECRET, "sig-bank-b-2"].outcome is None


def test_acts_and_money_saved_are_told_when_they_change() -> None:
    case = played(one("bank-a"))
    handling = Handling(acts=frozenset({"stop_payment", "warned"}), saved_minor={"CNY": 500, "USD": 0})
    (told,) = feedback(case, case, handling=handling)
    assert (told.payload.actions_taken, told.payload.prevented_loss_minor) == (("stop_payment", "warned"), {"CNY": 500})  # type: ignore[union-attr]
    assert feedback(case, case, was=handling, handling=handling) == ()


def test_institutions_whose_signals_are_no_longer_listed_hear_of_the_case_once() -> None:
    many = [one(f"bank-{n:03}", n) for n in range(POLICY.case_signals_kept)]
    full = played(one("bank-a"), one(SECRET), *many[2:])
    full = played(many[0], case=full, minute=29)
    assert "bank-a" not in {signal.institution for signal in full.signals}
    claimed = played(move("claim"), case=full, minute=30)
    told = said(feedback(full, claimed))
    assert told["bank-a", full.case_id].reviewed and told["bank-a", full.case_id].signal_id is None
    assert (SECRET, full.case_id) not in told


def test_a_signal_that_leaves_the_list_is_no_news() -> None:
    many = [one(SECRET, n) for n in range(POLICY.case_signals_kept - 1)]
    before = played(one("bank-a"), *many)
    assert [told.recipient for told in feedback(before, played(one(SECRET, 99), case=before, minute=40))] == [SECRET]


def test_whoever_reported_the_subject_is_warned_when_another_does_and_not_who() -> None:
    before = played(one("bank-a"))
    told = early_warning(before, played(one(SECRET), case=before))
    assert [(one.recipient, one.payload.other_institutions, one.payload.signals) for one in told] == [  # type: ignore[union-attr]
        ("bank-a", 1, ("sig-bank-a-1",))
    ]
    assert SECRET not in told[0].payload.model_dump_json()


def test_whoever_holds_the_subject_is_warned_at_the_first_report() -> None:
    told = early_warning(None, played(one(SECRET)), holders={"telecom-1", SECRET})
    assert [(one.recipient, one.payload.other_institutions) for one in told] == [("telecom-1", 1)]  # type: ignore[union-attr]


def test_more_signals_of_the_same_institution_warn_nobody_again() -> None:
    before = played(one("bank-a"), one(SECRET))
    assert early_warning(before, played(one(SECRET, 2), case=before), holders={"telecom-1"}) == ()


def test_a_tip_warns_nobody() -> None:
    before = played(one("bank-a"))
    tipped = played(one("public", trust="low"), case=before)
    assert early_warning(before, tipped, holders={"telecom-1"}) == ()


def test_a_lead_of_organized_crime_warns_nobody_and_is_not_counted() -> None:
    crime = played(one("bank-a", kind=SignalKind.ORGANIZED_CRIME))
    assert crime.leads_only
    assert early_warning(None, crime, holders={"telecom-1"}) == ()
    more = played(one("bank-c", kind=SignalKind.ORGANIZED_CRIME), case=crime)
    assert early_warning(crime, more, holders={"telecom-1"}) == ()


def test_in_a_case_from_before_leads_were_kept_apart_only_the_others_are_told() -> None:
    """Leads of bank-a and bank-c, then fraud reported by bank-b and pay-1: as if there were no leads."""
    lead = {"kind": SignalKind.ORGANIZED_CRIME, "score": 90, "severity": "critical"}
    mixed = played(one("bank-a", **lead), one("bank-c", **lead), one(SECRET)).model_copy(update={"leads_only": False})
    plain = played(one(SECRET))
    after, alike = played(one("pay-1"), case=mixed), played(one("pay-1"), case=plain)
    told = early_warning(mixed, after, holders={"telecom-1"})
    assert [one.recipient for one in told] == [SECRET, "telecom-1"]
    assert told == early_warning(plain, alike, holders={"telecom-1"})
    assert [others(after, who) for who in ("bank-a", SECRET, "pay-1", "telecom-1")] == [0, 1, 1, 2]
    assert feedback_of(after, "sig-pay-1-1", "pay-1") == feedback_of(alike, "sig-pay-1-1", "pay-1")
    assert feedback_of(after, "sig-bank-a-1", "bank-a") == Feedback(case_id=after.case_id, signal_id="sig-bank-a-1")


STOP = Executed("bank-c", "stop_payment", "order-1", 900, "CNY")


def test_without_a_live_report_everything_is_proposed_to_be_released() -> None:
    signal = joined(signal_id="sig-1", institution="bank-a")
    gone = played(join(signal_id="sig-1", institution="bank-a"), retract(signal))
    done = [STOP, Executed("telecom-1", "number_suspension", "order-2")]
    told = said(taken_back(gone, change="retraction", executed=done, warned={"bank-d"}))
    bank = told["bank-c", gone.case_id]
    assert [(one.order_id, one.reversal, one.requires_order, one.amount_minor) for one in bank.reversals] == [
        ("order-1", "release", True, 900)
    ]
    assert [(one.action, one.reversal, one.requires_order) for one in told["bank-d", gone.case_id].reversals] == [
        ("warned", "withdraw_warning", False)
    ]
    assert [one.order_id for one in told[gone.queue, gone.case_id].proposed_orders] == ["order-1", "order-2"]
    assert all(data.requires_acknowledgement and data.other_institutions == 0 for data in told.values())
    assert "bank-a" not in {one.recipient for one in taken_back(gone, change="retraction", executed=done, warned={"bank-d"})}


def test_with_reports_left_only_what_they_do_not_bear_out_is_proposed() -> None:
    left = played(one(SECRET))
    told = said(taken_back(left, change="correction", executed=[STOP], warned=set(), supported_minor={"order-1": 600}))
    assert [one.amount_minor for one in told[left.queue, left.case_id].proposed_orders] == [300]
    assert (told["bank-c", left.case_id].other_institutions, told["bank-c", left.case_id].change) == (1, "correction")


@pytest.mark.parametrize("supported", [{}, {"order-1": 0}, {"order-1": 600}, {"order-1": 899}, {"order-1": 900}])
def test_an_executor_reads_the_same_whatever_amount_the_reports_that_are_left_name(supported: dict[str, int]) -> None:
    left = played(one(SECRET))
    told = said(taken_back(left, change="correction", executed=[STOP], warned=set(), supported_minor=supported))
    assert told["bank-c", left.case_id].reversals == (), "the release order says how much"


@pytest.mark.parametrize("supported", [{}, {"order-1": 900}, {"order-1": 2000}])
def test_what_the_rest_bears_out_stays_and_its_executor_is_told_all_the_same(supported: dict[str, int]) -> None:
    left = played(one(SECRET))
    told = said(taken_back(left, change="retraction", executed=[STOP], warned={"bank-d"}, supported_minor=supported))
    assert set(told) == {("bank-c", left.case_id), ("bank-d", left.case_id)}
    assert all(data.reversals == () for data in told.values())


def test_a_thing_that_leaves_nothing_behind_has_nothing_to_undo() -> None:
    signal = joined(signal_id="sig-1")
    gone = played(join(signal_id="sig-1"), retract(signal))
    told = said(taken_back(gone, change="retraction", executed=[Executed("bank-c", "request_information")], warned=set()))
    assert told["bank-c", gone.case_id].reversals == () and (gone.queue, gone.case_id) not in told
    assert "request_information" not in REVERSALS
