"""The score: the sum of the rules' points, at most 100, each with its reason; and its severity."""

from __future__ import annotations

from schemas.policy import Policy
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features
from stream_processors.domain.signals.rules import RULES

MAX_SCORE = 100


def score(signal: SubmittedSignal, features: Features, policy: Policy) -> tuple[int, tuple[Reason, ...]]:
    """Points in all (0 to 100) and the reasons behind them."""
    reasons = tuple(reason for rule in RULES.values() if (reason := rule(signal, features, policy.rules)) is not None)
    return min(MAX_SCORE, sum(reason.points for reason in reasons)), reasons


def severity(points: int, policy: Policy) -> str:
    """The highest severity whose threshold the score reaches; `none` below all."""
    reached = [(threshold, name) for name, threshold in policy.severities.items() if points >= threshold]
    return max(reached)[1] if reached else "none"
