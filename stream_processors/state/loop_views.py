"""What is told of a case beside what it holds: its phase, the moves that are open, what came of it for a sender. The read side.

Invariant: all of it follows from the case alone, by the same pure core that decides its actions; nothing here changes anything.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from schemas.cases import Case, CaseStatus
from schemas.feedback import Feedback
from schemas.objections import Objection
from schemas.orders import LIVE, Order
from schemas.tasks import Task
from stream_processors.domain import case as cases
from stream_processors.domain import dissuasion, feedback, objection, order
from stream_processors.domain.feedback import others
from stream_processors.domain.loop import Role, open_moves
from stream_processors.domain.orders import held_minor
from stream_processors.domain.trust import low

__all__ = [
    "MERGES_FOLLOWED",
    "Phase",
    "case_moves",
    "concerns",
    "feedback_of",
    "handling_of",
    "objection_moves",
    "order_moves",
    "others",
    "phase_of",
    "task_moves",
]

MERGES_FOLLOWED = 8
"""So often whoever looks for a case goes on to the one that it was merged into."""
Phase = Literal["opened", "acknowledged", "in_handling", "ordered", "disposed", "closed", "retracted", "merged"]
_ENDS: dict[CaseStatus, Phase] = {
    CaseStatus.DISPOSED: "disposed",
    CaseStatus.CLOSED: "closed",
    CaseStatus.RETRACTED: "retracted",
    CaseStatus.MERGED: "merged",
}


def phase_of(case: Case) -> Phase:
    """How far the loop has come. An order that lasts tells more than who works on the case."""
    if case.status in _ENDS:
        return _ENDS[case.status]
    if any(one.state in LIVE and one.issued_at is not None for one in case.orders):
        return "ordered"
    if case.holder is not None:
        return "in_handling"
    return "opened" if case.acknowledged_at is None else "acknowledged"


def case_moves(case: Case, now: datetime) -> list[str]:
    """The officers' moves that the case's state allows; a guard may still refuse one."""
    return cases.open_moves(case, now)


def order_moves(one: Order, role: Role) -> tuple[str, ...]:
    return open_moves(order.TABLE, one.state, one, role)


def task_moves(one: Task, role: Role) -> tuple[str, ...]:
    return open_moves(dissuasion.TABLE, one.state, one, role)


def objection_moves(one: Objection, case: Case, party: str, officer: str | None) -> list[str]:
    return objection.open_moves(party, officer, one, objection.Around(case.queue))


def concerns(case: Case, institution: str) -> bool:
    """Whether the institution is part of the case: a live signal or a measure of its own, an order that was sent to it, a task
    that it was asked, an objection that came through it."""
    return (
        institution in case.institutions
        or any(one.institution == institution and not low(one) for one in case.signals)
        or any(one.institution == institution for one in case.measures)
        or any(one.recipient == institution and one.issued_at is not None for one in case.orders)
        or any(reach.party == institution for one in case.tasks for reach in one.reach)
        or any(one.through == institution for one in case.objections)
    )


def feedback_of(case: Case, signal_id: str, institution: str) -> Feedback:
    """What came of a signal in its case: its own state while the case lists it, after that what holds of its sender's oldest."""
    handling = handling_of(case)
    listed = [one for one in case.signals if one.signal_id == signal_id and one.institution == institution]
    if listed:
        return feedback.of_signal(case, max(listed, key=lambda one: one.version), handling)
    return feedback.of_institution(case, institution, handling).model_copy(update={"signal_id": signal_id})


def handling_of(case: Case) -> feedback.Handling:
    """What was done in the case. Held by orders, blocked by institutions and not paid by who was dissuaded may be the same money,
    so it is told as no more than what the case is about."""
    acts = {one.kind.value for one in case.orders if one.executed_at} | {one.kind.value for one in case.measures}
    sums = held_minor(case.orders)
    _add(sums, ((one.currency, one.paid_minor) for one in case.orders))
    _add(sums, ((one.currency, one.amount_minor or 0) for one in case.measures))
    _add(sums, ((one.currency, one.saved_minor or 0) for one in case.tasks))
    saved = {name: min(minor, case.amount_minor.get(name, minor)) for name, minor in sums.items()}
    last = max((at for at in (case.acknowledged_at, case.disposed_at, case.closed_at) if at is not None), default=None)
    seen = frozenset(one.signal_id for one in case.signals if last is not None and one.accepted_at <= last)
    return feedback.Handling(seen=seen, acts=frozenset(acts), saved_minor=saved)


def _add(sums: dict[str, int], found: Iterable[tuple[str | None, int]]) -> None:
    for currency, minor in found:
        if currency is not None and minor:
            sums[currency] = sums.get(currency, 0) + minor
