"""What an endpoint's status means, and when it wants to be asked again."""

from __future__ import annotations

import pytest

from stream_processors.webhooks.responses import LONGEST_WISH_S, CallOutcome, of_status, retry_after_s
from tests.support.builders import T0

DELIVERED, LATER, GONE, REFUSED = CallOutcome.DELIVERED, CallOutcome.RETRY_LATER, CallOutcome.GONE, CallOutcome.REFUSED


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        *((status, DELIVERED) for status in (200, 201, 202, 204, 299)),
        *((status, REFUSED) for status in (101, 301, 302, 307, 400, 401, 403, 404, 409, 422, 600, 999)),
        *((status, LATER) for status in (408, 425, 429, 500, 502, 503, 504, 599)),
        (410, GONE),
    ],
)
def test_the_status_decides_what_becomes_of_a_delivery(status: int, outcome: CallOutcome) -> None:
    answer = of_status(status, None, T0)
    assert (answer.outcome, answer.status) == (outcome, status)
    assert (answer.why is None) == (outcome is DELIVERED)


def test_a_wish_counts_only_for_what_is_tried_again() -> None:
    assert of_status(503, "60", T0).retry_after_s == 60.0
    assert of_status(404, "60", T0).retry_after_s is None
    assert of_status(200, "60", T0).retry_after_s is None


@pytest.mark.parametrize(
    ("header", "wish"),
    [
        ("0", 0.0),
        (" 30 ", 30.0),
        ("9" * 5000, LONGEST_WISH_S),
        ("Mon, 02 Mar 2026 01:02:00 GMT", 120.0),
        ("Mon, 02 Mar 2026 01:02:00 -0000", 120.0),
        ("Mon, 02 Mar 2026 00:00:00 GMT", 0.0),
        ("Mon, 02 Mar 2099 00:00:00 GMT", LONGEST_WISH_S),
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣٠", None),
        ("Mon, 99 Mar 2026 00:00:00 GMT", None),
        ("Mon, 02 Mar 99999999999 00:00:00 GMT", None),
        ("Mon, 02 Mar 2026 00:00:00 +99999999", None),
    ],
)
def test_a_wish_is_read_in_both_forms_and_bounded(header: str | None, wish: float | None) -> None:
    assert retry_after_s(header, T0) == wish
