"""How a case ends: the officer's word on it."""

from __future__ import annotations

from enum import StrEnum


class Disposition(StrEnum):
    """TRANSFERRED: handed over to an authority outside; between units of this system a case is transferred as it stands."""

    CONFIRMED = "confirmed"
    FALSE_POSITIVE = "false_positive"
    INSUFFICIENT = "insufficient"
    TRANSFERRED = "transferred"
