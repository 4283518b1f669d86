"""A clock that only the test moves; the in-memory log and store share one."""

from __future__ import annotations

from tests.support.builders import T0_MS


class Clock:
    """Milliseconds since 1970, from T0 on."""

    def __init__(self, ms: int = T0_MS) -> None:
        self.ms = ms

    def forward(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)
