"""Actions of the coordination body about member units, as requests and facts: the yearly appraisal, supervision actions, data
requests; and educational campaigns that institutions report (Arts. 22, 45 to 47).

Invariant: no free text, as everywhere in an appraisal: closed lists, numbers, and papers by number.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

from schemas.cases.case import ActionOutcome
from schemas.common import EventTime, Instant, Name, PartyId, Stored
from schemas.oversight.appraisals import Appraisal, AppraisalMove, Paper, Supervision, SupervisionMove
from schemas.scorecards import CountedFigures, Finding


class DataState(StrEnum):
    """FINDING_RECORDED: data were concealed, omitted or refused (瞒报、漏报、拒报, Art. 46(5))."""

    REQUESTED = "requested"
    SUBMITTED = "submitted"
    FINDING_RECORDED = "finding_recorded"
    WITHDRAWN = "withdrawn"


class DataMoveKind(StrEnum):
    """EXTEND: a later deadline before the data arrive. CLEAR_FINDING: the finding is withdrawn."""

    REQUEST = "request"
    EXTEND = "extend"
    SUBMIT = "submit"
    RECORD_FINDING = "record_finding"
    CLEAR_FINDING = "clear_finding"
    WITHDRAW = "withdraw"


class DataRequest(Stored):
    """Appraisal data that a unit must submit by `due_at`. `applied`: the ids of the actions, newest last."""

    request_id: Name
    body: PartyId
    unit: Name
    state: DataState
    revision: int
    requested_at: Instant
    changed_at: Instant
    due_at: Instant
    document_number: Paper
    submitted_at: Instant | None = None
    submission_document_number: Paper | None = None
    finding: Finding | None = None
    applied: tuple[Name, ...] = ()


class DataMove(Stored):
    """A request about one data request, by `party`: the body, or the unit that submits."""

    action_id: Name
    kind: DataMoveKind
    request_id: Name
    party: Name
    revision: int | None = None
    unit: Name | None = None
    due_at: Instant | None = None
    document_number: Paper | None = None
    finding: Finding | None = None


class CampaignMoveKind(StrEnum):
    """TELL reports the campaign; a repeated one corrects it."""

    REPORT = "report"
    WITHDRAW = "withdraw"


class Campaign(Stored):
    """An educational campaign (Art. 22): its time, and the number of persons reached, as the institution reports."""

    campaign_id: Name
    institution: PartyId
    revision: int
    reported_at: Instant
    changed_at: Instant
    held_at: Instant
    people_reached: int = Field(ge=0, le=10**9)
    withdrawn: bool = False
    applied: tuple[Name, ...] = ()


class CampaignMove(Stored):
    action_id: Name
    kind: CampaignMoveKind
    campaign_id: Name
    party: PartyId
    revision: int | None = None
    held_at: EventTime | None = None
    people_reached: int | None = Field(default=None, ge=0, le=10**9)


Move = AppraisalMove | SupervisionMove | DataMove | CampaignMove
Record = Appraisal | Supervision | DataRequest | Campaign
PARTS: dict[str, tuple[type[Record], str]] = {
    "appraisal": (Appraisal, "year"),
    "supervision": (Supervision, "supervision_id"),
    "data": (DataRequest, "request_id"),
    "campaign": (Campaign, "campaign_id"),
}
"""Type of record -> its model and the member that holds its id. Actions and changes use these names for their parts."""


def about(part: str, name: object) -> str:
    """Returns the key of a record: `appraisal:2025`, `supervision:sup-…`."""
    return f"{part}:{name}"


class OversightAction(Stored):
    """The value of `appraisals.commands.v1`: a request about one record, in exactly one of the parts."""

    about: Name
    appraisal: AppraisalMove | None = None
    supervision: SupervisionMove | None = None
    data: DataMove | None = None
    campaign: CampaignMove | None = None

    @model_validator(mode="after")
    def _check_move(self) -> Self:
        there = [part for part in PARTS if getattr(self, part) is not None]
        if len(there) != 1 or self.about != about(there[0], getattr(getattr(self, there[0]), PARTS[there[0]][1])):
            raise ValueError("an action requires exactly one move, and the id of its record as its key")
        return self

    @property
    def part(self) -> str:
        return self.about.partition(":")[0]

    @property
    def move(self) -> Move:
        move: Move = getattr(self, self.part)
        return move


class OversightChange(Stored):
    """The value of `appraisals.changed.v1`: the outcome of a request. The record is complete if it was applied, in the part of
    its kind. `figure_changes` is the change to the figures of the scorecards."""

    action_id: Name | None
    about: Name | None
    outcome: ActionOutcome
    at: Instant
    actor: str
    detail: str | None = None
    problem: str | None = None
    revision: int | None = None
    appraisal: Appraisal | None = None
    supervision: Supervision | None = None
    data: DataRequest | None = None
    campaign: Campaign | None = None
    figure_changes: CountedFigures | None = None

    @property
    def record(self) -> Record | None:
        return next((record for part in PARTS if (record := getattr(self, part)) is not None), None)
