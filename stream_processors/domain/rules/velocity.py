"""velocity: how often the worst of its suspects was seen in the window."""

from __future__ import annotations

from schemas.facts import Reason
from schemas.policy import Rules
from schemas.signals import SubmittedSignal
from stream_processors.domain.features import Features


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the highest step that is reached."""
    seen = features.sightings
    worth = max((step.points for step in rules.velocity if seen >= step.from_count), default=0)
    return Reason.trusted(rule="velocity", points=worth, evidence={"sightings": seen}) if worth else None
