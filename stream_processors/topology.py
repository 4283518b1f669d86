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
    raw,
    receipts,
)
from stream_processors.folds.assess import fold_assess, fold_verdict
from stream_processors.folds.intake import fold_intake
from stream_processors.folds.timekeeper import fold_timekeeper
from stream_processors.folds.track import fold_track
from stream_processors.runtime.log import Record
from stream_processors.state.keys import ASSESS, DELIVER, OVERSEE, PROJECT, TIMEKEEPER, TRACK, WEBHOOK, intake
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
from stream_processors.state.streams import FactStream, Stage
from stream_processors.views.cases_fold import project_changed
from stream_processors.views.inbox_fold import project_delivered, project_issued
from stream_processors.views.oversight import OverseenRow, fold_oversee, project_overseen
from stream_processors.views.signals_fold import project_assessed
from stream_processors.views.webhook_endpoints_fold import project_endpoints


def _assess_marks(envelope: Any, record: Record, marks: dict[str, int]) -> dict[str, int]:
    """`e`: what the facts before this offset ask for is in the log; `h`, `hw`: the next source of each input there."""
    p = record.partition
    emitted = envelope.data.emitted
    if emitted > marks.get(f"e{p}", 0) and emitted == record.offset:
        origin = Origin.parse(str(envelope.origin))
        before = {f"h{tag}{p}": marks.get(f"s{tag}{p}", 0) for tag in ASSESS_INPUTS.values()}
        return {f"e{p}": emitted, **before, f"h{ASSESS_INPUTS[origin.topic]}{p}": origin.offset}
    return {}


def _track_marks(envelope: Any, record: Record, marks: dict[str, int]) -> dict[str, int]:
    """`o<p>:<q>`: the newest join from partition q of the signals, `o<p>:w<q>` of their retractions, so that an echo is known."""
    if envelope.data.origin is None:
        return {}
    source, code = envelope.data.origin.split(":")
    return {f"o{record.partition}:{source}": int(code)}


DELIVER_WRITES = {"i": NOTIFICATIONS, "j": CASE_COMMANDS}
"""By the letter of the marks (`i<p>:<q>`) that say up to where deliver has written partition q, beside its place in p."""

ASSESS_INPUTS = {SUBMITTED.name: "", RETRACTIONS.name: "w"}
"""The tags of what assess reads."""


STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage(
            "assess",
            ASSESS,
            (SUBMITTED, RETRACTIONS, CASE_CHANGES),
            (ASSESSED, CASE_COMMANDS),
            (
                FactStream(ASSESSED, ASSESS_INPUTS, "", fold_assess, AssessedRow, _assess_marks),
                FactStream(CASE_CHANGES, {CASE_COMMANDS.name: "c"}, "c", fold_verdict, VerdictRow),
            ),
            (SUBMITTED, RETRACTIONS),
        ),
        Stage(
            "track",
            TRACK,
            (CASE_COMMANDS,),
            (CASE_CHANGES,),
            (FactStream(CASE_CHANGES, {CASE_COMMANDS.name: ""}, "", fold_track, ChangeRow, _track_marks),),
        ),
        Stage("deliver", DELIVER, (CASE_CHANGES,), (NOTIFICATIONS, CASE_COMMANDS), ()),
        Stage(
            "timekeeper",
            TIMEKEEPER,
            (CASE_CHANGES,),
            (CASE_COMMANDS,),
            (FactStream(CASE_CHANGES, {CASE_COMMANDS.name: "c"}, "c", fold_timekeeper, DueRow),),
        ),
        Stage("webhook", WEBHOOK, (NOTIFICATIONS, DELIVERIES, ENDPOINTS), (DELIVERIES, ENDPOINTS), ()),
        Stage(
            "oversee",
            OVERSEE,
            (APPRAISAL_COMMANDS,),
            (APPRAISAL_CHANGES,),
            (FactStream(APPRAISAL_CHANGES, {APPRAISAL_COMMANDS.name: ""}, "", fold_oversee, OverseenRow),),
        ),
        Stage(
            "project",
            PROJECT,
            (ASSESSED, CASE_CHANGES, NOTIFICATIONS, DELIVERIES, ENDPOINTS, APPRAISAL_CHANGES),
            (),
            (
                FactStream(ASSESSED, {SUBMITTED.name: "a", RETRACTIONS.name: "aw"}, "a", project_assessed, ReceiptRow),
                FactStream(CASE_CHANGES, {CASE_COMMANDS.name: "c"}, "c", project_changed, ChangeRow),
                FactStream(
                    NOTIFICATIONS, {CASE_CHANGES.name: "i"}, "i", project_issued, IssuedRow, numbered=MOST_NOTICES, placed=True
                ),
                FactStream(DELIVERIES, {}, "d", project_delivered, MarkRow),
                FactStream(ENDPOINTS, {}, "h", project_endpoints, Endpoints),
                FactStream(APPRAISAL_CHANGES, {APPRAISAL_COMMANDS.name: "v"}, "v", project_overseen, OverseenRow),
            ),
        ),
    )
}


def intake_stage(institution: str) -> Stage:
    """`intake` for one institution. It appends to `signals.submitted` too, but no place of its own is there."""
    read, written = raw(institution), receipts(institution)
    return Stage(
        "intake", intake(institution), (read,), (written,), (FactStream(written, {read.name: ""}, "", fold_intake, RawRow),)
    )


def all_stages(institutions: Iterable[str] = ()) -> dict[str, Stage]:
    """Every stage with a state, by a name of its own: `intake bank-001`, `assess`, ..."""
    return {**{f"intake {institution}": intake_stage(institution) for institution in institutions}, **STAGES}
