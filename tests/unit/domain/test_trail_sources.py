"""Where a trail starts, who keeps an account, and a hostile town."""

from __future__ import annotations

import time
from datetime import timedelta

from schemas.money_trail import TrailRules, TransferReport
from schemas.orders.order import Order
from stream_processors.domain.money_trail.sources import (
    Keeper,
    ReportedTransfer,
    Start,
    held_of,
    keepers,
    losses_of,
    onward,
    returned_of,
    starts,
)
from stream_processors.domain.money_trail.trace import follow
from stream_processors.domain.money_trail.transfers import counted_once
from tests.support.builders import T0
from tests.support.order_builders import subject


def told(by: str, payer: str, payee: str, minor: int = 100, minute: int = 0, victim: bool = False) -> ReportedTransfer:
    at = T0 + timedelta(minutes=minute)
    money = {"amount_minor": minor, "currency": "CNY"}
    report = TransferReport(signal_id=f"{by}-{payer}-{payee}-{minute}", institution=by, at=at, payer=payer, payee=payee, **money)
    return ReportedTransfer(report, victim, True)


def begins(primary: str, own: list[ReportedTransfer], others: tuple[ReportedTransfer, ...] = ()) -> tuple[Start, ...]:
    return starts(primary, own, counted_once((one.report for one in (*own, *others)), 600))


def test_a_transfer_that_another_case_told_first_begins_when_that_says() -> None:
    """Else what is followed is not what was lost: the money would have been gone before it came."""
    own, other = [told("bank-v", "v", "a", minute=1, victim=True)], told("bank-a", "v", "a", minute=0)
    (start,) = begins("a", own, (other,))
    assert (start.loss.at, start.loss.amount_minor) == (T0, 100)
    moved = counted_once((one.report for one in (*own, other, told("bank-a", "a", "b", 40, minute=5))), 600)
    found = follow([start.loss], moved, rules=TrailRules())
    assert {one.account: one.remaining_minor for one in found.stops} == {"a": 60, "b": 40} and not found.unexplained
    assert begins("a", own, (told("bank-v", "v", "elsewhere", minute=1),))[0].loss.amount_minor == 100


def test_a_transfer_that_many_others_told_before_is_a_start_all_the_same() -> None:
    own = told("bank-v", "v", "a", minute=1, victim=True)
    other = {"institution": "bank-x", "at": T0}
    others = tuple(
        ReportedTransfer(own.report.model_copy(update={**other, "signal_id": f"s-{n}"}), False, False) for n in range(20)
    )
    (start,) = begins("a", [own], others)
    assert (start.why, start.loss.at) == ("loss", T0)


def test_a_trail_starts_with_what_victims_paid_each_transfer_once() -> None:
    own = [told("b-1", "v", "a", minute=0, victim=True), told("b-2", "v", "a", minute=1), told("b-2", "a", "b", minute=5)]
    (start,) = begins("a", own)
    assert (start.why, start.loss.account, start.loss.amount_minor, start.loss.at) == ("loss", "v", 100, T0)


def test_without_a_victim_it_starts_with_what_came_then_with_what_left_then_with_anything() -> None:
    own = [told("b-1", "x", "a"), told("b-1", "a", "b"), told("b-1", "c", "d")]
    assert [(one.why, one.loss.account) for one in begins("a", own)] == [("arrived", "x")]
    assert [(one.why, one.loss.account) for one in begins("a", own[1:])] == [("left", "a")]
    assert [(one.why, one.loss.account) for one in begins("a", own[2:])] == [("reported", "c")]
    assert begins("a", []) == ()


def test_what_one_account_paid_at_one_instant_is_one_start() -> None:
    own = [told("b-1", "v", "a", 5, victim=True), told("b-1", "v", "b", 10, victim=True)]
    assert [one.amount_minor for one in losses_of(counted_once((each.report for each in own), 0))] == [15]


def test_banks_of_both_ends_tell_who_keeps_every_account_of_a_chain() -> None:
    chain = [told(by, f"a{n}", f"a{n + 1}", minute=n) for n in range(3) for by in (f"bank-{n}", f"bank-{n + 1}")]
    assert keepers(chain) == {
        "a0": Keeper("bank-0", "other_end"),
        "a1": Keeper("bank-1", "both_ways"),
        "a2": Keeper("bank-2", "both_ways"),
        "a3": Keeper("bank-3", "other_end"),
    }


def test_the_bank_of_the_payee_alone_does_not_keep_the_payers_account() -> None:
    assert keepers([told("bank-a", "v", "a"), told("bank-a", "a", "b")]) == {"a": Keeper("bank-a", "both_ways")}
    assert keepers([told("bank-v", "v", "a")]) == {"v": Keeper("bank-v", "payers_bank")}


def order(state: str, recipient: str, **over: object) -> Order:
    made = {"order_id": "o", "kind": "freeze", "case_id": "c", "agency": "q-1", "recipient": recipient, "state": state}
    more = {"issued_by": "officer-a", "drafted_at": T0, "subject": subject(), "currency": "CNY", "amount_minor": 70}
    return Order.model_validate({**made, **more, **over})


def test_who_carried_out_an_order_keeps_the_account_and_who_has_no_such_customer_does_not() -> None:
    token = subject().token
    reports = [told("bank-1", token, "b"), told("bank-1", "a", token)]
    assert keepers(reports)[token].institution == "bank-1"
    assert token not in keepers(reports, [order("refused", "bank-1", refusal_reason="not_our_customer")])
    done = order("executed", "bank-2", executed_at=T0, held_minor=60)
    assert keepers(reports, [done])[token] == Keeper("bank-2", "answered_order")


def test_what_orders_hold_is_what_was_held_or_will_be() -> None:
    token = subject().token
    assert held_of([order("executed", "b-1", executed_at=T0, held_minor=60)], "CNY") == {token: 60}
    assert held_of([order("issued", "b-1")], "CNY") == {token: 70}
    freeze = {"order_id": "o-2", "related_order_id": "o", "amount_minor": 60}
    stop = order("executed", "b-1", kind="stop_payment", executed_at=T0, held_minor=60)
    assert held_of([stop, order("issued", "b-1", **freeze)], "CNY") == {token: 60}, "it is to take the stop's place"
    assert held_of([order("issued", "b-1"), order("issued", "b-1", **freeze | {"amount_minor": 90})], "CNY") == {token: 90}
    assert held_of([order("released", "b-1")], "CNY") == held_of([order("issued", "b-1")], "USD") == {}


def test_what_was_paid_back_is_known_though_no_report_tells_of_it() -> None:
    back = order("executed", "b-1", kind="return_funds", executed_at=T0, paid_minor=50)
    assert returned_of([back, back, order("executed", "b-1", held_minor=5)], "CNY") == {subject().token: 100}
    assert returned_of([order("issued", "b-1", kind="return_funds")], "CNY") == returned_of([back], "USD") == {}


def test_ten_thousand_transfers_among_a_few_accounts_are_followed_in_bounded_time() -> None:
    reports = [told("b-1", "v", "m0", 10_000, 0, victim=True).report]
    for n in range(10_000):
        payer, payee = f"m{n % 7}", f"m{(n * 3 + 1) % 7}"
        if payer != payee:
            reports.append(told(f"b-{n % 3}", payer, payee, 1 + n % 50, 1 + n).report)
    rules = TrailRules(max_transfers=5000)
    began = time.perf_counter()
    known = counted_once(reports, 600)
    reached = onward(["v"], known, depth=6, fan_out=20)
    found = follow(losses_of(known[:1]), known, rules=rules)
    assert time.perf_counter() - began < 5
    assert found.unread == len(known) - 5000
    assert len(reached) <= 8
    total = sum(one.remaining_minor for one in found.stops) + sum(one.traced_minor for one in found.cuts)
    assert total == 10_000
