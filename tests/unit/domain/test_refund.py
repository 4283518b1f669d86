"""The refund calculator in sentences: which rule is taken, what it gives, and that it shows its working."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from schemas.refunds import SAID, Frozen, Payment, Refund, Step, money, told
from stream_processors.domain.money_trail.refund import refund
from tests.support.builders import T0, after

BASIS = "电信网络诈骗冻结资金返还规定"


def frozen(balance: int, **over: Any) -> Frozen:
    return Frozen(account="mule", balance_minor=balance, currency="CNY", **over)


def paid(payer: str, minor: int, minute: int | None = 0, **over: Any) -> Payment:
    at = None if minute is None else T0 + timedelta(minutes=minute)
    return Payment(**{"payment_id": f"{payer}-{minor}-{minute}", "payer": payer, "amount_minor": minor, "at": at, **over})


def shared(balance: int, *payments: Payment, now: Any = T0, **over: Any) -> Refund:
    return refund(frozen(balance, **over), payments, basis=BASIS, now=now)


def shares(result: Refund) -> dict[str, int]:
    return {one.payer: one.share_minor for one in result.shares}


def names(result: Refund) -> list[str]:
    return [step.name for step in result.steps]


def test_a_single_payer_gets_the_money_directly_and_at_once() -> None:
    result = shared(500, paid("v", 600), paid("v", 200, 5))
    assert (result.rule, shares(result), result.undistributed_minor, result.payable) == ("one_payer", {"v": 500}, 0, True)


def test_a_single_payer_gets_no_more_than_was_paid() -> None:
    result = shared(900, paid("v", 600))
    assert (shares(result), result.undistributed_minor) == ({"v": 600}, 300)
    assert names(result)[-1] == "undistributed"


def test_a_balance_that_is_enough_for_all_gives_everybody_theirs() -> None:
    result = shared(100, paid("v", 60, None), paid("w", 30, None))
    assert (result.rule, shares(result), result.undistributed_minor, result.payable) == ("covered", {"v": 60, "w": 30}, 10, True)


def test_payments_that_a_trail_tells_apart_go_back_one_by_one() -> None:
    result = shared(50, paid("v", 60, traced_minor=45), paid("w", 30, 1, traced_minor=0))
    assert (result.rule, shares(result), result.undistributed_minor) == ("traced", {"v": 45, "w": 0}, 5)


def test_more_traced_of_a_payment_than_was_paid_counts_as_what_was_paid() -> None:
    assert shares(shared(35, paid("v", 20, traced_minor=99), paid("w", 30, 1, traced_minor=10))) == {"v": 20, "w": 10}


def test_one_payment_that_was_not_traced_leaves_the_others_to_time() -> None:
    result = shared(50, paid("v", 60, 0, traced_minor=45), paid("w", 30, 1))
    assert (result.rule, shares(result)) == ("by_time", {"v": 20, "w": 30})
    assert "not_traced" in names(result)


def test_more_traced_than_there_is_leaves_it_to_time() -> None:
    result = shared(50, paid("v", 60, 0, traced_minor=45), paid("w", 30, 1, traced_minor=30))
    assert (result.rule, "traced_too_much" in names(result)) == ("by_time", True)


def test_by_time_the_last_money_in_is_what_is_left() -> None:
    result = shared(70, paid("first", 100, 0), paid("second", 50, 1), paid("third", 40, 2))
    assert (result.rule, shares(result), result.payable) == ("by_time", {"first": 0, "second": 30, "third": 40}, True)


def test_two_at_one_instant_that_time_cannot_tell_apart_share_pro_rata() -> None:
    result = shared(40, paid("v", 60, 1), paid("w", 30, 1))
    assert (result.rule, "same_time" in names(result)) == ("pro_rata", True)


def test_two_at_one_instant_are_no_matter_when_all_or_nothing_of_them_is_left() -> None:
    result = shared(70, paid("x", 10, 0), paid("v", 40, 1), paid("w", 30, 1))
    assert (result.rule, shares(result)) == ("by_time", {"x": 0, "v": 40, "w": 30})


def test_pro_rata_rounds_by_the_largest_remainder() -> None:
    result = shared(100, paid("a", 1, None), paid("b", 1, None), paid("c", 400, None))
    assert shares(result) == {"a": 0, "b": 0, "c": 100}
    result = shared(10, paid("a", 10, None), paid("b", 10, None), paid("c", 10, None))
    assert shares(result) == {"a": 4, "b": 3, "c": 3}


def test_equal_remainders_go_to_who_paid_first() -> None:
    result = shared(1, paid("b", 10, 1), paid("a", 10, 2), paid("z", 10, 0), paid("y", 5, None))
    assert shares(result) == {"z": 1, "b": 0, "a": 0, "y": 0}


@pytest.mark.parametrize(("ends", "payable"), [(None, False), (after(days=1), False), (T0, True), (after(days=-1), True)])
def test_pro_rata_is_paid_when_the_notice_has_run_its_time(ends: Any, payable: bool) -> None:
    result = shared(10, paid("a", 10, None), paid("b", 10, None), public_notice_ends_at=ends)
    assert (result.rule, result.payable, names(result)[-1]) == (
        "pro_rata",
        payable,
        "public_notice_ended" if payable else "notice",
    )


@pytest.mark.parametrize("result", [shared(0, paid("v", 5)), shared(5)], ids=["no balance", "no payer"])
def test_where_there_is_nothing_to_return_nothing_is(result: Refund) -> None:
    assert (result.rule, result.payable, sum(shares(result).values())) == ("nothing", False, 0)
    assert result.undistributed_minor == result.balance_minor


def test_a_payment_told_in_two_ways_is_refused() -> None:
    with pytest.raises(ValueError, match="two different payments"):
        shared(5, paid("v", 5, payment_id="p"), paid("v", 6, payment_id="p"))


def test_the_working_reads_in_both_languages_and_names_its_basis() -> None:
    result = shared(1_000_000, paid("a", 2_000_000, None), paid("b", 1_000_000, None))
    lines = told(result)
    assert {line.basis for line in lines} == {BASIS}
    assert lines[0].zh == "冻结余额 10,000.00 CNY；2 名汇款人共 2 笔，合计 30,000.00 CNY"
    assert [line.en for line in lines if line.payer == "a"] == [
        "20,000.00 CNY paid gives 6,666.66 CNY, rounded down",
        "0.01 CNY of the rounding remainder goes to this payer, by the largest remainder",
    ]


def test_every_step_that_can_be_taken_has_sentences_with_its_figures() -> None:
    late = paid("w", 30, 1)
    results = [
        shared(0),
        shared(9, paid("v", 5)),
        shared(99, paid("v", 5), late),
        shared(20, paid("v", 5, traced_minor=5), paid("w", 30, 1, traced_minor=6)),
        shared(20, paid("v", 15, traced_minor=15), paid("w", 30, 1, traced_minor=6)),
        shared(20, paid("v", 5), late),
        shared(20, paid("v", 5, 1), late),
        shared(20, paid("v", 5, None), late, public_notice_ends_at=T0),
    ]
    assert {step.name for result in results for step in result.steps} == set(SAID)
    for result in results:
        for line in told(result):
            assert "{" not in line.zh + line.en and not line.en.startswith(line.name + ":")


def test_a_step_of_a_newer_writer_is_told_by_its_name_and_figures() -> None:
    newer = shared(0).model_copy(update={"steps": (Step(name="new", basis=BASIS, figures={"n": 3, "x_minor": 150}),)})
    assert told(newer)[0].zh == told(newer)[0].en == "new: n 3, x_minor 1.50 CNY"
    newer = newer.model_copy(update={"steps": (Step(name="undistributed", basis=BASIS, figures={}),)})
    assert told(newer)[0].en.startswith("undistributed:")


def test_minor_units_have_the_digits_of_their_currency() -> None:
    assert [money(1_234_567, one) for one in ("CNY", "JPY", "KWD")] == ["12,345.67 CNY", "1,234,567 JPY", "1,234.567 KWD"]
