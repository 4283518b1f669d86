"""Effects of a case's change on the state of `timekeeper`: the moments at which its deadlines are due."""

from __future__ import annotations

from schemas.codec import RowEnvelope
from stream_processors.domain.deadlines.due_index import moments
from stream_processors.state.deadline_index import settled
from stream_processors.state.effects import Effect
from stream_processors.state.record_views import DueRow


def fold_timekeeper(envelope: RowEnvelope[DueRow]) -> list[Effect]:
    """The future moments of the case's deadlines, which replace the earlier ones."""
    case = envelope.data.case
    return [] if case is None else [settled(case.case_id, case.revision, moments(case.deadlines))]
