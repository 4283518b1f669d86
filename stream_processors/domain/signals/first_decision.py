"""Decides a signal again whose fact the log lost: the remains of the first decision bind the second. Pure.

Invariant: a case counts a signal if and only if the signal's fact names the case.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from schemas.cases.case import JoinedSignal
from schemas.signals.assessed import AssessedSignal, AssessOutcome, Route

_BOUND = ("score", "severity", "reasons", "subjects")
"""Members of a join that a second decision may find different."""


class StandingJoin(NamedTuple):
    """A join in the log that was not retracted. `signal`: as the first decision described it, if the log still has that."""

    route: Route
    signal: JoinedSignal | None


class FirstDecision(NamedTuple):
    """`is_withdrawn`: all its joins were retracted. `is_passed`: whether a join of this number would come too late in a case;
    joins of later signals are in its partition, so it would be dropped as a redelivery."""

    joins: tuple[StandingJoin, ...]
    is_withdrawn: bool
    is_passed: Callable[[str, int], bool]


def bind(fact: AssessedSignal, first: FirstDecision) -> AssessedSignal:
    """The fact with the routes of the remaining joins, and those of its own routes that a join can still follow."""
    if fact.outcome is not AssessOutcome.ASSESSED:
        return fact
    routes = [join.route for join in first.joins]
    queues = {route.queue for route in routes}
    for route in fact.routes:
        if route.queue not in queues and not first.is_passed(route.case_id, len(routes)):
            routes.append(route)
    changes: dict[str, Any] = {"routes": tuple(routes)}
    if described := next((join.signal for join in first.joins if join.signal is not None), None):
        changes |= {name: getattr(described, name) for name in _BOUND}
    return fact.model_copy(update=changes)
