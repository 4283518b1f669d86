"""The money trail in sentences: what is one transfer, what is followed, what is cut, what is to be held."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from schemas.money_trail import Loss, Statement, Trail, TrailRules, TransferReport
from stream_processors.domain.money_trail.proposed_holds import holds
from stream_processors.domain.money_trail.trace import trace
from stream_processors.domain.money_trail.transfers import counted_once, loss_of, report_of
from tests.support.builders import T0, account, joined, submitted

RULES = TrailRules()
WINDOW_S = RULES.match_window_s


def paid(payer: str, payee: str, minor: int, minute: float = 0, by: str = "bank-a", **over: Any) -> TransferReport:
    """A report `minute` minutes after T0; its signal is named by all that it says."""
    fields = {"signal_id": f"sig-{by}-{payer}-{payee}-{minor}-{minute}", "institution": by, "currency": "CNY", **over}
    return TransferReport(at=T0 + timedelta(minutes=minute), payer=payer, payee=payee, amount_minor=minor, **fields)


def lost(minor: int, at_minute: float = 0, who: str = "victim", currency: str = "CNY") -> Loss:
    return Loss(account=who, at=T0 + timedelta(minutes=at_minute), amount_minor=minor, currency=currency)


def found(who: str, minor: int, minute: float) -> Statement:
    return Statement(account=who, at=T0 + timedelta(minutes=minute), balance_minor=minor, currency="CNY")


def followed(loss: Loss, *reports: TransferReport, statements: tuple[Statement, ...] = (), **rules: Any) -> Trail:
    return trace(loss, reports, rules=TrailRules(**rules), statements=statements)


def remaining(trail: Trail) -> dict[str, int]:
    return {one.account: one.remaining_minor for one in trail.stops}


def test_a_transfer_that_both_banks_report_is_one() -> None:
    seen = counted_once([paid("v", "m", 100, 0, "bank-a"), paid("v", "m", 100, 3, "bank-b")], WINDOW_S)
    assert [(one.at, one.amount_minor, one.reported_by) for one in seen] == [(T0, 100, 2)]
    assert seen[0].evidence == ("sig-bank-a-v-m-100-0", "sig-bank-b-v-m-100-3")


def test_reports_further_apart_than_the_window_are_two_transfers() -> None:
    assert len(counted_once([paid("v", "m", 100, 0, "bank-a"), paid("v", "m", 100, 11, "bank-b")], WINDOW_S)) == 2


def test_equal_parts_that_one_bank_reports_are_as_many_transfers_however_many_the_other_saw() -> None:
    parts = [paid("v", "m", 100, n, "bank-a") for n in range(3)]
    assert len(counted_once([*parts, paid("v", "m", 100, 1.5, "bank-b")], WINDOW_S)) == 3


def test_one_bank_that_names_one_instant_twice_means_one_transfer() -> None:
    twice = [paid("v", "m", 100, 0), paid("v", "m", 100, 0, signal_id="sig-other-reference")]
    assert len(counted_once(twice, WINDOW_S)) == 1


def test_a_corrected_report_counts_as_its_newest_version() -> None:
    old, new = paid("v", "m", 100, signal_id="sig-1"), paid("v", "m", 900, signal_id="sig-1", version=2)
    assert [one.amount_minor for one in counted_once([new, old], WINDOW_S)] == [900]


def test_other_ends_amounts_and_currencies_are_other_transfers() -> None:
    alike = paid("v", "m", 100)
    others = [
        paid("v", "n", 100, by="bank-b"),
        paid("m", "v", 100, by="bank-b"),
        paid("v", "m", 101, by="bank-b"),
        paid("v", "m", 100, by="bank-b", currency="USD"),
    ]
    assert len(counted_once([alike, *others], WINDOW_S)) == 5


def test_a_signal_with_a_transfer_gives_a_report_and_its_paying_victim_a_loss() -> None:
    event = {"type": "transfer", "payer": account(1), "payee": account(2), "amount": {"minor": 500}}
    event = {**event, "payer": {"kind": "account", "value": account(1)["value"]}}
    event["payee"] = {"kind": "account", "value": account(2)["value"]}
    signal = submitted(event=event, indicators=[])
    case_signal = joined(event=signal.event, subjects=signal.subjects)
    report, loss = report_of(case_signal), loss_of(case_signal)
    assert report is not None and loss is not None and signal.event is not None
    assert (report.payer, report.payee) == (signal.event.payer, signal.event.payee) == (loss.account, report.payee)
    assert (report.amount_minor, loss.amount_minor, loss.at) == (500, 500, T0)


def test_tips_echoes_and_other_events_report_no_transfer() -> None:
    event = {"type": "transfer", "amount": {"minor": 500}}
    event |= {
        "payer": {"kind": "account", "value": account(1)["value"]},
        "payee": {"kind": "account", "value": account(2)["value"]},
    }
    signal = submitted(event=event, indicators=[])
    shared = {"event": signal.event, "subjects": signal.subjects}
    assert report_of(joined(**shared)) is not None
    assert report_of(joined(**shared, trust="low")) is None
    assert report_of(joined(**shared, derived_from="sig-x")) is None
    assert report_of(joined()) is None


def test_money_is_followed_over_hops_and_what_stays_is_on_each_account() -> None:
    trail = followed(lost(1000), paid("victim", "m1", 1000, 1), paid("m1", "m2", 700, 2), paid("m2", "m3", 200, 3))
    assert remaining(trail) == {"m1": 300, "m2": 500, "m3": 200}
    assert [(hop.payee, hop.traced_minor, hop.depth) for hop in trail.hops] == [("m1", 1000, 1), ("m2", 700, 2), ("m3", 200, 3)]
    first = trail.stops[0]
    assert (first.received_minor, first.forwarded_minor, first.remaining_minor) == (1000, 700, 300)
    assert trail.cuts == trail.unexplained == ()


def test_what_came_first_leaves_first() -> None:
    trail = followed(lost(100), paid("other", "m", 50, 1), paid("victim", "m", 100, 2), paid("m", "far", 60, 3))
    assert remaining(trail) == {"m": 90, "far": 10}


def test_money_cannot_leave_before_it_came() -> None:
    trail = followed(lost(100), paid("m", "far", 100, 1), paid("victim", "m", 100, 2))
    assert remaining(trail) == {"m": 100}


def test_at_one_instant_what_feeds_goes_first() -> None:
    trail = followed(lost(100), paid("b", "c", 100, 1), paid("a", "b", 100, 1), paid("victim", "a", 100, 1))
    assert remaining(trail) == {"a": 0, "b": 0, "c": 100}


def test_a_circle_at_one_instant_is_read_once_around() -> None:
    trail = followed(lost(100), paid("victim", "a", 100), paid("a", "b", 100, 1), paid("b", "a", 100, 1))
    assert remaining(trail) == {"a": 100, "b": 0}
    assert [one.received_minor for one in trail.stops] == [200, 100]


def test_more_than_is_known_to_be_there_is_not_the_losss() -> None:
    trail = followed(lost(100), paid("victim", "m", 100, 1), paid("m", "far", 5000, 2))
    assert [(hop.amount_minor, hop.traced_minor) for hop in trail.hops] == [(100, 100), (5000, 100)]


def test_a_loss_that_no_report_covers_is_told() -> None:
    trail = followed(lost(1000), paid("victim", "m", 800, 1))
    assert [(one.account, one.gap, one.amount_minor) for one in trail.unexplained] == [("victim", "no_report", 200)]


def test_payments_before_the_loss_and_beyond_it_are_not_the_loss() -> None:
    trail = followed(
        lost(100, at_minute=5), paid("victim", "shop", 30, 1), paid("victim", "m", 100, 6), paid("victim", "n", 40, 7)
    )
    assert remaining(trail) == {"m": 100}


def test_money_that_came_back_is_on_the_victims_account_and_is_not_held() -> None:
    trail = followed(lost(100), paid("victim", "m", 100, 1), paid("m", "victim", 20, 2))
    assert remaining(trail) == {"m": 80, "victim": 20}
    assert [(one.account, one.amount_minor) for one in holds(trail, keepers={}).order] == [("m", 80)]


def test_a_rebate_that_is_paid_again_goes_on() -> None:
    trail = followed(lost(100), paid("victim", "m", 100, 1), paid("m", "victim", 20, 2), paid("victim", "n", 20, 3))
    assert remaining(trail) == {"m": 80, "victim": 0, "n": 20}
    assert trail.hops[-1].depth == 3


def test_an_account_that_holds_less_than_it_should_has_paid_out_unseen() -> None:
    trail = followed(lost(100), paid("victim", "m", 100, 1), statements=(found("m", 40, 2),))
    assert remaining(trail) == {"m": 40}
    assert [(one.account, one.gap, one.amount_minor) for one in trail.unexplained] == [("m", "balance", 60)]


def test_a_balance_that_is_higher_or_was_found_before_changes_nothing() -> None:
    told = (found("m", 0, 0), found("m", 10**6, 2))
    assert remaining(followed(lost(100), paid("victim", "m", 100, 1), statements=told)) == {"m": 100}


def test_the_victims_own_balance_says_nothing_of_the_loss() -> None:
    trail = followed(lost(100), paid("victim", "m", 60, 1), paid("victim", "m", 40, 3), statements=(found("victim", 5, 2),))
    assert remaining(trail) == {"m": 100}


def test_past_the_depth_the_trail_is_cut_and_says_so() -> None:
    trail = followed(lost(100), paid("victim", "a", 100, 1), paid("a", "b", 90, 2), paid("b", "c", 80, 3), max_depth=2)
    assert remaining(trail) == {"a": 10, "b": 10}
    (cut,) = trail.cuts
    assert (cut.limit, cut.payer, cut.payee, cut.transfers, cut.traced_minor) == ("depth", "b", "c", 1, 80)


def test_of_many_payees_those_are_followed_that_got_most() -> None:
    small = [paid("m", f"s{n}", 1, 2 + n) for n in range(5)]
    trail = followed(lost(100), paid("victim", "m", 100, 1), *small, paid("m", "big", 90, 20), max_fan_out=1)
    assert remaining(trail) == {"m": 5, "big": 90}
    assert [(cut.limit, cut.payee, cut.traced_minor) for cut in trail.cuts] == [("fan_out", f"s{n}", 1) for n in range(5)]


def test_what_an_account_paid_before_the_loss_is_no_reason_to_follow_a_payee() -> None:
    old = paid("m", "landlord", 500, 1)
    trail = followed(lost(100, at_minute=2), old, paid("victim", "m", 100, 3), paid("m", "far", 90, 4), max_fan_out=1)
    assert remaining(trail) == {"m": 10, "far": 90}


def test_what_was_too_much_to_read_is_told_and_later_balances_are_not_used() -> None:
    steps = [paid("victim", "a", 100, 1), paid("a", "b", 100, 2), paid("b", "c", 100, 3)]
    trail = followed(lost(100), *steps, statements=(found("b", 0, 4),), max_transfers=2)
    assert (trail.unread, trail.unread_from) == (1, T0 + timedelta(minutes=3))
    assert remaining(trail) == {"a": 0, "b": 100}


def test_currencies_are_kept_apart_and_the_others_named() -> None:
    trail = followed(
        lost(100), paid("victim", "m", 100, 1), paid("m", "n", 100, 2, currency="USD"), paid("x", "y", 9, currency="EUR")
    )
    assert remaining(trail) == {"m": 100}
    assert trail.other_currencies == ("USD",)


def test_holds_name_amounts_keepers_and_what_is_left_out() -> None:
    paths = [paid("victim", "a", 60, 1), paid("victim", "b", 30, 1), paid("victim", "c", 8, 1), paid("victim", "d", 2, 1)]
    trail = followed(lost(100), *paths)
    told = holds(trail, keepers={"a": "bank-a"}, held_minor={"a": 20, "b": 30}, from_minor=5, most=1)
    assert [(one.account, one.institution, one.amount_minor) for one in told.order] == [("a", "bank-a", 40)]
    assert [(one.account, one.amount_minor, why) for one, why in told.skipped] == [("c", 8, "too_many"), ("d", 2, "too_small")]
