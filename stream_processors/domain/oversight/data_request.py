"""Data requests for the appraisal: asked, submitted, findings, as a table. Pure.

Art. 46(5) covers units that conceal, omit or refuse appraisal data. Invariant: late data are accepted and count as late, and a
finding stays until the body itself withdraws it.
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
    if step.move.document_number is None:
        return Refusal("invalid-command", "submitted data require the number of their letter in 'document_number'")
    return {
        "state": S.SUBMITTED,
        "submitted_at": step.record.submitted_at or step.now,
        "submission_document_number": step.move.document_number,
    }


def _extend_deadline(step: _Step) -> Fields | Refusal:
    if step.move.due_at is None or step.move.due_at <= step.now:
        return Refusal("invalid-command", "a new deadline must be in the future")
    return {"due_at": step.move.due_at}


def _record_finding(step: _Step) -> Fields | Refusal:
    if step.move.finding is None:
        return Refusal("invalid-command", "a finding must be concealed, omitted or refused")
    if step.now < step.record.due_at and step.record.submitted_at is None:
        return Refusal("not-due", f"the data are due at {step.record.due_at:%Y-%m-%dT%H:%M:%SZ}")
    return {"state": S.FINDING_RECORDED, "finding": step.move.finding}


def _clear_finding(step: _Step) -> Fields | Refusal:
    return {"state": S.SUBMITTED if step.record.submitted_at else S.REQUESTED, "finding": None}


def _withdraw_request(step: _Step) -> Fields | Refusal:
    return {"state": S.WITHDRAWN}


_UNIT, _BODY = frozenset({ActorRole.UNIT}), frozenset({ActorRole.BODY})
Row = Transition[DataRequest, _Step, Fields, None]
_ROWS: dict[tuple[str, str], Row] = {
    (S.REQUESTED, K.SUBMIT): Row((S.SUBMITTED,), _hand_in, _UNIT),
    (S.REQUESTED, K.EXTEND): Row((S.REQUESTED,), _extend_deadline, _BODY),
    (S.REQUESTED, K.RECORD_FINDING): Row((S.FINDING_RECORDED,), _record_finding, _BODY),
    (S.REQUESTED, K.WITHDRAW): Row((S.WITHDRAWN,), _withdraw_request, _BODY),
    (S.SUBMITTED, K.SUBMIT): Row((S.SUBMITTED,), _hand_in, _UNIT),
    (S.SUBMITTED, K.RECORD_FINDING): Row((S.FINDING_RECORDED,), _record_finding, _BODY),
    (S.SUBMITTED, K.WITHDRAW): Row((S.WITHDRAWN,), _withdraw_request, _BODY),
    (S.FINDING_RECORDED, K.RECORD_FINDING): Row((S.FINDING_RECORDED,), _record_finding, _BODY),
    (S.FINDING_RECORDED, K.CLEAR_FINDING): Row((S.REQUESTED, S.SUBMITTED), _clear_finding, _BODY),
    (S.FINDING_RECORDED, K.WITHDRAW): Row((S.WITHDRAWN,), _withdraw_request, _BODY),
}
TABLE = Table("data request", _ROWS)
"""No transition leads out of WITHDRAWN. A second submission replaces the document and keeps the time of the first."""


def decide(*, move: DataMove, record: DataRequest | None, now: datetime) -> RecordChange[DataRequest]:
    """Decides on the action."""
    if record is None:
        return _open_request(move, now)
    return apply_move(TABLE, RecordStep(move, record, now), {ActorRole.UNIT: record.unit, ActorRole.BODY: record.body})


def _open_request(move: DataMove, now: datetime) -> RecordChange[DataRequest]:
    if move.kind is not K.REQUEST:
        return refuse("not-found", f"there is no data request {move.request_id}")
    if move.unit is None or move.document_number is None or move.due_at is None or move.due_at <= now:
        return refuse("invalid-command", "a data request requires 'unit', 'document_number' and a future 'due_at'")
    made = DataRequest.trusted(
        request_id=move.request_id,
        body=move.party,
        unit=move.unit,
        state=S.REQUESTED,
        revision=1,
        requested_at=now,
        changed_at=now,
        due_at=move.due_at,
        document_number=move.document_number,
        applied=(move.action_id,),
    )
    return RecordChange(made)


def figures(request: DataRequest) -> DataFigures:
    """Its counts in the unit's scorecard."""
    return DataFigures.trusted(
        request_id=request.request_id,
        unit=request.unit,
        due_at=request.due_at,
        submitted_at=request.submitted_at,
        finding=request.finding,
        withdrawn=request.state is S.WITHDRAWN,
    )
