"""fan_out: a suspect payer to many different payees within the window (a distributing account)."""

from __future__ import annotations

from schemas.facts import Reason
from schemas.policy import Rules
from schemas.signals import SubmittedSignal
from stream_processors.domain.features import Features
from stream_processors.domain.rules.steps import counting, reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points for so many different payees."""
    payees = features.fan_out
    return reason("fan_out", counting(rules.fan_out, payees), {"payees": payees})
