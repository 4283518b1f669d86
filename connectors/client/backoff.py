"""Waits between retries: exponential with full jitter, never shorter than the server asked for."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


@dataclass(frozen=True, slots=True)
class Backoff:
    """`first_s` doubles with each try up to `max_s`; the wait is a random share of it, so that senders spread out."""

    first_s: float = 0.2
    longest_s: float = 15.0
    uniform: Callable[[float, float], float] = field(default=random.uniform)

    def wait_s(self, tries: int, retry_after_s: float | None = None) -> float:
        """Returns the wait after the `attempt_count`-th failure (from 1)."""
        span = min(self.longest_s, self.first_s * 2.0 ** min(tries - 1, 16))
        jittered = self.uniform(span / 2, span)
        return jittered if retry_after_s is None else max(jittered, retry_after_s + self.uniform(0, span / 4))


def retry_after_s(header: str | None, now: datetime | None = None) -> float | None:
    """Returns the seconds of a Retry-After header in either form (RFC 9110, 10.2.3); None if there is no readable one."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text), 3600))
    try:
        moment = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    # `-0000` says that the zone is not known; HTTP's dates are in UTC.
    remaining_s = (moment.replace(tzinfo=moment.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds()
    return min(max(remaining_s, 0.0), 3600.0)
