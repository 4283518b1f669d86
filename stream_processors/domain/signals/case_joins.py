"""Derives the joins from an assessed fact, and from nothing else, so that any owner may emit them."""

from __future__ import annotations

from schemas.cases.case import Action, ActionKind, JoinedSignal
from schemas.signals.assessed import AssessedSignal
from schemas.signals.retraction import name_of

_SHARED = tuple(JoinedSignal.model_fields)


def joins(fact: AssessedSignal) -> list[Action]:
    """One join for each route; `action_id` follows from signal and case."""
    if not fact.routes:
        return []
    name = name_of(str(fact.signal_id), fact.version)
    signal = JoinedSignal.trusted(**{name: getattr(fact, name) for name in _SHARED})
    return [
        Action.trusted(
            action_id=f"join-{name}-{route.queue}",
            case_id=route.case_id,
            kind=ActionKind.JOIN,
            queue=route.queue,
            signal=signal,
            linked_case_ids=tuple(other.case_id for other in fact.routes if other.case_id != route.case_id),
        )
        for route in fact.routes
    ]
