"""fan_out: a suspect payer to many different payees within the window (a distributing account)."""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import counting, reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points for so many different payees."""
    payees = features.fan_out
    return reason("fan_out", counting(rules.fan_out, payees), {"payees": payees})
