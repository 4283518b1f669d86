"""Response models of signals and cases, for the OpenAPI document and the less busy routes.

Invariant: an institution learns the outcome of its signals, never who worked on them; an officer sees readable values of his own
queues only.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from gateway.http.unsealing import SubjectOut, opened, subject_out
from gateway.orders.responses import AppealOut, DeadlineOut, DissuasionOut, MeasureOut, OrderOut, TransferOut
from schemas.cases.case import Case, CaseStatus, JoinedSignal
from schemas.common import Instant
from schemas.feedback import Feedback
from schemas.security import Sealer
from schemas.signals.events import EventFact
from schemas.signals.explanations import ReasonOut, told
from stream_processors.views.receipts import Receipt


class LinksOut(BaseModel):
    self: str


class AdvisoryOut(BaseModel):
    """A warning about an accepted signal."""

    pointer: str
    code: str
    detail: str


class AcceptedOut(BaseModel):
    """The log has the signal. `accepted_at` is the broker's time; `receipt` proves the position to its operator."""

    signal_id: str
    status: str = "accepted"
    accepted_at: Instant
    receipt: str
    links: LinksOut
    advisories: list[AdvisoryOut] | None = None


class LineOut(BaseModel):
    """One line of a batch response: `status` 202 with a receipt, or a problem."""

    line: int
    status: int
    signal_id: str | None = None
    accepted_at: Instant | None = None
    receipt: str | None = None
    replayed: bool | None = None
    advisories: list[AdvisoryOut] | None = None
    problem: dict[str, object] | None = None


class FeedbackOut(BaseModel):
    """The outcome of a signal in one case: `duplicate_of` an earlier signal of yours, the number of other institutions that
    report the subject, whether an officer saw it, kinds of executed orders and measures, the outcome of the case, the amount
    stopped (by currency, in minor units; signals of one case share it)."""

    case_id: str | None = None
    duplicate_of: str | None = None
    corroborated_by: int
    reviewed: bool
    actions_taken: list[str]
    outcome: str | None = None
    prevented_loss_minor: dict[str, int]


class SignalOut(BaseModel):
    """The status of a signal. While `pending` only the first four members are known. `reasons`: those that depend on the signal
    alone; reports of others are not shown to the sender. `version` belongs to a correction, `retracted_at` is the time of a
    retraction. `feedback`: the outcome in each of its cases."""

    signal_id: str
    status: str
    pending: bool
    accepted_at: Instant
    assessed_at: Instant | None = None
    outcome: str | None = None
    duplicate_of: str | None = None
    severity: str | None = None
    routed: bool | None = None
    reasons: list[ReasonOut] | None = None
    version: int | None = None
    retracted_at: Instant | None = None
    feedback: list[FeedbackOut] | None = None


class QueueOut(BaseModel):
    """`severities`: cases by severity, without those that have none."""

    queue: str
    depth: int
    severities: dict[str, int]


class QueuesOut(BaseModel):
    queues: list[QueueOut]


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
    `allowed_transitions` (the allowed actions) and the members from `deadlines` on appear only in the response for one case.
    `linked_case_ids`: cases of other agencies that share signals with it; `merged_from`: cases merged into it."""

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


class FoundOut(BaseModel):
    """The cases of an indicator, the one with the newest signal first. `has_more`: there are others. `token` identifies the
    indicator in money trails; it is returned only with a case, so a search reveals nothing that a trail withholds. `hub`: many
    unrelated cases share the indicator (a hotline, a shared host), so it does not link them."""

    token: str | None = None
    cases: list[CaseOut]
    has_more: bool
    hub: bool = False


class ActionOut(BaseModel):
    """An action that is not decided yet, or its outcome; for a refused one the `allowed_transitions` that were allowed."""

    action_id: str
    status: str
    case_id: str
    kind: str
    revision: int | None = None
    problem: str | None = None
    detail: str | None = None
    allowed_transitions: list[str] | None = None
    links: LinksOut


class AliveOut(BaseModel):
    """The process responds."""

    status: str = "alive"


class ReadyOut(BaseModel):
    """`checks` contains `ok` or the fault of each check."""

    ready: bool
    checks: dict[str, str]


class OpenApiOut(BaseModel):
    """An OpenAPI 3.1 document."""

    model_config = ConfigDict(extra="allow")
    openapi: str


def signal_out(receipt: Receipt, feedback: Iterable[Feedback] = ()) -> SignalOut:
    """Returns the sender's view of a receipt."""
    return SignalOut(
        signal_id=receipt.signal_id,
        status="accepted",
        pending=False,
        accepted_at=receipt.accepted_at,
        assessed_at=receipt.assessed_at,
        outcome=receipt.outcome,
        duplicate_of=receipt.of,
        severity=receipt.severity,
        routed=bool(receipt.queues),
        reasons=told(receipt.reasons),
        version=receipt.version if receipt.version > 1 else None,
        retracted_at=receipt.retracted_at,
        feedback=[FeedbackOut(**case_feedback.model_dump(exclude={"signal_id"})) for case_feedback in feedback] or None,
    )


def lapsed(case: Case, now: datetime) -> bool:
    return case.status is CaseStatus.CLAIMED and case.lease_until is not None and case.lease_until <= now


def _event(event: EventFact | None, signal_id: str, sealer: Sealer) -> EventOut | None:
    if event is None:
        return None
    plain = {name: getattr(event, name) for name in EventOut.model_fields if name != "name"}
    return EventOut(**plain, name=opened(sealer, event.name_sealed, f"{signal_id}/event.name"))


def _signal(signal: JoinedSignal, sealer: Sealer) -> CaseSignalOut:
    other = ("subjects", "narrative", "event", "contact", "reasons")
    plain = {name: getattr(signal, name) for name in CaseSignalOut.model_fields if name not in other}
    return CaseSignalOut(
        **plain,
        reasons=told(signal.reasons),
        subjects=[subject_out(subject, signal.signal_id, sealer) for subject in signal.subjects],
        narrative=opened(sealer, signal.narrative_sealed, f"{signal.signal_id}/narrative"),
        contact=opened(sealer, signal.contact_sealed, f"{signal.signal_id}/contact"),
        event=_event(signal.event, signal.signal_id, sealer),
    )


_LOOP = ("deadlines", "measures", "orders", "dissuasions", "appeals", "transfers")
_MADE = frozenset(("primary_subject", "lease_expired", "note", "signals", "phase", "allowed_transitions", "links", *_LOOP))
"""Members of CaseOut that are computed here. All others are copied from the member of the case with the same name."""


def case_out(case: Case, sealer: Sealer, now: datetime, *, complete: bool) -> CaseOut:
    """Returns the case; `complete` with its signals and the note. gateway/cases/views.py adds the actions."""
    plain = {name: getattr(case, name) for name in CaseOut.model_fields if name not in _MADE}
    return CaseOut(
        **plain,
        primary_subject=subject_out(case.primary_subject, case.primary_signal_id, sealer),
        lease_expired=lapsed(case, now),
        note=opened(sealer, case.note_sealed, f"{case.case_id}/note") if complete else None,
        signals=[_signal(signal, sealer) for signal in case.signals] if complete else None,
        links=LinksOut(self=f"/v1/cases/{case.case_id}"),
    )
