"""stage: how far it has come with the victim. While a payment is pending it can still be stopped."""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the stage that the sender gave."""
    stage = signal.stage
    return None if stage is None else reason("stage", rules.stage.get(stage, 0), {"stage": stage.value})
