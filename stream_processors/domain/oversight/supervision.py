"""Supervision actions on a member unit: circular, interview, listed supervision (通报、约谈、挂牌督办), as a table. Pure.

Each has a deadline to rectify and an answer (Art. 46). They are separate from the yearly result, which is final, and may continue
after it. Invariant: an action becomes overdue once for each deadline, never early; a late answer is kept and marked late.
"""

from __future__ import annotations

from datetime import datetime

from schemas.oversight.appraisals import Supervision, SupervisionMove, SupervisionMoveKind, SupervisionState
from stream_processors.domain.oversight.revisions import Fields, RecordChange, RecordStep, apply_move, refuse
from stream_processors.domain.refusal import Refusal
from stream_processors.domain.state_machine import ActorRole, Table, Transition

S, K = SupervisionState, SupervisionMoveKind


_Step = RecordStep[SupervisionMove, Supervision]


def _take_answer(step: _Step) -> Fields | Refusal:
    if step.move.document_number is None:
        return Refusal("invalid-command", "an answer requires the number of its letter in 'document_number'")
    late = step.record.late or step.now > step.record.answer_by
    return {"state": S.ANSWERED, "answered_at": step.now, "answer_document_number": step.move.document_number, "late": late}


def _fall_due(step: _Step) -> Fields | Refusal:
    if step.now < step.record.answer_by:
        return Refusal("not-due", f"the answer is due at {step.record.answer_by:%Y-%m-%dT%H:%M:%SZ}")
    return {"state": S.OVERDUE, "missed_deadlines": step.record.missed_deadlines + 1}


def _set_deadline(step: _Step) -> Fields | Refusal:
    if step.move.answer_by is None or step.move.answer_by <= step.now:
        return Refusal("invalid-command", "a new deadline must be in the future")
    returned = step.record.return_count + (step.move.kind is K.RETURN)
    return {"state": S.ISSUED, "answer_by": step.move.answer_by, "return_count": returned}


def _accept_answer(step: _Step) -> Fields | Refusal:
    return {"state": S.LIFTED, "ended_at": step.now}


def _withdraw_measure(step: _Step) -> Fields | Refusal:
    return {"state": S.WITHDRAWN, "ended_at": step.now}


_UNIT, _BODY, _CLOCK = frozenset({ActorRole.UNIT}), frozenset({ActorRole.BODY}), frozenset({ActorRole.STAGE})
Row = Transition[Supervision, _Step, Fields, None]
_ROWS: dict[tuple[str, str], Row] = {
    (S.ISSUED, K.ANSWER): Row((S.ANSWERED,), _take_answer, _UNIT),
    (S.ISSUED, K.FALL_DUE): Row((S.OVERDUE,), _fall_due, _CLOCK),
    (S.ISSUED, K.EXTEND): Row((S.ISSUED,), _set_deadline, _BODY),
    (S.ISSUED, K.WITHDRAW): Row((S.WITHDRAWN,), _withdraw_measure, _BODY),
    (S.OVERDUE, K.ANSWER): Row((S.ANSWERED,), _take_answer, _UNIT),
    (S.OVERDUE, K.EXTEND): Row((S.ISSUED,), _set_deadline, _BODY),
    (S.OVERDUE, K.WITHDRAW): Row((S.WITHDRAWN,), _withdraw_measure, _BODY),
    (S.ANSWERED, K.RETURN): Row((S.ISSUED,), _set_deadline, _BODY),
    (S.ANSWERED, K.ACCEPT): Row((S.LIFTED,), _accept_answer, _BODY),
    (S.ANSWERED, K.WITHDRAW): Row((S.WITHDRAWN,), _withdraw_measure, _BODY),
}
TABLE = Table("supervision action", _ROWS)
"""No transition leads out of LIFTED and WITHDRAWN. Anybody may report the end of a deadline: the record has its time."""


def decide(*, move: SupervisionMove, record: Supervision | None, now: datetime) -> RecordChange[Supervision]:
    """Decides on the action."""
    if record is None:
        return _issue_measure(move, now)
    parties = {ActorRole.UNIT: record.unit, ActorRole.BODY: record.body, ActorRole.STAGE: None}
    return apply_move(TABLE, RecordStep(move, record, now), parties)


def _issue_measure(move: SupervisionMove, now: datetime) -> RecordChange[Supervision]:
    if move.kind is not K.ISSUE:
        return refuse("not-found", f"there is no supervision action {move.supervision_id}")
    if move.unit is None or move.supervision_kind is None or move.reason is None or move.document_number is None:
        return refuse("invalid-command", "a supervision action requires 'unit', 'kind', 'reason' and 'document_number'")
    if move.answer_by is None or move.answer_by <= now:
        return refuse("invalid-command", "a supervision action requires a deadline in the future")
    made = Supervision.trusted(
        supervision_id=move.supervision_id,
        body=move.party,
        unit=move.unit,
        kind=move.supervision_kind,
        reason=move.reason,
        state=S.ISSUED,
        revision=1,
        issued_at=now,
        changed_at=now,
        answer_by=move.answer_by,
        document_number=move.document_number,
        applied=(move.action_id,),
    )
    return RecordChange(made)
