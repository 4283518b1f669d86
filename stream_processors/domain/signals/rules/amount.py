"""amount: how much money is at stake in this signal. Only yuan are weighed; other currencies have no steps."""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import amounting, reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the highest step that the amount reaches."""
    minor = signal.amount_minor
    if minor is None or signal.currency != "CNY":
        return None
    return reason("amount", amounting(rules.amount, minor), {"amount_minor": minor})
