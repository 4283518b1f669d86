"""Requests for assessment data: asked, handed in, found wanting, as a table. Pure.

Art. 46(5) names who conceals, omits or refuses assessment data. Invariant: data that come late are taken and count as late, and
a finding stands until the body itself takes it back.
"""

from __future__ import annotations

from datetime import datetime

from schemas.oversight.oversight import DataMove, DataMoveKind, DataRequest, DataState
from schemas.scorecards import DataFigures
from stream_processors.domain.oversight.revisions import Fields, RecordChange, RecordStep, apply_move, refuse
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import ActorRole, Table, Transition

S, K = DataState, DataMoveKind


_Step = RecordStep[DataMove, DataRequest]


def _hand_in(step: _Step) -> Fields | Refusal:
    if step.move.paper is None:
        return Refusal("invalid-move", "submitted data require the number of their letter in 'paper'")
    return {"state": S.HANDED_IN, "handed_in_at": step.record.handed_in_at or step.now, "handed_in_paper": step.move.paper}


def _extend(step: _Step) -> Fields | Refusal:
    if step.move.due_at is None or step.move.due_at <= step.now:
        return Refusal("invalid-move", "a new deadline must be in the future")
    return {"due_at": step.move.due_at}


def _find(step: _Step) -> Fields | Refusal:
    if step.move.finding is None:
        return Refusal("invalid-move", "a finding must be concealed, omitted or refused")
    if step.now < step.record.due_at and step.record.handed_in_at is None:
        return Refusal("not-due", f"the data are due at {step.record.due_at:%Y-%m-%dT%H:%M:%SZ}")
    return {"state": S.FOUND, "finding": step.move.finding}


def _clear(step: _Step) -> Fields | Refusal:
    return {"state": S.HANDED_IN if step.record.handed_in_at else S.ASKED, "finding": None}


def _withdraw(step: _Step) -> Fields | Refusal:
    return {"state": S.WITHDRAWN}


_UNIT, _BODY = frozenset({ActorRole.UNIT}), frozenset({ActorRole.BODY})
Row = Transition[DataRequest, _Step, Fields, None]
_ROWS: dict[tuple[str, str], Row] = {
    (S.ASKED, K.HAND_IN): Row((S.HANDED_IN,), _hand_in, _UNIT),
    (S.ASKED, K.EXTEND): Row((S.ASKED,), _extend, _BODY),
    (S.ASKED, K.FIND): Row((S.FOUND,), _find, _BODY),
    (S.ASKED, K.WITHDRAW): Row((S.WITHDRAWN,), _withdraw, _BODY),
    (S.HANDED_IN, K.HAND_IN): Row((S.HANDED_IN,), _hand_in, _UNIT),
    (S.HANDED_IN, K.FIND): Row((S.FOUND,), _find, _BODY),
    (S.HANDED_IN, K.WITHDRAW): Row((S.WITHDRAWN,), _withdraw, _BODY),
    (S.FOUND, K.FIND): Row((S.FOUND,), _find, _BODY),
    (S.FOUND, K.CLEAR): Row((S.ASKED, S.HANDED_IN), _clear, _BODY),
    (S.FOUND, K.WITHDRAW): Row((S.WITHDRAWN,), _withdraw, _BODY),
}
TABLE = Table("data request", _ROWS)
"""No transition leads out of WITHDRAWN. A second submission replaces the paper and keeps the time of the first."""


def decide(*, move: DataMove, record: DataRequest | None, now: datetime) -> RecordChange[DataRequest]:
    """What becomes of the move."""
    if record is None:
        return _open_request(move, now)
    return apply_move(TABLE, RecordStep(move, record, now), {ActorRole.UNIT: record.unit, ActorRole.BODY: record.body})


def _open_request(move: DataMove, now: datetime) -> RecordChange[DataRequest]:
    if move.kind is not K.ASK:
        return refuse("not-found", f"there is no data request {move.request_id}")
    if move.unit is None or move.paper is None or move.due_at is None or move.due_at <= now:
        return refuse("invalid-move", "a data request requires unit, paper, and a future deadline")
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
    return RecordChange(made)


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
