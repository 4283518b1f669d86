"""repeat_victim: the victim was one before, in another event. Who was deceived once is called again."""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import counting, reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points for so many earlier events of the worst-hit victim."""
    events = features.victim_events
    return reason("repeat_victim", counting(rules.repeat_victim, events), {"events": events})
