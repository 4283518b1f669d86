"""Later notifications of those who report or hold a subject: feedback, early warning (Art. 10), a retracted signal.

Invariant: nothing here names the reporting institution or lets anybody infer it (Art. 42: secrets and privacy).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.common import AmountMinor, Currency, Name, Stored
from schemas.dispositions import Disposition
from schemas.signals.indicators import IndicatorKind
from schemas.signals.submission import SignalKind

MOST_ACTS = 32


class Feedback(Stored):
    """The outcome of a signal for its sender. A later one replaces it. All members but `duplicate_of` are of its case.

    `signal_id` is None for all signals of the sender that the case no longer lists. `duplicate_of` is an earlier signal of the
    same sender. `corroborated_by` counts other institutions. `actions_taken`: kinds of executed orders and measures.
    `prevented_loss_minor`: the amount stopped in the case, by currency; signals of one case share it, so never add it up.
    """

    case_id: Name | None = None
    signal_id: Name | None = None
    duplicate_of: Name | None = None
    corroborated_by: int = 0
    reviewed: bool = False
    actions_taken: tuple[Name, ...] = Field(default=(), max_length=MOST_ACTS)
    outcome: Disposition | None = None
    prevented_loss_minor: dict[Currency, AmountMinor] = {}


class EarlyWarning(Stored):
    """A subject of the recipient was reported by others: their number, and the severity of the case. `signals` are the
    recipient's own signals about it in the case. Reporters and holders can read the value of the subject in the case."""

    case_id: Name
    subject: Name
    subject_kind: IndicatorKind
    kinds: tuple[SignalKind, ...]
    severity: Name
    other_institutions: int = Field(ge=1)
    signals: tuple[Name, ...] = Field(default=(), max_length=200)


class ReversalRequest(Stored):
    """An action and its reversal: at once, or when the agency orders it (`requires_order`). `amount_minor`: None means all."""

    order_id: Name | None
    action: Name
    reversal: Name
    requires_order: bool
    amount_minor: AmountMinor | None = None
    currency: Currency | None = None


class RetractionNotice(Stored):
    """A signal about a subject was corrected or retracted. `other_institutions` institutions still report it. `reversals`: the
    recipient's actions to reverse. `proposed_orders`: for the agency, all releases that follow. The recipient answers with a
    receipt."""

    case_id: Name
    subject: Name
    change: Literal["correction", "retraction"]
    other_institutions: int
    reversals: tuple[ReversalRequest, ...] = ()
    proposed_orders: tuple[ReversalRequest, ...] = ()
    requires_acknowledgement: bool = True
