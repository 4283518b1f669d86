"""A signal that is decided again because the log lost its fact: what the log holds of the first decision binds the second. Pure.

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
    """A join that stands in the log and that nothing took back. `signal`: as the first decision described it, where the log still
    says so."""

    route: Route
    signal: JoinedSignal | None


class FirstDecision(NamedTuple):
    """`is_withdrawn`: all that it joined was taken back. `is_passed`: of a case and a join's number, whether the join would
    come too late there; joins of later signals stand in its partition, so that it would be taken for an echo."""

    joins: tuple[StandingJoin, ...]
    is_withdrawn: bool
    is_passed: Callable[[str, int], bool]


def bind(fact: AssessedSignal, first: FirstDecision) -> AssessedSignal:
    """The fact with the routes of the joins that stand, and with those of its own that a join can still follow."""
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
