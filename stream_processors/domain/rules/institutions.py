"""institutions: how many institutions saw the same suspect in the window (corroboration)."""

from __future__ import annotations

from schemas.facts import Reason
from schemas.policy import Rules
from schemas.signals import SubmittedSignal
from stream_processors.domain.features import Features


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the highest step that is reached."""
    seen = features.institutions
    worth = max((step.points for step in rules.institutions if seen >= step.from_count), default=0)
    return Reason.trusted(rule="institutions", points=worth, evidence={"institutions": seen}) if worth else None
