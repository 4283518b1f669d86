"""The rules, one small file each: `points(signal, features, rules) -> Reason | None`. Order is the order of reasons."""

from __future__ import annotations

from collections.abc import Callable

from schemas.facts import Reason
from schemas.policy import Rules
from schemas.signals import SubmittedSignal
from stream_processors.domain.features import Features
from stream_processors.domain.rules import amount, institutions, kind, velocity

Rule = Callable[[SubmittedSignal, Features, Rules], Reason | None]

RULES: tuple[Rule, ...] = (kind.points, amount.points, velocity.points, institutions.points)
