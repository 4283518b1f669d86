"""Types of rules: by a count, a span, an amount or a choice. Each gives the points of the hardest reached step.

The policy ensures that steps go from the easiest to the hardest, and that a harder one never gives fewer points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

from schemas.policy import AmountStep, CountStep, Rules, SpanStep
from schemas.signals.assessed import Reason
from schemas.signals.submission import SubmittedSignal
from stream_processors.domain.signals.features import Features

GivePoints = Callable[[SubmittedSignal, Features, Rules], Reason | None]


class Rule(NamedTuple):
    """The declaration `RULE` of a rule file. The policy has its points under `name`; `give_points` returns None for none."""

    name: str
    give_points: GivePoints


def count_rule(name: str, evidence: str, count: Callable[[Features], int]) -> Rule:
    """A rule whose steps are "at least so many"."""
    steps_of: Callable[[Rules], Sequence[CountStep]] = attrgetter(name)

    def give_points(_: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
        n = count(features)
        for step in reversed(steps_of(rules)):
            if n >= step.from_count:
                return _make_reason(name, step.points, evidence, n)
        return None

    return Rule(name, give_points)


def span_rule(name: str, evidence: str, measure: Callable[[SubmittedSignal, Features], int | None]) -> Rule:
    """A rule whose steps are "at most so many seconds"; None: there is no such span."""
    steps_of: Callable[[Rules], Sequence[SpanStep]] = attrgetter(name)

    def give_points(signal: SubmittedSignal, features: Features, rules: Rules) -> Reason | None:
        if (span_s := measure(signal, features)) is None:
            return None
        for step in reversed(steps_of(rules)):
            if span_s <= step.within_s:
                return _make_reason(name, step.points, evidence, span_s)
        return None

    return Rule(name, give_points)


def amount_rule(name: str, evidence: str, amount: Callable[[SubmittedSignal], tuple[int | None, str | None]]) -> Rule:
    """A rule whose steps are "at least so much", in fen. Only yuan count; `amount` returns minor units and currency."""
    steps_of: Callable[[Rules], Sequence[AmountStep]] = attrgetter(name)

    def give_points(signal: SubmittedSignal, _: Features, rules: Rules) -> Reason | None:
        minor, currency = amount(signal)
        if minor is None or currency != "CNY":
            return None
        for step in reversed(steps_of(rules)):
            if minor >= step.from_minor:
                return _make_reason(name, step.points, evidence, minor)
        return None

    return Rule(name, give_points)


def choice_rule(name: str, choose: Callable[[SubmittedSignal], StrEnum | None]) -> Rule:
    """A rule with points for each value of a member of the signal; none for a value that the policy does not name."""
    points_of: Callable[[Rules], Mapping[StrEnum, int]] = attrgetter(name)

    def give_points(signal: SubmittedSignal, _: Features, rules: Rules) -> Reason | None:
        value = choose(signal)
        return None if value is None else _make_reason(name, points_of(rules).get(value, 0), name, value.value)

    return Rule(name, give_points)


def _make_reason(rule: str, points: int, evidence: str, value: int | str) -> Reason | None:
    return Reason.trusted(rule=rule, points=points, evidence={evidence: value}) if points else None
