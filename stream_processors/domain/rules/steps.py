"""What the rules share: the points of the hardest step that is reached, and the reason that they give."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.facts import Reason
from schemas.policy import AmountStep, CountStep, SpanStep


def amounting(steps: Iterable[AmountStep], minor: int) -> int:
    return max((step.points for step in steps if minor >= step.from_minor), default=0)


def counting(steps: Iterable[CountStep], n: int) -> int:
    return max((step.points for step in steps if n >= step.from_count), default=0)


def within(steps: Iterable[SpanStep], span_s: int) -> int:
    return max((step.points for step in steps if span_s <= step.within_s), default=0)


def reason(rule: str, points: int, evidence: dict[str, int | str]) -> Reason | None:
    """None when the rule gives nothing."""
    return Reason.trusted(rule=rule, points=points, evidence=evidence) if points else None
