"""Requests and responses of the appraisal's routes, and the view of a record by reader."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from gateway.http.request_body import RequestBody, RequestQuery
from gateway.http.responses import LinksOut, copy_fields
from schemas.common import AtMost, EventTime, Instant, PartyId, Revision
from schemas.oversight.appraisals import (
    MOST_UNITS,
    Appraisal,
    AppraisalState,
    Dispute,
    Ground,
    Lock,
    Paper,
    Ruling,
    Supervision,
    SupervisionKind,
    SupervisionState,
    UnitResult,
    Value,
    Why,
)
from schemas.oversight.oversight import Campaign, DataRequest, DataState
from schemas.scorecards import Finding
from stream_processors.domain.oversight import appraisal as appraisal
from stream_processors.domain.oversight import data_request, supervision
from stream_processors.domain.oversight.dispatch import overdue


class OversightMoveIn(RequestBody):
    """`revision`: the one you saw; another current one refuses the action."""

    revision: Revision | None = None


class AppraisalPublishIn(OversightMoveIn):
    """Default for `results`: the counted figures of all units for the year."""

    disputes_until: EventTime
    results: Annotated[tuple[UnitResult, ...], AtMost(MOST_UNITS)] | None = None


class FigureDisputeIn(OversightMoveIn):
    """A wrong figure of a unit of yours, and its correct value. `document_number`: the number of the letter that proves it."""

    unit: PartyId
    figure: str = Field(max_length=80, pattern=r"^[a-z_]+$")
    claimed_value: Value
    ground: Ground
    document_number: Paper | None = None


class RulingIn(OversightMoveIn):
    """`ruled_value`: the corrected figure, if the dispute is upheld."""

    ruling: Ruling
    ruled_value: Value | None = None
    document_number: Paper | None = None


class SupervisionIn(RequestBody):
    """`kind`: circular (通报), interview (约谈) or listed (挂牌督办); to be answered by `answer_by`."""

    unit: PartyId
    kind: SupervisionKind
    reason: Why
    answer_by: EventTime
    document_number: Paper


class UnitAnswerIn(OversightMoveIn):
    """`document_number`: the number of your letter or file."""

    document_number: Paper


class AnswerDeadlineIn(OversightMoveIn):
    answer_by: EventTime


class DataDeadlineIn(OversightMoveIn):
    due_at: EventTime


class DataRequestIn(RequestBody):
    unit: PartyId
    due_at: EventTime
    document_number: Paper


class FindingIn(OversightMoveIn):
    """瞒报、漏报、拒报 (Art. 46(5))."""

    finding: Finding


class CampaignIn(OversightMoveIn):
    """An educational campaign that took place (Art. 22). A repeated report corrects the first."""

    held_at: EventTime
    people_reached: int = Field(ge=0, le=10**9)


class OversightQuery(RequestQuery):
    """`state`: as in the records."""

    unit: PartyId | None = None
    state: str | None = Field(default=None, max_length=20)
    limit: int = Field(default=100, ge=1, le=500)


class OversightPendingOut(BaseModel):
    """The log has the request, which is not decided yet: read the record, or repeat the request with its Idempotency-Key."""

    status: str = "pending"
    links: LinksOut


class AppraisalOut(BaseModel):
    """`verified`: whether a locked result matches its signature by a known key. `allowed_transitions` are allowed now."""

    year: int
    body: PartyId
    state: AppraisalState
    revision: int
    opened_at: Instant
    changed_at: Instant
    published_at: Instant | None = None
    disputes_until: Instant | None = None
    results: tuple[UnitResult, ...]
    disputes: tuple[Dispute, ...]
    lock: Lock | None = None
    verified: bool | None = None
    allowed_transitions: list[str]


class SupervisionOut(BaseModel):
    """`overdue`: the deadline ended without an answer; `missed_deadlines` counts such deadlines."""

    supervision_id: str
    body: PartyId
    unit: str
    kind: SupervisionKind
    reason: Why
    state: SupervisionState
    revision: int
    issued_at: Instant
    answer_by: Instant
    document_number: Paper
    answered_at: Instant | None = None
    answer_document_number: Paper | None = None
    late: bool
    missed_deadlines: int
    return_count: int
    ended_at: Instant | None = None
    overdue: bool
    allowed_transitions: list[str]


class SupervisionsOut(BaseModel):
    supervisions: list[SupervisionOut]


class DataRequestOut(BaseModel):
    request_id: str
    body: PartyId
    unit: str
    state: DataState
    revision: int
    requested_at: Instant
    due_at: Instant
    document_number: Paper
    submitted_at: Instant | None = None
    submission_document_number: Paper | None = None
    finding: Finding | None = None
    allowed_transitions: list[str]


class DataRequestsOut(BaseModel):
    data_requests: list[DataRequestOut]


class CampaignOut(BaseModel):
    campaign_id: str
    revision: int
    reported_at: Instant
    held_at: Instant
    people_reached: int
    withdrawn: bool


class JwksOut(BaseModel):
    """RFC 7517: public keys."""

    keys: list[dict[str, object]]


def appraisal_out(record: Appraisal, verifier: Callable[[str], bytes | None], mine: Callable[[str], bool] | None) -> AppraisalOut:
    """`mine`: the units whose figures are shown; None for all."""
    fields = copy_fields(AppraisalOut, record, "verified", "allowed_transitions")
    if mine is not None:
        fields["results"] = tuple(result for result in record.results if mine(result.unit))
        fields["disputes"] = tuple(dispute for dispute in record.disputes if mine(dispute.unit))
    verified = appraisal.verified(record, verifier) if record.lock is not None else None
    return AppraisalOut.model_construct(
        **fields, verified=verified, allowed_transitions=list(appraisal.TABLE.allowed(record.state, record))
    )


def supervision_out(record: Supervision, now: datetime) -> SupervisionOut:
    fields = copy_fields(SupervisionOut, record, "overdue", "allowed_transitions")
    late = overdue(record, now) or record.state is SupervisionState.OVERDUE
    state = SupervisionState.OVERDUE if late else record.state
    moves = supervision.TABLE.allowed(state, record)
    fields |= {"state": state, "overdue": late, "allowed_transitions": [move for move in moves if move != "fall_due"]}
    return SupervisionOut.model_construct(**fields)


def data_out(record: DataRequest) -> DataRequestOut:
    fields = copy_fields(DataRequestOut, record, "allowed_transitions")
    return DataRequestOut.model_construct(**fields, allowed_transitions=list(data_request.TABLE.allowed(record.state, record)))


def campaign_out(record: Campaign) -> CampaignOut:
    return CampaignOut.model_construct(**copy_fields(CampaignOut, record))
