"""Waiting between tries."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors.client.backoff import Backoff, retry_after_s


def longest(low: float, high: float) -> float:
    return high


def test_the_wait_doubles_up_to_its_bound():
    backoff = Backoff(first_s=0.2, longest_s=3.0, uniform=longest)
    assert [backoff.wait_s(n) for n in (1, 2, 3, 4, 5, 50)] == [0.2, 0.4, 0.8, 1.6, 3.0, 3.0]


def test_half_of_it_is_chance():
    seen = {Backoff(1.0, 8.0).wait_s(3) for _ in range(200)}
    assert min(seen) >= 2.0
    assert max(seen) <= 4.0
    assert len(seen) > 100


def test_it_is_never_shorter_than_the_server_asked_for():
    assert all(Backoff(0.1, 0.2).wait_s(1, 7.0) >= 7.0 for _ in range(50))


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("2", 2.0),
        (" 15 ", 15.0),
        ("99999999", 3600.0),
        ("Sun, 01 Mar 2026 08:00:10 GMT", 10.0),
        ("Sun, 01 Mar 2026 07:00:00 GMT", 0.0),
        ("Sun, 01 Mar 2026 08:00:10 -0000", 10.0),
        ("Sun, 01 Mar 99999999999999999999 08:00:10 GMT", None),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_of_its_forms(header, seconds):
    assert retry_after_s(header, datetime(2026, 3, 1, 8, tzinfo=UTC)) == seconds
