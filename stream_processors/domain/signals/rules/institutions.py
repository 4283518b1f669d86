"""institutions: how many institutions saw the same suspect in the window (corroboration). Echoes do not corroborate."""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import counting, reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the highest step that is reached."""
    count = features.institutions
    return reason("institutions", counting(rules.institutions, count), {"institutions": count})
