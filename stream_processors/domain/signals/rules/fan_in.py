"""fan_in: many different payers to a suspect payee within the window (a collecting account)."""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import counting, reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points for so many different payers."""
    payers = features.fan_in
    return reason("fan_in", counting(rules.fan_in, payers), {"payers": payers})
