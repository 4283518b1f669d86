"""A release of less than is held: the rest stays held, renewed, returned and released as before."""

from __future__ import annotations

import pytest

from schemas.orders.kinds import OrderKind
from schemas.orders.order import OrderState
from stream_processors.domain.orders.order_book import OrdersChange, held_minor
from stream_processors.domain.orders.step import is_part
from tests.support.order_builders import SECOND, STAGE, Desk, event, issue

PART = 300_000


@pytest.fixture
def desk() -> Desk:
    """A freeze that holds 800,000."""
    made = Desk()
    made.executed("freeze")
    return made


def _release(desk: Desk, minor: int | None, order_id: str = "rel-1") -> str:
    """What is said to the wish: the state of the release, or why not."""
    change = desk.do(issue("release", order_id, related_order_id="ord-1", amount_minor=minor, currency="CNY"))
    return change.refused.problem if change.refused else desk.order(order_id).state.value


def test_a_part_is_lifted_and_the_rest_is_held_for_as_long_as_before(desk: Desk) -> None:
    until = desk.order().valid_until
    assert _release(desk, PART) == "issued"
    told = desk.changes[-1].notices
    assert [(one.recipient, one.template) for one in told] == [("bank-001", "order_partially_released")]
    assert told[0].data["amount_minor"] == PART and desk.order("rel-1").partial
    assert desk.order().held_minor == 800_000, "nothing is lifted before the bank says so"
    change = desk.answer("execute", "rel-1")
    assert (desk.order().state, desk.order().held_minor, desk.order().valid_until) == (OrderState.EXECUTED, 500_000, until)
    assert desk.order().lifted_at is None and change.stops and all(one.about == "rel-1" for one in change.stops)
    assert held_minor(desk.orders) == {"CNY": 500_000}


def test_parts_are_released_one_after_the_other_and_then_the_rest(desk: Desk) -> None:
    for n in range(2):
        assert _release(desk, PART, f"rel-{n}") == "issued"
        assert _release(desk, PART, "rel-too-early") == "already-released"
        desk.answer("execute", f"rel-{n}")
    assert _release(desk, None, "rel-rest") == "issued" and not desk.order("rel-rest").partial
    desk.answer("execute", "rel-rest")
    assert (desk.order().state, desk.order().held_minor) == (OrderState.RELEASED, 0)
    assert desk.order().lifted_at is not None


def test_the_whole_may_be_released_while_a_part_is_on_its_way_whichever_is_answered_first() -> None:
    for first, then in (("rel-1", "rel-2"), ("rel-2", "rel-1")):
        desk = Desk()
        desk.executed("freeze")
        _release(desk, PART, "rel-1")
        assert _release(desk, None, "rel-2") == "issued"
        for one in (first, then):
            assert desk.answer("execute", one).refused is None
        assert (desk.order().state, desk.order().held_minor) == (OrderState.RELEASED, 0)


def test_a_part_ends_neither_a_return_nor_a_renewal(desk: Desk) -> None:
    desk.do(issue("return_funds", "ret-1", related_order_id="ord-1", amount_minor=400_000, currency="CNY"))
    if desk.order("ret-1").state is OrderState.AWAITING_APPROVAL:
        desk.do(event("approve", "ret-1"), SECOND)
    assert _release(desk, 500_000) == "amount-exceeds-held", "what is promised to a victim is not released in part"
    assert _release(desk, PART) == "issued"
    assert desk.order("ret-1").state is OrderState.ISSUED
    assert desk.do(event("renew")).refused is None
    desk.answer("execute", "ret-1", amount_minor=400_000)
    desk.answer("execute", "rel-1")
    assert desk.order().held_minor == 100_000


def test_nothing_is_released_in_part_before_it_is_held() -> None:
    desk = Desk()
    desk.do(issue("freeze"))
    assert _release(desk, PART) == "amount-exceeds-held"
    assert _release(desk, 800_000) == "issued" and not desk.order("rel-1").partial
    assert desk.order().state is OrderState.RELEASED


def test_more_than_is_held_is_all_of_it(desk: Desk) -> None:
    assert _release(desk, 900_000) == "issued" and not desk.order("rel-1").partial


def test_a_part_that_has_become_all_of_it_ends_the_order(desk: Desk) -> None:
    """Money was returned while the release was on its way."""
    _release(desk, PART)
    held = desk.order().model_copy(update={"held_minor": PART})
    desk.orders = tuple(held if one.order_id == "ord-1" else one for one in desk.orders)
    desk.answer("execute", "rel-1")
    assert (desk.order().state, desk.order().held_minor) == (OrderState.RELEASED, 0)


def test_only_money_that_is_held_has_parts(desk: Desk) -> None:
    target = desk.order()
    assert is_part(OrderKind.RELEASE, 1, target)
    assert not any(is_part(OrderKind.RELEASE, minor, target) for minor in (None, 0, 800_000))
    assert not is_part(OrderKind.FREEZE, 1, target) and not is_part(OrderKind.RELEASE, 1, None)
    assert not is_part(OrderKind.RELEASE, 1, target.model_copy(update={"state": OrderState.EXPIRED}))


def test_a_part_that_is_answered_after_the_hold_ran_out_lifts_no_more_than_itself(desk: Desk) -> None:
    """Else nobody would ask for the rest of the person's money any more."""
    _release(desk, PART)
    until = desk.order().valid_until
    assert until is not None
    desk.do(event("expire"), STAGE, until)
    assert desk.answer("execute", "rel-1").refused is None
    assert desk.order().state is OrderState.EXPIRED and desk.order().lifted_at is None
    assert _release(desk, None, "rel-rest") == "issued"
    desk.answer("execute", "rel-rest")
    assert desk.order().lifted_at is not None


def test_what_was_released_in_part_is_not_held_on_by_a_freeze() -> None:
    desk = Desk()
    desk.executed()
    desk.do(issue("freeze", "fr-1", related_order_id="ord-1"))
    assert _release(desk, PART) == "transition-not-allowed", "the freeze would hold it again"
    desk.answer("refuse", "fr-1")
    assert _release(desk, PART) == "issued"
    assert _why(desk.do(issue("freeze", "fr-2", related_order_id="ord-1"))) == "already-released"
    desk.answer("execute", "rel-1")
    assert _why(desk.do(issue("freeze", "fr-3", related_order_id="ord-1"))) == "amount-exceeds-traced"
    assert _why(desk.do(issue("freeze", "fr-4", related_order_id="ord-1", amount_minor=800_000 - PART))) is None


@pytest.mark.parametrize(("minor", "currency"), [(0, "CNY"), (0, None), (PART, "USD")])
def test_an_amount_to_release_is_one_and_in_the_currency_of_the_hold(desk: Desk, minor: int, currency: str | None) -> None:
    over = {"related_order_id": "ord-1", "amount_minor": minor, "currency": currency}
    assert _why(desk.do(issue("release", "rel-1", **over))) == "order-incomplete"


def _why(change: OrdersChange) -> str | None:
    return change.refused.problem if change.refused else None
