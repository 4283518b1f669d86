"""What those who report or hold a subject are told afterwards: feedback, early warning (Art. 10), a report that was taken back.

Invariant: nothing here names, or lets anybody work out by a name, which institution reported (Art. 42: secrets and privacy).
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
    """What came of a signal, whole, for its sender; a later one replaces it. All but `duplicate_of` is of its case.

    `signal_id` is None when it is about all signals of the sender that the case no longer lists. `duplicate_of` is an earlier
    signal of the same sender. `corroborated_by` counts other institutions. `acts`: sorts of orders executed and measures taken.
    `saved_minor`: what was stopped in the case, by currency; signals of one case share it, so it is not to be added up.
    """

    case_id: Name | None = None
    signal_id: Name | None = None
    duplicate_of: Name | None = None
    corroborated_by: int = 0
    seen: bool = False
    acts: tuple[Name, ...] = Field(default=(), max_length=MOST_ACTS)
    outcome: Disposition | None = None
    saved_minor: dict[Currency, AmountMinor] = {}


class EarlyWarning(Stored):
    """A subject of yours was reported elsewhere: by how many others, how grave the case is. `signals` are the recipient's own
    about it that the case lists; the subject's value is shown by the case, to those who reported or hold it."""

    case_id: Name
    subject: Name
    subject_kind: IndicatorKind
    kinds: tuple[SignalKind, ...]
    severity: Name
    others: int = Field(ge=1)
    signals: tuple[Name, ...] = Field(default=(), max_length=200)


class Undo(Stored):
    """Something done, and what takes it back: at once, or when the agency orders it (`after_order`). `amount_minor`: only so much
    of it; None: all."""

    order_id: Name | None
    did: Name
    undo: Name
    after_order: bool
    amount_minor: AmountMinor | None = None
    currency: Currency | None = None


class TakenBack(Stored):
    """A report about a subject was corrected or retracted. `others` institutions still report it. `undo`: what the recipient did,
    `proposed`: for the agency, all releases that follow. The recipient answers with a receipt."""

    case_id: Name
    subject: Name
    change: Literal["correction", "retraction"]
    others: int
    undo: tuple[Undo, ...] = ()
    proposed: tuple[Undo, ...] = ()
    needs_receipt: bool = True
