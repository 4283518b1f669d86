"""Supervision measures on a member unit: circular, interview, listed supervision (通报、约谈、挂牌督办), as a table. Pure.

Each has a deadline to rectify and an answer (Art. 46). They are apart from the year's result, which is final: a listing goes on
after it. Invariant: a measure is overdue once a deadline, and never before it; a late answer is kept and marked late.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from schemas.oversight.appraisals import Supervision, SupervisionMove, SupervisionMoveKind, SupervisionState
from stream_processors.domain.refusal import Refusal

APPLIED_KEPT = 64
S, K = SupervisionState, SupervisionMoveKind


class SupervisionChange(NamedTuple):
    """What became of a move: `supervision` after it, or why not. An `echo` was applied before."""

    supervision: Supervision | None = None
    refusal: Refusal | None = None
    echo: bool = False


Effect = Callable[[SupervisionMove, Supervision, datetime], dict[str, Any] | Refusal]


def _answer(move: SupervisionMove, supervision: Supervision, now: datetime) -> dict[str, Any] | Refusal:
    if move.paper is None:
        return Refusal("invalid-move", "an answer names its paper")
    late = supervision.late or now > supervision.answer_by
    return {"state": S.ANSWERED, "answered_at": now, "answer_paper": move.paper, "late": late}


def _fall_due(move: SupervisionMove, supervision: Supervision, now: datetime) -> dict[str, Any] | Refusal:
    if now < supervision.answer_by:
        return Refusal("not-due", f"the answer is due at {supervision.answer_by:%Y-%m-%dT%H:%M:%SZ}")
    return {"state": S.OVERDUE, "missed": supervision.missed + 1}


def _later(move: SupervisionMove, supervision: Supervision, now: datetime) -> dict[str, Any] | Refusal:
    if move.answer_by is None or move.answer_by <= now:
        return Refusal("invalid-move", "a new deadline lies ahead")
    returned = supervision.returned + (move.kind is K.RETURN)
    return {"state": S.ISSUED, "answer_by": move.answer_by, "returned": returned}


def _accept(move: SupervisionMove, supervision: Supervision, now: datetime) -> dict[str, Any] | Refusal:
    return {"state": S.LIFTED, "ended_at": now}


def _withdraw(move: SupervisionMove, supervision: Supervision, now: datetime) -> dict[str, Any] | Refusal:
    return {"state": S.WITHDRAWN, "ended_at": now}


class Move(NamedTuple):
    """`to`: where it leads."""

    to: tuple[SupervisionState, ...]
    effect: Effect


TABLE: dict[tuple[SupervisionState, SupervisionMoveKind], Move] = {
    (S.ISSUED, K.ANSWER): Move((S.ANSWERED,), _answer),
    (S.ISSUED, K.FALL_DUE): Move((S.OVERDUE,), _fall_due),
    (S.ISSUED, K.EXTEND): Move((S.ISSUED,), _later),
    (S.ISSUED, K.WITHDRAW): Move((S.WITHDRAWN,), _withdraw),
    (S.OVERDUE, K.ANSWER): Move((S.ANSWERED,), _answer),
    (S.OVERDUE, K.EXTEND): Move((S.ISSUED,), _later),
    (S.OVERDUE, K.WITHDRAW): Move((S.WITHDRAWN,), _withdraw),
    (S.ANSWERED, K.RETURN): Move((S.ISSUED,), _later),
    (S.ANSWERED, K.ACCEPT): Move((S.LIFTED,), _accept),
    (S.ANSWERED, K.WITHDRAW): Move((S.WITHDRAWN,), _withdraw),
}
"""Nothing leads out of LIFTED and WITHDRAWN."""
BY_UNIT = frozenset({K.ANSWER})
BY_CLOCK = frozenset({K.FALL_DUE})
"""All other moves are the coordination body's."""


def open_moves(supervision: Supervision) -> list[str]:
    return [kind.value for state, kind in TABLE if state is supervision.state]


def decide(*, move: SupervisionMove, supervision: Supervision | None, now: datetime) -> SupervisionChange:
    """What becomes of the move."""
    if supervision is None:
        return _issued(move, now)
    if move.move_id in supervision.applied:
        return SupervisionChange(echo=True)
    if move.revision is not None and move.revision != supervision.revision:
        detail = f"the measure is at revision {supervision.revision}, the request was made on {move.revision}; read it again"
        return SupervisionChange(refusal=Refusal("stale-revision", detail))
    entry = TABLE.get((supervision.state, move.kind))
    if entry is None:
        moves = ", ".join(open_moves(supervision)) or "none"
        detail = f"the measure is {supervision.state}; moves open now: {moves}"
        return SupervisionChange(refusal=Refusal("not-allowed", detail))
    permitted = supervision.unit if move.kind in BY_UNIT else supervision.body
    if move.kind not in BY_CLOCK and move.party != permitted:
        return SupervisionChange(refusal=Refusal("forbidden", f"only {permitted} may do this"))
    changes = entry.effect(move, supervision, now)
    if isinstance(changes, Refusal):
        return SupervisionChange(refusal=changes)
    applied = (*supervision.applied[1 - APPLIED_KEPT :], move.move_id)
    changes |= {"revision": supervision.revision + 1, "changed_at": now, "applied": applied}
    return SupervisionChange(supervision.model_copy(update=changes))


def _issued(move: SupervisionMove, now: datetime) -> SupervisionChange:
    if move.kind is not K.ISSUE:
        return SupervisionChange(refusal=Refusal("not-found", f"there is no measure {move.supervision_id}"))
    if move.unit is None or move.measure is None or move.why is None or move.paper is None:
        return SupervisionChange(refusal=Refusal("invalid-move", "a measure names the unit, its kind, why, and its paper"))
    if move.answer_by is None or move.answer_by <= now:
        return SupervisionChange(refusal=Refusal("invalid-move", "a measure has a deadline that lies ahead"))
    made = Supervision.trusted(
        supervision_id=move.supervision_id,
        body=move.party,
        unit=move.unit,
        kind=move.measure,
        why=move.why,
        state=S.ISSUED,
        revision=1,
        issued_at=now,
        changed_at=now,
        answer_by=move.answer_by,
        paper=move.paper,
        applied=(move.move_id,),
    )
    return SupervisionChange(made)
