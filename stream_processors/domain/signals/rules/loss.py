"""loss: what the victim has lost already. Only yuan are weighed."""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import amounting, reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the highest step that the loss reaches."""
    minor = signal.loss_minor
    if not minor or signal.loss_currency != "CNY":
        return None
    return reason("loss", amounting(rules.loss, minor), {"loss_minor": minor})
