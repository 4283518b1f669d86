"""The broker's time, which alone decides whether a moment is due; from its stamps, whatever our own wall clock shows. Pure.

Our monotonic clock carries it on between two stamps. A stamp was given before it arrived, so the computed time is behind the
broker's time by that delay, never ahead. Invariant: a broker whose clock runs evenly is never overtaken.
"""

from __future__ import annotations

HOLD_MS = 60_000
"""Time for which the best stamp counts against newer ones that took longer. Deadlines drift, and may be set back."""
SILENT_MS = 600_000
"""Age at which the stamp is too old to trust, and the broker is asked again."""


class BrokerTime:
    """Monotonic times in milliseconds, of any origin."""

    def __init__(self) -> None:
        self._ahead_ms: int | None = None
        self._best_ms = self._heard_ms = 0

    def acknowledged(self, stamp_ms: int, mono_ms: int) -> None:
        """The broker just stamped a record of ours."""
        self._heard_ms = mono_ms
        ahead = stamp_ms - mono_ms
        if self._ahead_ms is None or ahead >= self._ahead_ms or mono_ms - self._best_ms >= HOLD_MS:
            self._ahead_ms, self._best_ms = ahead, mono_ms

    def seen(self, stamp_ms: int, mono_ms: int) -> None:
        """A record that it stamped earlier: its time is at least later than that."""
        if self._ahead_ms is not None and stamp_ms - mono_ms > self._ahead_ms:
            self._ahead_ms, self._best_ms = stamp_ms - mono_ms, mono_ms

    def known(self, mono_ms: int) -> bool:
        return self._ahead_ms is not None and mono_ms - self._heard_ms < SILENT_MS

    def now_ms(self, mono_ms: int) -> int | None:
        """Milliseconds since 1970; None if nothing is known yet."""
        return None if self._ahead_ms is None else mono_ms + self._ahead_ms
