"""From an assessed fact to the joins that it asks for: a function of the fact alone, so that any owner may emit them."""

from __future__ import annotations

from schemas.cases import Action, ActionKind, JoinedSignal
from schemas.facts import AssessedSignal


def joins(fact: AssessedSignal) -> list[Action]:
    """One join a route; `action_id` follows from signal and case."""
    if not fact.routes:
        return []
    signal = JoinedSignal.model_construct(
        **{name: getattr(fact, name) for name in JoinedSignal.model_fields},
    )
    return [
        Action.model_construct(
            action_id=f"join-{fact.signal_id}-{route.queue}",
            case_id=route.case_id,
            kind=ActionKind.JOIN,
            queue=route.queue,
            signal=signal,
        )
        for route in fact.routes
    ]
