"""Signals: what an institution posts, and the protected form in which it travels.

Art. 22 (`telecom_fraud`), Art. 21 (`illegal_finance`) and Art. 17 (`organized_crime`) of the regulation name the kinds.
Invariant: what was added later is optional, so that a body and a record of before mean what they meant.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, ValidationInfo, field_validator

from schemas.events import Event, EventFact, mentions
from schemas.subjects import Indicator, Role, Subject
from schemas.taxonomy import TYPOLOGIES, SignalKind, TypologyId
from schemas.values import (
    Amount,
    AmountMinor,
    AtMost,
    Currency,
    EventTime,
    Name,
    PartyId,
    Reference,
    Region,
    Sealed,
    Stored,
    Strict,
)

__all__ = [
    "MAX_DERIVED",
    "MAX_INDICATORS",
    "MAX_SUBJECTS",
    "MOST_VERSIONS",
    "PUBLIC",
    "Amount",
    "Indicator",
    "Role",
    "SignalIn",
    "SignalKind",
    "Stage",
    "Subject",
    "SubmittedSignal",
    "Trust",
]

MAX_INDICATORS = 16
MAX_DERIVED = 16
"""What is derived from what a signal names is bounded by itself: no sender pays for it."""
MAX_SUBJECTS = MAX_INDICATORS + MAX_DERIVED
MOST_VERSIONS = 16
"""A signal has versions 1 to this."""


class Stage(StrEnum):
    """How far it has come with the victim."""

    LURE = "lure"
    CONTACT = "contact"
    INDUCEMENT = "inducement"
    PAYMENT_PENDING = "payment_pending"
    PAID = "paid"
    CASH_OUT = "cash_out"


PUBLIC = "public"
"""The institution of tips (Art. 48: any organization or person may report). No token may carry this name."""

Trust = Literal["low"]
"""How far the sender is believed; None is an institution with a contract. `low`: anybody, unchecked."""

Derived = Annotated[str, StringConstraints(pattern=r"^(sig-[A-Za-z0-9_-]{22}|[a-z0-9][a-z0-9-]{1,62}/[\x21-\x7e]{1,128})$")]
"""A signal's id, or `institution/reference`."""


class SignalIn(Strict):
    """The body of `POST /v1/signals` and of one line of a batch.

    `reference` is the sender's own name of the signal (or the `Idempotency-Key` header); `occurred_at` is when the event
    happened, with offset; `region` is where the case belongs (GB/T 2260). At least one indicator or part of the event is a
    suspect's. `amount` is what is at stake (without it, what the transfer moved), `loss` what the victim has lost already.
    `detected_at` is when the sender noticed; it may be before `occurred_at`, for a payment may be noticed while it is pending.
    No time lies more than 31 days ahead.
    `derived_from` names the signal of somebody else that this one echoes: an echo counts once.
    A `version` above 1 corrects the versions before it: the whole corrected body, under the same reference.
    """

    reference: Reference | None = None
    version: int = Field(default=1, ge=1, le=MOST_VERSIONS)
    kind: SignalKind
    typology: TypologyId | None = None
    stage: Stage | None = None
    occurred_at: EventTime
    detected_at: EventTime | None = None
    region: Region
    amount: Amount | None = None
    loss: Amount | None = None
    event: Event | None = None
    indicators: Annotated[tuple[Indicator, ...], AtMost(MAX_INDICATORS)] = Field(default=(), validate_default=True)
    derived_from: Derived | None = None
    narrative: str | None = Field(default=None, max_length=4000)

    @field_validator("typology")
    @classmethod
    def _of_this_kind(cls, typology: TypologyId | None, info: ValidationInfo) -> TypologyId | None:
        kind = info.data.get("kind")
        if typology is not None and kind is not None and kind not in TYPOLOGIES[typology].kinds:
            raise ValueError(f"this typology belongs to {' or '.join(TYPOLOGIES[typology].kinds)}")
        return typology

    @field_validator("indicators")
    @classmethod
    def _a_suspect(cls, indicators: tuple[Indicator, ...], info: ValidationInfo) -> tuple[Indicator, ...]:
        if len({(one.kind, one.value, one.role) for one in indicators}) != len(indicators):
            raise ValueError("the same indicator stands twice")
        if "event" not in info.data:
            return indicators  # the event has a fault, and that is what the sender hears
        named = mentions(indicators, info.data["event"])
        if not any(one.role == "suspect" for one in named):
            raise ValueError("at least one indicator, or part of the event, must have the role 'suspect'")
        if len(named) > MAX_INDICATORS:
            raise ValueError(f"indicators and what the event names are at most {MAX_INDICATORS} together")
        return indicators

    def at_stake(self) -> Amount | None:
        """The amount that counts."""
        return self.amount or (self.event.money() if self.event is not None else None)


class SubmittedSignal(Stored):
    """The value of `signals.submitted.v1`: accepted, not yet assessed. Suspects come first, in the order of `KINDS`, what is
    derived from them last.

    `content_id` names the content without its reference (a re-send has the same); `body_id` the whole body.
    `derived_from` is a signal id, whichever way the sender named it. `contact_sealed` is how a tip's sender can be reached.
    """

    signal_id: Name
    institution: PartyId
    reference: Name
    kind: SignalKind
    occurred_at: EventTime
    region: Region
    amount_minor: AmountMinor | None
    currency: Currency | None
    subjects: tuple[Subject, ...] = Field(min_length=1, max_length=MAX_SUBJECTS)
    narrative_sealed: Sealed | None
    content_id: Name
    body_id: Name
    typology: Name | None = None
    stage: Stage | None = None
    loss_minor: AmountMinor | None = None
    loss_currency: Currency | None = None
    detected_at: EventTime | None = None
    derived_from: Name | None = None
    event: EventFact | None = None
    trust: Trust | None = None
    contact_sealed: Sealed | None = None
    version: int = Field(default=1, ge=1, le=MOST_VERSIONS)

    @property
    def primary(self) -> Subject:
        return self.subjects[0]
