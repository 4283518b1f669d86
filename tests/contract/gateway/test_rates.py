"""Limits: so many at once, then one in an interval; for one sender and for all."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

import pytest

from gateway.adapters.idempotency import StateUnavailable
from gateway.security.rate_limits import Group, Rate, Rates

WIDE = Rate(1000, 3600)


@pytest.fixture
def what() -> str:
    """Limits of a test's own."""
    return f"w-{secrets.token_hex(6)}"


async def test_a_sender_has_its_burst_at_once_and_then_waits_at_most_an_interval(rates: Rates, what: str):
    one = Rate(3, 3600)
    assert [await rates.take(what, "a", one, WIDE) for _ in range(3)] == [0, 0, 0]
    for _ in range(3):  # being refused costs nothing
        assert 1190 < await rates.take(what, "a", one, WIDE) <= 1200


async def test_a_sender_that_is_refused_costs_others_nothing(rates: Rates, what: str):
    one, all_ = Rate(1, 3600), Rate(3, 3600)
    assert await rates.take(what, "a", one, all_) == 0
    for _ in range(5):
        assert await rates.take(what, "a", one, all_) > 0
    assert [await rates.take(what, who, one, all_) for who in ("b", "c")] == [0, 0]


async def test_all_together_have_a_limit_and_who_is_refused_by_it_has_taken_nothing_of_its_own(
    rates: Rates, what: str, pass_s: Callable[[float], Awaitable[None]]
):
    one, all_ = Rate(1, 3600), Rate(2, 1)
    assert [await rates.take(what, who, one, all_) for who in "ab"] == [0, 0]
    assert 0 < await rates.take(what, "c", one, all_) <= 0.5
    await pass_s(0.6)
    assert await rates.take(what, "c", one, all_) == 0
    assert await rates.take(what, "c", one, all_) > 3000


async def test_the_longer_wait_of_the_two_is_told(rates: Rates, what: str):
    one, all_ = Rate(1, 60), Rate(1, 3600)
    assert await rates.take(what, "a", one, all_) == 0
    assert 3590 < await rates.take(what, "a", one, all_) <= 3600


async def test_what_was_waited_for_is_there_and_no_more_than_the_burst_comes_back(
    rates: Rates, what: str, pass_s: Callable[[float], Awaitable[None]]
):
    one = Rate(2, 0.4)
    assert [await rates.take(what, "a", one, WIDE) for _ in range(2)] == [0, 0]
    await pass_s(await rates.take(what, "a", one, WIDE) + 0.02)
    assert await rates.take(what, "a", one, WIDE) == 0
    await pass_s(2)
    slow = Rate(2, 3600)  # so that nothing comes back between two calls
    found = [await rates.take(what, "a", slow, WIDE) for _ in range(3)]
    assert found[:2] == [0, 0] and found[2] > 0


def _groups(*names: str, bursts: tuple[int, ...] = (1, 2, 4)) -> list[Group]:
    return [Group(name, Rate(burst, 3600)) for name, burst in zip(names, bursts, strict=True)]


async def test_a_group_has_its_own_limit_however_many_senders_are_in_it(rates: Rates, what: str):
    async def take(sender: str, site: str, net: str) -> bool:
        return await rates.take_in_groups(what, _groups(sender, site, net), WIDE, WIDE) == 0

    assert [await take(f"a{n}", "site-1", "net") for n in range(4)] == [True, True, False, False]
    assert [await take(f"b{n}", "site-2", "net") for n in range(4)] == [True, True, False, False]
    assert not await take("c", "site-3", "net"), "the network has had its own"
    assert await take("c", "site-4", "net-2"), "who was refused has taken nothing"


async def test_a_group_that_took_nothing_lately_has_the_reserve(rates: Rates, what: str):
    all_, reserve = Rate(2, 3600), Rate(2, 3600)

    async def take(net: str) -> bool:
        return await rates.take_in_groups(what, _groups(f"a-{net}", f"s-{net}", net, bursts=(9, 9, 9)), all_, reserve) == 0

    assert [await take("flood") for _ in range(6)] == [True, True, True, False, False, False], "one of the reserve, two of all"
    assert [await take(net) for net in ("x", "y", "z")] == [True, False, False], "one is left of the reserve"


async def test_one_thing_is_not_counted_with_another(rates: Rates, what: str):
    one = Rate(1, 3600)
    assert await rates.take(what, "a", one, one) == 0
    assert await rates.take(f"{what}-2", "a", one, one) == 0
    assert await rates.take(what, "a", one, one) > 0


async def test_limits_that_do_not_answer_say_so(rates_away: Rates, what: str):
    with pytest.raises(StateUnavailable):
        await rates_away.take(what, "a", WIDE, WIDE)
