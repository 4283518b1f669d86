"""The refund calculator against slow readings of its rules, and what must hold whatever was paid."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.refunds import Frozen, Payment, Refund
from stream_processors.domain.money_trail.refund import refund
from tests.support.builders import T0

DRAWN = st.tuples(
    st.sampled_from("abcd"), st.integers(1, 30), st.one_of(st.none(), st.integers(0, 8)), st.one_of(st.none(), st.integers(0, 30))
)
TIMED = st.tuples(st.sampled_from("abcd"), st.integers(1, 30), st.integers(0, 8), st.none())


def _payments(drawn: list[Any]) -> list[Payment]:
    return [
        Payment(
            payment_id=f"p-{n}",
            payer=payer,
            amount_minor=minor,
            at=None if minute is None else T0 + timedelta(minutes=minute),
            traced_minor=traced,
        )
        for n, (payer, minor, minute, traced) in enumerate(drawn)
    ]


PAYMENTS = st.one_of(st.lists(DRAWN, max_size=8), st.lists(TIMED, max_size=8)).map(_payments)
BALANCES = st.integers(0, 120)


def _of(balance: int, payments: list[Payment], notice: bool = True) -> Refund:
    frozen = Frozen(account="mule", balance_minor=balance, currency="CNY", public_notice_ends_at=T0 if notice else None)
    return refund(frozen, payments, basis="basis", now=T0)


def _paid(payments: list[Payment]) -> dict[str, int]:
    return {one: sum(p.amount_minor for p in payments if p.payer == one) for one in {p.payer for p in payments}}


@given(BALANCES, PAYMENTS)
def test_shares_and_what_is_left_are_exactly_the_balance(balance: int, payments: list[Payment]) -> None:
    result, paid = _of(balance, payments), _paid(payments)
    assert sum(one.share_minor for one in result.shares) + result.undistributed_minor == balance
    assert result.undistributed_minor >= 0
    assert {one.payer: one.paid_minor for one in result.shares} == paid
    assert all(0 <= one.share_minor <= one.paid_minor for one in result.shares)


@given(BALANCES, PAYMENTS, st.randoms(use_true_random=False))
def test_the_order_and_the_repetition_of_payments_change_nothing(balance: int, payments: list[Payment], mixed: Any) -> None:
    again = [*payments, *payments[::2]]
    mixed.shuffle(again)
    assert _of(balance, again) == _of(balance, payments)


@given(BALANCES, PAYMENTS)
def test_pro_rata_is_the_exact_share_rounded_and_never_puts_a_smaller_payer_before_a_larger(
    balance: int, payments: list[Payment]
) -> None:
    result, paid = _of(balance, payments), _paid(payments)
    if result.rule != "pro_rata":
        return
    shares = {one.payer: one.share_minor for one in result.shares}
    exact = {one: Fraction(balance * n, sum(paid.values())) for one, n in paid.items()}
    assert all(abs(shares[one] - exact[one]) < 1 for one in paid)
    assert result.undistributed_minor == 0
    for one in paid:
        for other in paid:
            if paid[one] > paid[other]:
                assert shares[one] >= shares[other]
            if shares[one] > exact[one] and shares[other] < exact[other]:
                assert exact[one] % 1 >= exact[other] % 1, "a unit went to a smaller remainder"


@given(BALANCES, PAYMENTS)
def test_by_time_is_what_is_left_when_the_first_coins_in_leave_first(balance: int, payments: list[Payment]) -> None:
    result = _of(balance, payments)
    if result.rule != "by_time":
        return
    coins = [one.payer for one in sorted(payments, key=lambda one: one.at or T0) for _ in range(one.amount_minor)]
    left = coins[len(coins) - balance :]
    assert {one.payer: one.share_minor for one in result.shares} == {one: left.count(one) for one in _paid(payments)}


@given(BALANCES, PAYMENTS)
def test_the_first_rule_that_tells_payers_apart_is_taken(balance: int, payments: list[Payment]) -> None:
    """The same choice, read off the conditions of the law."""
    paid = _paid(payments)
    total, payers = sum(paid.values()), len(paid)
    traced = [None if one.traced_minor is None else min(one.traced_minor, one.amount_minor) for one in payments]
    later = {one.at: sum(p.amount_minor for p in payments if p.at and one.at and p.at > one.at) for one in payments}
    split = [
        at
        for at, after in later.items()
        if after < balance < after + sum(p.amount_minor for p in payments if p.at == at)
        and len({p.payer for p in payments if p.at == at}) > 1
    ]
    if not balance or not payers:
        wanted = "nothing"
    elif payers == 1:
        wanted = "one_payer"
    elif balance >= total:
        wanted = "covered"
    elif None not in traced and sum(n or 0 for n in traced) <= balance:
        wanted = "traced"
    elif all(one.at is not None for one in payments) and not split:
        wanted = "by_time"
    else:
        wanted = "pro_rata"
    assert _of(balance, payments).rule == wanted


@given(BALANCES, PAYMENTS)
def test_only_pro_rata_waits_for_a_notice(balance: int, payments: list[Payment]) -> None:
    without, noticed = _of(balance, payments, notice=False), _of(balance, payments)
    assert without.payable == (without.rule not in ("pro_rata", "nothing"))
    assert noticed.payable == (noticed.rule != "nothing")
    assert without.shares == noticed.shares


@given(BALANCES, PAYMENTS)
def test_every_share_is_the_sum_of_the_figures_that_the_working_shows(balance: int, payments: list[Payment]) -> None:
    result = _of(balance, payments)
    figures = ("share_minor", "counted_minor", "floor_minor", "unit_minor")
    shown: dict[str, int] = {}
    for step in result.steps:
        if step.payer is not None:
            shown[step.payer] = shown.get(step.payer, 0) + sum(step.figures.get(name, 0) for name in figures)
    if result.rule == "covered":
        assert any(step.name == "covered" for step in result.steps)
    else:
        assert {one.payer: one.share_minor for one in result.shares if one.share_minor} == {p: n for p, n in shown.items() if n}
