"""repeat_victim: the victim was one before, in another event. Who was deceived once is called again."""

from __future__ import annotations

from schemas.facts import Reason
from schemas.policy import Rules
from schemas.signals import SubmittedSignal
from stream_processors.domain.features import Features
from stream_processors.domain.rules.steps import counting, reason


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points for so many earlier events of the worst-hit victim."""
    events = features.victim_events
    return reason("repeat_victim", counting(rules.repeat_victim, events), {"events": events})
