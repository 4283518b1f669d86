"""What the folds read of a fact: the fields they use. The rest of a case is carried through as it came, unread."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from schemas.cases import ActionKind, ActionOutcome, Case, CaseStatus, Verdict
from schemas.facts import Outcome, Reason, Route
from schemas.receipts import RawOutcome
from schemas.values import Instant, Stored


class TokenRow(Stored):
    """A view of Subject: what the index needs."""

    token: str


class RawRow(Stored):
    """A view of RawReceipt: its origin, in the envelope, is all that a place in the raw topic needs."""

    outcome: RawOutcome


class ReceiptRow(Stored):
    """A view of AssessedSignal for receipts, counters and the index."""

    outcome: Outcome
    accepted_at: Instant
    signal_id: str | None = None
    of: str | None = None
    institution: str | None = None
    reference: str | None = None
    score: int = 0
    severity: str = "none"
    subjects: tuple[TokenRow, ...] = ()
    reasons: tuple[Reason, ...] = ()
    routes: tuple[Route, ...] = ()
    policy: str = ""
    cases_until_ms: int = 0
    version: int = 1
    below: int = 0


class VerdictRow(Stored):
    """A view of CaseChange for who was confirmed: most changes have no verdict, and nothing else of them is looked at."""

    case_id: str | None = None
    verdict: Verdict | None = None


class CaseRow(BaseModel):
    """A view of Case: what places it in a queue; all else is kept as extra."""

    model_config = ConfigDict(extra="allow", frozen=True)

    case_id: str
    queue: str
    revision: int
    status: CaseStatus
    score: int
    severity: str = "none"
    opened_at: Instant


class ChangeRow(Stored):
    """A view of CaseChange."""

    action_id: str | None
    case_id: str | None
    kind: ActionKind | None
    outcome: ActionOutcome
    at: Instant
    actor: str
    why: str | None = None
    problem: str | None = None
    revision: int | None = None
    origin: str | None = None
    case: CaseRow | None = None


_NOT_LISTED = ("signals", "applied", "note_sealed")
_LISTED: dict[str, Any] = {
    name: (field.annotation, field) for name, field in Case.model_fields.items() if name not in _NOT_LISTED
}
ListedCase = create_model("ListedCase", __base__=Stored, **_LISTED)
"""A view of Case: all but what a list leaves out, so that the signals of a large case cost nothing."""
