"""How a case ends: the outcome that the officer gives."""

from __future__ import annotations

from enum import StrEnum


class Disposition(StrEnum):
    """TRANSFERRED: handed over to an authority outside. Between units of this system the case itself is transferred."""

    CONFIRMED = "confirmed"
    FALSE_POSITIVE = "false_positive"
    INSUFFICIENT = "insufficient"
    TRANSFERRED = "transferred"
