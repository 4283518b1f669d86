"""What a sender reads of a signal: its receipt, and what came of it.

Invariant: an institution learns what came of its signals, never who worked on them.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel

from gateway.http.responses import LinksOut
from schemas.common import Instant
from schemas.feedback import Feedback
from schemas.signals.explanations import ReasonOut, told
from stream_processors.views.receipts import Receipt


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


def signal_out(receipt: Receipt, feedback: Iterable[Feedback] = ()) -> SignalOut:
    """Returns the sender's view of a receipt."""
    return SignalOut(
        signal_id=receipt.signal_id,
        status="accepted",
        pending=False,
        accepted_at=receipt.accepted_at,
        assessed_at=receipt.assessed_at,
        outcome=receipt.outcome,
        duplicate_of=receipt.duplicate_of,
        severity=receipt.severity,
        routed=bool(receipt.queues),
        reasons=told(receipt.reasons),
        version=receipt.version if receipt.version > 1 else None,
        retracted_at=receipt.retracted_at,
        feedback=[FeedbackOut(**case_feedback.model_dump(exclude={"signal_id"})) for case_feedback in feedback] or None,
    )
