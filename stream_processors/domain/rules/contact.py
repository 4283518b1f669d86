"""contact: a call or message to a victim shortly before money of the same person moves (a victim at risk)."""

from __future__ import annotations

from schemas.facts import Reason
from schemas.policy import Rules
from schemas.signals import SubmittedSignal
from stream_processors.domain.features import Features
from stream_processors.domain.rules.steps import reason, within


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the shortest span between contact and payment that fits, whichever was reported first."""
    gap_s = features.contact_gap_s
    return None if gap_s is None else reason("contact", within(rules.contact, gap_s), {"gap_s": gap_s})
