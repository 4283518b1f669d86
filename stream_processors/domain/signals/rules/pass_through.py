"""pass_through: nearly the same money comes in and goes on within a short time (a mule or transit account)."""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import reason, within


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the shortest span that the money was held for."""
    held_s = features.held_s
    return None if held_s is None else reason("pass_through", within(rules.pass_through, held_s), {"held_s": held_s})
