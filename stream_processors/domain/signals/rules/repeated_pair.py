"""repeated_pair: several transfers from the same payer to the same payee within the window.

Splitting a sum keeps each transfer under a bank's limit; a monthly rent is never within the window.
"""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import counting, reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points for so many transfers between the two ends of this one."""
    transfers = features.same_pair
    return reason("repeated_pair", counting(rules.repeated_pair, transfers), {"transfers": transfers})
