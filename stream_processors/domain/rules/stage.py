"""stage: how far it has come with the victim. While a payment is pending it can still be stopped."""

from __future__ import annotations

from schemas.facts import Reason
from schemas.policy import Rules
from schemas.signals import SubmittedSignal
from stream_processors.domain.features import Features
from stream_processors.domain.rules.steps import reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the stage that the sender gave."""
    stage = signal.stage
    return None if stage is None else reason("stage", rules.stage.get(stage, 0), {"stage": stage.value})
