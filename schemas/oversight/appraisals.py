"""The yearly appraisal of member units by the coordination body (Arts. 45 to 47), and the supervision actions that follow.

Invariant: no free text. Reasons come from closed lists and papers have numbers, so no person can be named here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.common import Instant, Name, PartyId, Stored
from schemas.scorecards import LAYOUTS, CardKind

MOST_UNITS = 256
MOST_DISPUTES = 512
FIGURES = frozenset(figure for family in LAYOUTS[CardKind.UNIT].families for figure in family.figures)
"""Figures that an appraisal may contain: those of units, never statistics of institutions."""

Year = Annotated[int, Field(ge=2000, le=2099)]
Paper = Annotated[str, StringConstraints(pattern=r"^([一-鿿]{1,12}〔\d{4}〕\d{1,6}号|[0-9A-Za-z.\-/]{1,64})$")]
"""The number of a letter or file in a registry: `海平办〔2026〕7号`, or Latin letters and digits."""
Value = Annotated[int, Field(ge=0, le=10**15, strict=True)]


class AppraisalState(StrEnum):
    OPEN = "open"
    PUBLISHED = "published"
    DISPUTED = "disputed"
    DECIDED = "decided"
    LOCKED = "locked"


class AppraisalMoveKind(StrEnum):
    OPEN = "open"
    PUBLISH = "publish"
    DISPUTE = "dispute"
    DECIDE = "decide"
    LOCK = "lock"


class Ground(StrEnum):
    """Ground on which a unit disputes a figure."""

    WRONG_COUNT = "wrong_count"
    WRONG_UNIT = "wrong_unit"
    WRONG_PERIOD = "wrong_period"
    TIMES_WRONG = "times_wrong"
    OUTSIDE_DUTY = "outside_duty"
    SYSTEM_DOWN = "system_down"


class Ruling(StrEnum):
    UPHELD = "upheld"
    REJECTED = "rejected"


class UnitResult(Stored):
    """The figures of a unit for the year."""

    unit: Name
    figures: dict[str, Value]

    @model_validator(mode="after")
    def _of_units(self) -> Self:
        if unknown := sorted(self.figures.keys() - FIGURES):
            raise ValueError(f"not a figure of units: {', '.join(unknown)[:200]}")
        return self


class Dispute(Stored):
    """A disputed figure: as published, as claimed, as ruled."""

    dispute_id: Name
    unit: Name
    figure: Name
    published_value: Value
    claimed_value: Value
    ground: Ground
    document_number: Paper | None = None
    raised_at: Instant
    ruling: Ruling | None = None
    ruled_value: Value | None = None
    ruling_document_number: Paper | None = None
    ruled_at: Instant | None = None


class Lock(Stored):
    """`digest` is of the canonical result; `signature` is a compact JWS over a statement that names it."""

    at: Instant
    digest: str
    signature: str
    key_id: str


class Appraisal(Stored):
    """The appraisal of one year. `results` include the rulings. `applied`: the ids of the actions, newest last."""

    year: Year
    body: PartyId
    state: AppraisalState
    revision: int
    opened_at: Instant
    changed_at: Instant
    results: tuple[UnitResult, ...] = Field(default=(), max_length=MOST_UNITS)
    disputes: tuple[Dispute, ...] = Field(default=(), max_length=MOST_DISPUTES)
    published_at: Instant | None = None
    disputes_until: Instant | None = None
    lock: Lock | None = None
    applied: tuple[Name, ...] = ()


class AppraisalMove(Stored):
    """A request about the appraisal of one year, by `party`: the coordination body, or the unit that disputes."""

    action_id: Name
    kind: AppraisalMoveKind
    year: Year
    party: Name
    revision: int | None = None
    results: tuple[UnitResult, ...] = Field(default=(), max_length=MOST_UNITS)
    disputes_until: Instant | None = None
    dispute_id: Name | None = None
    figure: Name | None = None
    claimed_value: Value | None = None
    ground: Ground | None = None
    ruling: Ruling | None = None
    ruled_value: Value | None = None
    document_number: Paper | None = None


class SupervisionKind(StrEnum):
    """通报、约谈、挂牌督办 (Art. 46)."""

    CIRCULAR = "circular"
    INTERVIEW = "interview"
    LISTED = "listed"


class SupervisionState(StrEnum):
    """OVERDUE: the deadline to rectify ended without an answer. LIFTED: the answer was accepted (摘牌, 销号)."""

    ISSUED = "issued"
    OVERDUE = "overdue"
    ANSWERED = "answered"
    LIFTED = "lifted"
    WITHDRAWN = "withdrawn"


class SupervisionMoveKind(StrEnum):
    """RETURN: the answer is insufficient, with a new deadline. EXTEND: a later deadline before there is an answer."""

    ISSUE = "issue"
    ANSWER = "answer"
    FALL_DUE = "fall_due"
    RETURN = "return"
    EXTEND = "extend"
    ACCEPT = "accept"
    WITHDRAW = "withdraw"


class Why(StrEnum):
    """Reason of a supervision action. The last three are Art. 46(5): 瞒报、漏报、拒报."""

    TARGET_MISSED = "target_missed"
    DEADLINES_MISSED = "deadlines_missed"
    LETTER_UNANSWERED = "letter_unanswered"
    DATA_CONCEALED = "data_concealed"
    DATA_OMITTED = "data_omitted"
    DATA_REFUSED = "data_refused"


class Supervision(Stored):
    """A supervision action. `missed_deadlines` counts the deadlines that ended, `return_count` the insufficient answers."""

    supervision_id: Name
    body: PartyId
    unit: Name
    kind: SupervisionKind
    reason: Why
    state: SupervisionState
    revision: int
    issued_at: Instant
    changed_at: Instant
    answer_by: Instant
    document_number: Paper
    answered_at: Instant | None = None
    answer_document_number: Paper | None = None
    late: bool = False
    missed_deadlines: int = 0
    return_count: int = 0
    ended_at: Instant | None = None
    applied: tuple[Name, ...] = ()


class SupervisionMove(Stored):
    """A request about one supervision action, by `party`: the body, the unit, or (FALL_DUE) the keeper of its deadline."""

    action_id: Name
    kind: SupervisionMoveKind
    supervision_id: Name
    party: Name
    revision: int | None = None
    unit: Name | None = None
    supervision_kind: SupervisionKind | None = None
    reason: Why | None = None
    answer_by: Instant | None = None
    document_number: Paper | None = None
