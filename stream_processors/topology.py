"""The map: which stage reads what, writes which facts, and folds which fact streams into its state.

an institution's raw topic -> intake -> its receipts topic
                                  v
gateway ----------------> signals.submitted ──┬> assess -> signals.assessed -> project
   └────────────────────> signals.retractions ┘    │└────> cases.commands ─> track -> cases.changed -> project
                                            ^──────┤ on to the partition where the signal stands  │
                                                   ^───────────────────────────────── (verdicts) ──┤
                                                        cases.commands <─ timekeeper (what is due) <┤
                       what follows for other cases: cases.commands <─┬─ deliver <──────────────────┘
                                                                      └> notifications.issued ─┬> project
                              notifications.deliveries, webhooks.endpoints <─ webhook <────────┘
gateway ─> notifications.deliveries, webhooks.endpoints -> project
gateway ─> appraisals.commands ─> oversee ─> appraisals.changed -> project
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from schemas.codec import View
from schemas.envelope import Origin
from schemas.notifications.delivery import MOST_NOTICES
from schemas.notifications.webhook import Endpoints
from schemas.topics import (
    APPRAISAL_CHANGES,
    APPRAISAL_COMMANDS,
    ASSESSED,
    CASE_CHANGES,
    CASE_COMMANDS,
    DELIVERIES,
    ENDPOINTS,
    NOTIFICATIONS,
    RETRACTIONS,
    SUBMITTED,
    Topic,
    raw,
    receipts,
)
from stream_processors.folds.assess import fold_assess, fold_verdict
from stream_processors.folds.timekeeper import fold_timekeeper
from stream_processors.folds.track import fold_track
from stream_processors.runtime.log import Record
from stream_processors.state.keys import ASSESS, DELIVER, OVERSEE, PROJECT, TIMEKEEPER, TRACK, WEBHOOK, intake
from stream_processors.state.marks import Mark, MarkKind, Marks, MarkStream, RequestOrigin, source_mark
from stream_processors.state.record_views import (
    AssessedRow,
    ChangeRow,
    DueRow,
    IssuedRow,
    MarkRow,
    RawRow,
    ReceiptRow,
    VerdictRow,
)
from stream_processors.state.streams import FactStream, Fold, Stage, fold_nothing
from stream_processors.views.cases import project_changed
from stream_processors.views.inbox import project_delivered, project_issued
from stream_processors.views.oversight import OverseenRow, fold_oversee, project_overseen
from stream_processors.views.receipts import project_assessed
from stream_processors.views.webhook_endpoints import project_endpoints


def _assess_marks(envelope: Any, record: Record, marks: Marks) -> Marks:
    """The log has the emissions of facts before this offset (SETTLED), and each input's next source there (HANDED_ON)."""
    p = record.partition
    emitted = envelope.data.emitted
    settled = Mark(MarkKind.SETTLED, p)
    if emitted > marks.get(settled, 0) and emitted == record.offset:
        origin = Origin.parse(str(envelope.origin))
        before = {Mark(MarkKind.HANDED_ON, p, stream): marks.get(source_mark(p, stream), 0) for stream in ASSESS_INPUTS.values()}
        return {settled: emitted, **before, Mark(MarkKind.HANDED_ON, p, ASSESS_INPUTS[origin.topic]): origin.offset}
    return {}


def _track_marks(envelope: Any, record: Record, marks: Marks) -> Marks:
    """The newest request of each partition of the signals, their retractions and the cases, so that a redelivery is known."""
    if envelope.data.origin is None:
        return {}
    origin = RequestOrigin.parse(envelope.data.origin)
    return {origin.mark_in(record.partition): origin.number}


DELIVER_WRITES = {MarkKind.NOTICES: NOTIFICATIONS, MarkKind.REQUESTS: CASE_COMMANDS}
"""By the kind of the watermarks: how far deliver has written each partition, beside its position."""

ASSESS_INPUTS = {SUBMITTED.name: MarkStream.OWN, RETRACTIONS.name: MarkStream.RETRACTIONS}
"""The inputs of assess, in its watermarks."""
_SEEN_BY_PROJECT = {SUBMITTED.name: MarkStream.SIGNALS, RETRACTIONS.name: MarkStream.SIGNAL_RETRACTIONS}


def _make_stream(topic: Topic, about: Topic, stream: MarkStream, fold: Fold, view: View, **options: Any) -> FactStream:
    """A stream whose facts have one source topic, which has the same name in the watermarks."""
    return FactStream(topic, {about.name: stream}, stream, fold, view, **options)


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            "assess",
            ASSESS,
            (SUBMITTED, RETRACTIONS, CASE_CHANGES),
            (ASSESSED, CASE_COMMANDS),
            (
                FactStream(ASSESSED, ASSESS_INPUTS, MarkStream.OWN, fold_assess, AssessedRow, _assess_marks),
                _make_stream(CASE_CHANGES, CASE_COMMANDS, MarkStream.CASES, fold_verdict, VerdictRow),
            ),
            (SUBMITTED, RETRACTIONS),
        ),
        Stage(
            "track",
            TRACK,
            (CASE_COMMANDS,),
            (CASE_CHANGES,),
            (_make_stream(CASE_CHANGES, CASE_COMMANDS, MarkStream.OWN, fold_track, ChangeRow, marks=_track_marks),),
        ),
        Stage("deliver", DELIVER, (CASE_CHANGES,), (NOTIFICATIONS, CASE_COMMANDS), ()),
        Stage(
            "timekeeper",
            TIMEKEEPER,
            (CASE_CHANGES,),
            (CASE_COMMANDS,),
            (_make_stream(CASE_CHANGES, CASE_COMMANDS, MarkStream.CASES, fold_timekeeper, DueRow),),
        ),
        Stage("webhook", WEBHOOK, (NOTIFICATIONS, DELIVERIES, ENDPOINTS), (DELIVERIES, ENDPOINTS), ()),
        Stage(
            "oversee",
            OVERSEE,
            (APPRAISAL_COMMANDS,),
            (APPRAISAL_CHANGES,),
            (_make_stream(APPRAISAL_CHANGES, APPRAISAL_COMMANDS, MarkStream.OWN, fold_oversee, OverseenRow),),
        ),
        Stage(
            "project",
            PROJECT,
            (ASSESSED, CASE_CHANGES, NOTIFICATIONS, DELIVERIES, ENDPOINTS, APPRAISAL_CHANGES),
            (),
            (
                FactStream(ASSESSED, _SEEN_BY_PROJECT, MarkStream.SIGNALS, project_assessed, ReceiptRow),
                _make_stream(CASE_CHANGES, CASE_COMMANDS, MarkStream.CASES, project_changed, ChangeRow),
                _make_stream(
                    NOTIFICATIONS, CASE_CHANGES, MarkStream.NOTICES, project_issued, IssuedRow, numbered=MOST_NOTICES, placed=True
                ),
                FactStream(DELIVERIES, {}, MarkStream.DELIVERIES, project_delivered, MarkRow),
                FactStream(ENDPOINTS, {}, MarkStream.ENDPOINTS, project_endpoints, Endpoints),
                _make_stream(APPRAISAL_CHANGES, APPRAISAL_COMMANDS, MarkStream.OVERSIGHT, project_overseen, OverseenRow),
            ),
        ),
    )
}


def intake_stage(institution: str) -> Stage:
    """`intake` for one institution. It appends to `signals.submitted`, too, where it has no position of its own."""
    read, written = raw(institution), receipts(institution)
    facts = _make_stream(written, read, MarkStream.OWN, fold_nothing, RawRow)
    return Stage("intake", intake(institution), (read,), (written,), (facts,))


def all_stages(institutions: Iterable[str] = ()) -> dict[str, Stage]:
    """Every stage with a state, by a name of its own: `intake bank-001`, `assess`, ..."""
    return {**{f"intake {institution}": intake_stage(institution) for institution in institutions}, **STAGES}
