"""Requests for assessment data: asked, handed in, found wanting, as a table. Pure.

Art. 46(5) names who conceals, omits or refuses assessment data. Invariant: data that come late are taken and count as late, and
a finding stands until the body itself takes it back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from schemas.oversight.oversight import DataMove, DataMoveKind, DataRequest, DataState
from schemas.scorecards import DataFigures
from stream_processors.domain.refusal import Refusal

APPLIED_KEPT = 64
S, K = DataState, DataMoveKind


class DataChange(NamedTuple):
    """What became of a move: `request` after it, or why not. An `echo` was applied before."""

    request: DataRequest | None = None
    refusal: Refusal | None = None
    echo: bool = False


Effect = Callable[[DataMove, DataRequest, datetime], dict[str, Any] | Refusal]


def _hand_in(move: DataMove, request: DataRequest, now: datetime) -> dict[str, Any] | Refusal:
    if move.paper is None:
        return Refusal("invalid-move", "what is handed in names its paper")
    return {"state": S.HANDED_IN, "handed_in_at": request.handed_in_at or now, "handed_in_paper": move.paper}


def _extend(move: DataMove, request: DataRequest, now: datetime) -> dict[str, Any] | Refusal:
    if move.due_at is None or move.due_at <= now:
        return Refusal("invalid-move", "a new deadline lies ahead")
    return {"due_at": move.due_at}


def _find(move: DataMove, request: DataRequest, now: datetime) -> dict[str, Any] | Refusal:
    if move.finding is None:
        return Refusal("invalid-move", "a finding says what: concealed, omitted or refused")
    if now < request.due_at and request.handed_in_at is None:
        return Refusal("not-due", f"the data are due at {request.due_at:%Y-%m-%dT%H:%M:%SZ}")
    return {"state": S.FOUND, "finding": move.finding}


def _clear(move: DataMove, request: DataRequest, now: datetime) -> dict[str, Any] | Refusal:
    return {"state": S.HANDED_IN if request.handed_in_at else S.ASKED, "finding": None}


def _withdraw(move: DataMove, request: DataRequest, now: datetime) -> dict[str, Any] | Refusal:
    return {"state": S.WITHDRAWN}


class Move(NamedTuple):
    """`to`: where it may lead."""

    to: tuple[DataState, ...]
    effect: Effect


TABLE: dict[tuple[DataState, DataMoveKind], Move] = {
    (S.ASKED, K.HAND_IN): Move((S.HANDED_IN,), _hand_in),
    (S.ASKED, K.EXTEND): Move((S.ASKED,), _extend),
    (S.ASKED, K.FIND): Move((S.FOUND,), _find),
    (S.ASKED, K.WITHDRAW): Move((S.WITHDRAWN,), _withdraw),
    (S.HANDED_IN, K.HAND_IN): Move((S.HANDED_IN,), _hand_in),
    (S.HANDED_IN, K.FIND): Move((S.FOUND,), _find),
    (S.HANDED_IN, K.WITHDRAW): Move((S.WITHDRAWN,), _withdraw),
    (S.FOUND, K.FIND): Move((S.FOUND,), _find),
    (S.FOUND, K.CLEAR): Move((S.ASKED, S.HANDED_IN), _clear),
    (S.FOUND, K.WITHDRAW): Move((S.WITHDRAWN,), _withdraw),
}
"""Nothing leads out of WITHDRAWN. What is handed in again replaces the paper and keeps the first time."""
BY_UNIT = frozenset({K.HAND_IN})
"""All other moves are the coordination body's."""


def open_moves(request: DataRequest) -> list[str]:
    return [kind.value for state, kind in TABLE if state is request.state]


def decide(*, move: DataMove, request: DataRequest | None, now: datetime) -> DataChange:
    """What becomes of the move."""
    if request is None:
        return _open_request(move, now)
    if move.move_id in request.applied:
        return DataChange(echo=True)
    if move.revision is not None and move.revision != request.revision:
        detail = f"the request is at revision {request.revision}, yours was made on {move.revision}; read it again"
        return DataChange(refusal=Refusal("stale-revision", detail))
    entry = TABLE.get((request.state, move.kind))
    if entry is None:
        moves = open_moves(request)
        detail = f"the request is {request.state}; moves open now: {', '.join(moves) or 'none'}"
        return DataChange(refusal=Refusal("not-allowed", detail, tuple(moves)))
    permitted = request.unit if move.kind in BY_UNIT else request.body
    if move.party != permitted:
        return DataChange(refusal=Refusal("forbidden", f"only {permitted} may do this"))
    changes = entry.effect(move, request, now)
    if isinstance(changes, Refusal):
        return DataChange(refusal=changes)
    applied = (*request.applied[1 - APPLIED_KEPT :], move.move_id)
    changes |= {"revision": request.revision + 1, "changed_at": now, "applied": applied}
    return DataChange(request.model_copy(update=changes))


def _open_request(move: DataMove, now: datetime) -> DataChange:
    if move.kind is not K.ASK:
        return DataChange(refusal=Refusal("not-found", f"there is no request {move.request_id}"))
    if move.unit is None or move.paper is None or move.due_at is None or move.due_at <= now:
        return DataChange(refusal=Refusal("invalid-move", "a request names the unit, its paper, and a time that lies ahead"))
    made = DataRequest.trusted(
        request_id=move.request_id,
        body=move.party,
        unit=move.unit,
        state=S.ASKED,
        revision=1,
        asked_at=now,
        changed_at=now,
        due_at=move.due_at,
        paper=move.paper,
        applied=(move.move_id,),
    )
    return DataChange(made)


def figures(request: DataRequest) -> DataFigures:
    """What it counts in the unit's scorecard."""
    return DataFigures.trusted(
        request_id=request.request_id,
        unit=request.unit,
        due_at=request.due_at,
        handed_in_at=request.handed_in_at,
        finding=request.finding,
        withdrawn=request.state is S.WITHDRAWN,
    )
