"""contact: a call or message to a victim shortly before money of the same person moves (a victim at risk)."""

from __future__ import annotations

from schemas.policy import Rules
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules.steps import reason, within


def points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
    """The points of the shortest span between contact and payment that fits, whichever was reported first."""
    gap_s = features.contact_gap_s
    return None if gap_s is None else reason("contact", within(rules.contact, gap_s), {"gap_s": gap_s})
