"""velocity: how often the worst of its suspects was seen in the window. Echoes (`derived_from`) are no sightings."""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import counting, reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the highest step that is reached."""
    count = features.sightings
    return reason("velocity", counting(rules.velocity, count), {"sightings": count})
