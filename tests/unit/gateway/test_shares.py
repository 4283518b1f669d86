"""Shares: a flood is told from what others send, and is forgotten."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.commands.fair_share import HALF_LIFE_S, Shares


class Clock:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_a_flood_is_above_its_share_and_what_the_others_send_is_not() -> None:
    shares = Shares(Clock())
    for n in range(20):
        shares.add(f"bank-{n:03}", 100)
    shares.add("bank-000", 190_000)
    assert [name for name in (f"bank-{n:03}" for n in range(20)) if shares.above(name)] == ["bank-000"]


def test_whoever_sends_alone_leaves_room_for_others() -> None:
    shares = Shares(Clock())
    shares.add("bank-001", 5000)
    assert shares.above("bank-001") and not shares.above("bank-002")


@given(st.integers(2, 50), st.integers(1, 10**6))
def test_nobody_is_above_where_all_send_alike(institutions: int, signals: int) -> None:
    shares = Shares(Clock())
    for n in range(institutions):
        shares.add(f"bank-{n}", signals)
    assert not any(shares.above(f"bank-{n}") for n in range(institutions))


def test_a_flood_of_before_is_forgotten_and_its_memory_too() -> None:
    clock = Clock()
    shares = Shares(clock)
    shares.add("bank-001", 1000)
    shares.add("bank-002", 10)
    clock.at = 30 * HALF_LIFE_S
    assert not shares.above("bank-001")
    assert shares._counts == {}
