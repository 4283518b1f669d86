"""What the rules share: the points of the hardest step that is reached, and the reason that they give.

The policy holds that steps stand from the easiest to the hardest, and that a harder one never gives fewer points.
"""

from __future__ import annotations

from collections.abc import Sequence

from schemas.policy import AmountStep, CountStep, SpanStep
from schemas.signals.assessed import Reason


def amounting(steps: Sequence[AmountStep], minor: int) -> int:
    for step in reversed(steps):
        if minor >= step.from_minor:
            return step.points
    return 0


def counting(steps: Sequence[CountStep], n: int) -> int:
    for step in reversed(steps):
        if n >= step.from_count:
            return step.points
    return 0


def within(steps: Sequence[SpanStep], span_s: int) -> int:
    for step in reversed(steps):
        if span_s <= step.within_s:
            return step.points
    return 0


def reason(rule: str, points: int, evidence: dict[str, int | str]) -> Reason | None:
    """None when the rule gives nothing."""
    return Reason.trusted(rule=rule, points=points, evidence=evidence) if points else None
