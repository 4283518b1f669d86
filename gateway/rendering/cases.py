"""A case as its officers read it, in a list or by itself.

Invariant: an officer reads the values of the cases of his queues, and of no others.
"""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from gateway.http.responses import LinksOut, copy_fields
from gateway.http.unsealing import SubjectOut, opened, subject_out
from gateway.rendering.case_parts import AppealOut, DeadlineOut, DissuasionOut, MeasureOut, OrderOut, TransferOut
from schemas.cases.case import Case, CaseStatus, JoinedSignal
from schemas.common import Instant
from schemas.security import Sealer
from schemas.signals.events import EventFact
from schemas.signals.explanations import ReasonOut, told


class EventOut(BaseModel):
    """The event. Its ends are tokens of subjects of the same signal; `name` is that of an app."""

    type: str
    at: Instant
    amount_minor: int | None
    currency: str | None
    channel: str | None
    payer: str | None
    payee: str | None
    caller: str | None
    callee: str | None
    sender: str | None
    recipient: str | None
    duration_s: int | None
    count: int | None
    domain_registered_at: Instant | None
    name: str | None


class CaseSignalOut(BaseModel):
    signal_id: str
    institution: str
    kind: str
    occurred_at: Instant
    accepted_at: Instant
    region: str
    amount_minor: int | None
    currency: str | None
    score: int
    severity: str
    reasons: list[ReasonOut]
    subjects: list[SubjectOut]
    narrative: str | None
    trust: str | None
    contact: str | None
    typology: str | None
    stage: str | None
    loss_minor: int | None
    loss_currency: str | None
    detected_at: Instant | None
    derived_from: str | None
    event: EventOut | None


class CaseOut(BaseModel):
    """A case as its officers see it. `lease_expired`: its lease has expired, and anybody may claim it. `signals`, `phase`,
    `allowed_transitions` and the members from `deadlines` on appear only in the response for one case. `linked_case_ids`: cases
    of other agencies that share signals with it; `merged_from`: cases merged into it."""

    case_id: str
    queue: str
    revision: int
    status: CaseStatus
    opened_at: Instant
    changed_at: Instant
    primary_subject: SubjectOut
    score: int
    severity: str
    kinds: list[str]
    institutions: list[str]
    signal_count: int
    amount_minor: dict[str, int]
    holder: str | None
    lease_until: Instant | None
    lease_expired: bool
    disposition: str | None
    disposed_by: str | None
    disposed_at: Instant | None
    note: str | None = None
    reopen_count: int
    signals: list[CaseSignalOut] | None = None
    acknowledged_at: Instant | None = None
    acknowledged_by: str | None = None
    closed_at: Instant | None = None
    closed_by: str | None = None
    linked_case_ids: list[str] | None = None
    merged_from: list[str] | None = None
    merged_into: str | None = None
    split_from: str | None = None
    phase: str | None = None
    allowed_transitions: list[str] | None = None
    deadlines: list[DeadlineOut] | None = None
    measures: list[MeasureOut] | None = None
    orders: list[OrderOut] | None = None
    dissuasions: list[DissuasionOut] | None = None
    appeals: list[AppealOut] | None = None
    transfers: list[TransferOut] | None = None
    links: LinksOut


class CasesOut(BaseModel):
    """A page, worst first. A page may be short although there is a `next_cursor`."""

    cases: list[CaseOut]
    next_cursor: str | None


def lapsed(case: Case, now: datetime) -> bool:
    return case.status is CaseStatus.CLAIMED and case.lease_until is not None and case.lease_until <= now


def _event_out(event: EventFact | None, signal_id: str, sealer: Sealer) -> EventOut | None:
    if event is None:
        return None
    return EventOut(**copy_fields(EventOut, event, "name"), name=opened(sealer, event.name_sealed, f"{signal_id}/event.name"))


def _signal_out(signal: JoinedSignal, sealer: Sealer) -> CaseSignalOut:
    return CaseSignalOut(
        **copy_fields(CaseSignalOut, signal, "subjects", "narrative", "event", "contact", "reasons"),
        reasons=told(signal.reasons),
        subjects=[subject_out(subject, signal.signal_id, sealer) for subject in signal.subjects],
        narrative=opened(sealer, signal.narrative_sealed, f"{signal.signal_id}/narrative"),
        contact=opened(sealer, signal.contact_sealed, f"{signal.signal_id}/contact"),
        event=_event_out(signal.event, signal.signal_id, sealer),
    )


_LOOP = ("deadlines", "measures", "orders", "dissuasions", "appeals", "transfers")
_MADE = frozenset(("primary_subject", "lease_expired", "note", "signals", "phase", "allowed_transitions", "links", *_LOOP))
"""Members of CaseOut that are computed here. All others are copied from the member of the case with the same name."""


def case_out(case: Case, sealer: Sealer, now: datetime, *, complete: bool) -> CaseOut:
    """Returns the case; `complete` with its signals and the note. gateway/rendering/case_views.py adds the actions."""
    return CaseOut(
        **copy_fields(CaseOut, case, *_MADE),
        primary_subject=subject_out(case.primary_subject, case.primary_signal_id, sealer),
        lease_expired=lapsed(case, now),
        note=opened(sealer, case.note_sealed, f"{case.case_id}/note") if complete else None,
        signals=[_signal_out(signal, sealer) for signal in case.signals] if complete else None,
        links=LinksOut(self=f"/v1/cases/{case.case_id}"),
    )
