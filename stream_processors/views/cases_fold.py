"""What a change of a case makes of the views: the case, its place in the queue, the outcome of an action, scorecards."""

from __future__ import annotations

from typing import cast

from schemas.cases.case import ActionKind, ActionOutcome, CaseStatus
from schemas.codec import RowEnvelope
from schemas.common import DAY_MS, instant_ms
from schemas.scorecards import Counted
from stream_processors.domain.scorecards import change_leaves
from stream_processors.state import compression as packing
from stream_processors.state.case_refs import MOVED, brief
from stream_processors.state.effects import Effect, add, count, put, rank, stand, unrank
from stream_processors.state.keys import bucket_of
from stream_processors.state.record_views import CaseRow, ChangeRow
from stream_processors.views.scorecards import tallies

_RANK_STEP = 10**11
_NOBODY_WAITS = (ActionKind.JOIN, ActionKind.RETRACT, ActionKind.ABSORB, ActionKind.CLOCK_DUE)
"""Requests of stages: their outcomes are in the log, and nobody asks for them by name."""
OUT_OF_QUEUE = (CaseStatus.DISPOSED, CaseStatus.RETRACTED, CaseStatus.CLOSED, CaseStatus.MERGED)


def rank_of(score: int, opened_ms: int) -> int:
    """A queue's order as one exact number: by score, then the oldest first."""
    return score * _RANK_STEP + (_RANK_STEP - 1 - opened_ms // 1000)


def standing_key(case: CaseRow) -> str:
    """The set of the cases of one queue, severity and status; each with the time since when it stands there. "" out of it."""
    return "" if case.status in OUT_OF_QUEUE else f"w:{case.status.value}:{case.severity}:{case.queue}"


def project_changed(envelope: RowEnvelope[ChangeRow]) -> list[Effect]:
    """The case and its place in the queue; the outcome of an officer's action for who waits for it; what it changed of the
    scorecards."""
    change = envelope.data
    kind = change.kind.value if change.kind else "unreadable"
    effects = [count(bucket_of(kind), "n", f"action_{change.outcome.value}:{kind}")]
    if change.counted is not None:
        effects += tallies(change_leaves(cast("Counted", change.counted)))
    if change.action_id and change.kind not in _NOBODY_WAITS:
        bucket = bucket_of(change.action_id)
        # Of an action that goes through several cases only the last one tells: their facts are folded in no certain order.
        if change.outcome is not ActionOutcome.ECHO and not change.sent_on:
            effects.append(put(bucket, f"a:{change.action_id}", change.answer(), instant_ms(change.at) + DAY_MS))
    case = change.case
    if case is None:
        return effects
    bucket, member = bucket_of(case.case_id), brief(case.case_id)
    where, packed = standing_key(case), packing.pack(packing.Form.CASE, change.case_json)
    effects.append(stand(bucket, f"k:{case.case_id}", case.revision, packed, where, instant_ms(change.at), member))
    if where:
        effects.append(add(bucket, "standings", where))
    if case.transfers:
        effects.append(add(bucket, MOVED, member))
    if change.left is not None:
        effects.append(unrank(bucket, f"q:{change.left}", member))
    if case.status in OUT_OF_QUEUE:
        effects.append(unrank(bucket, f"q:{case.queue}", member))
    else:
        effects.append(rank(bucket, f"q:{case.queue}", rank_of(case.score, instant_ms(case.opened_at)), member))
        effects.append(add(bucket, "queues", case.queue))
    return effects
