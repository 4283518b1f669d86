"""freshness: how old the event is when it is reported. Fresh money can still be stopped."""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import reason, within


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the shortest span that the age fits in. An event that is still to come is fresh."""
    age_s = max(0, features.age_s)
    return reason("freshness", within(rules.freshness, age_s), {"age_s": age_s})
