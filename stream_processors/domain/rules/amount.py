"""amount: how much money is at stake in this signal. Only yuan are weighed; other currencies have no steps."""

from __future__ import annotations

from schemas.facts import Reason
from schemas.policy import Rules
from schemas.signals import SubmittedSignal
from stream_processors.domain.features import Features


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the highest step that the amount reaches."""
    minor = signal.amount_minor
    if minor is None or signal.currency != "CNY":
        return None
    worth = max((step.points for step in rules.amount if minor >= step.from_minor), default=0)
    return Reason.trusted(rule="amount", points=worth, evidence={"amount_minor": minor}) if worth else None
