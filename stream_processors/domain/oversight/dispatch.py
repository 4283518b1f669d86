"""Dispatches requests of the stage `oversee` to the part that decides, and computes their change to the scorecards. Pure.

A deadline of a supervision action needs no timer: its end is an event that is applied before the next action at the latest, and
readers derive it from the time (`overdue`). Invariant: every request becomes one change.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

from schemas.cases.case import ActionOutcome
from schemas.oversight.appraisals import Supervision, SupervisionMove, SupervisionMoveKind, SupervisionState
from schemas.oversight.oversight import OversightAction, OversightChange, Record
from schemas.scorecards import Figures
from stream_processors.domain.oversight import appraisal as appraisal
from stream_processors.domain.oversight import campaign, data_request, supervision
from stream_processors.domain.oversight.revisions import RecordChange, Signer
from stream_processors.domain.scorecards import difference

KEEPER = "oversee"


class _RecordDecider(NamedTuple):
    """`decide(move, record, now, signer)` returns the change, `figures(record)` its counts in the scorecards."""

    decide: Callable[[Any, Any, datetime, Signer | None], RecordChange[Any]]
    figures: Callable[[Any], Figures]


def _decide_supervision(
    move: SupervisionMove, record: Supervision | None, now: datetime, signer: Signer | None
) -> RecordChange[Supervision]:
    """Decides on the action, after a deadline that has ended by then."""
    if record is not None and overdue(record, now) and move.revision in (None, record.revision):
        record, move = _let_fall_due(record, now), move.model_copy(update={"revision": None})
    return supervision.decide(move=move, record=record, now=now)


def _let_fall_due(record: Supervision, now: datetime) -> Supervision:
    due = SupervisionMove.trusted(
        action_id=f"due-{record.answer_by:%Y%m%dT%H%M%SZ}",
        kind=SupervisionMoveKind.FALL_DUE,
        supervision_id=record.supervision_id,
        party=KEEPER,
    )
    return supervision.decide(move=due, record=record, now=now).record or record


def overdue(record: Supervision, now: datetime) -> bool:
    """Whether the deadline ended and no event has recorded it yet."""
    return record.state is SupervisionState.ISSUED and now >= record.answer_by


_NOTHING = Figures.trusted()
_DECIDERS = {
    "appraisal": _RecordDecider(
        lambda move, record, now, signer: appraisal.decide(move=move, record=record, now=now, signer=signer),
        lambda record: _NOTHING,
    ),
    "supervision": _RecordDecider(_decide_supervision, lambda record: _NOTHING),
    "data": _RecordDecider(
        lambda move, record, now, signer: data_request.decide(move=move, record=record, now=now),
        lambda record: Figures.trusted(data=(data_request.figures(record),)),
    ),
    "campaign": _RecordDecider(
        lambda move, record, now, signer: campaign.decide(move=move, record=record, now=now),
        lambda record: Figures.trusted(campaigns=(campaign.figures(record),)),
    ),
}


def decide(
    *, action: OversightAction, actor: str, record: Record | None, now: datetime, signer: Signer | None = None
) -> OversightChange:
    """Decides on the request. `record` is its object, None if there is none yet."""
    part = _DECIDERS[action.part]
    head: dict[str, Any] = {"action_id": action.move.action_id, "about": action.about, "at": now, "actor": actor}
    change = part.decide(action.move, record, now, signer)
    revision = record.revision if record is not None else None
    if change.echo:
        return OversightChange.trusted(**head, outcome=ActionOutcome.REDELIVERY, revision=revision)
    if change.refusal is not None:
        refused = {"detail": change.refusal.why, "problem": change.refusal.problem, "revision": revision}
        return OversightChange.trusted(**head, outcome=ActionOutcome.REFUSED, **refused)
    after: Any = change.record
    was = _NOTHING if record is None else part.figures(record)
    return OversightChange.trusted(
        **head,
        outcome=ActionOutcome.APPLIED,
        revision=after.revision,
        figure_changes=difference(was, part.figures(after)),
        **{action.part: after},
    )


def unreadable(why: str, now: datetime) -> OversightChange:
    """The change of an unreadable record: nothing."""
    return OversightChange.trusted(
        action_id=None,
        about=None,
        outcome=ActionOutcome.REFUSED,
        at=now,
        actor="unknown",
        detail=why,
        problem="action-unreadable",
    )
