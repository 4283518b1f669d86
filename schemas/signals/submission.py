"""Signals as institutions post them, and the protected form in which they travel.

Art. 22 (`telecom_fraud`), Art. 21 (`illegal_finance`) and Art. 17 (`organized_crime`) of the regulation name the kinds.
Invariant: fields added later are optional, so old requests and records keep their meaning.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from schemas.common import (
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
from schemas.signals.events import Event, EventFact, NamedPlace, mentions, places
from schemas.signals.subjects import Indicator, Role, Subject, UnmatchedText, is_malformed
from schemas.signals.taxonomy import TYPOLOGIES, SignalKind, TypologyId

__all__ = [
    "MAX_DERIVED",
    "MAX_INDICATORS",
    "MAX_SUBJECTS",
    "MOST_VERSIONS",
    "PUBLIC",
    "Amount",
    "Indicator",
    "Role",
    "ScamStage",
    "SignalIn",
    "SignalKind",
    "Subject",
    "SubmittedSignal",
    "Trust",
]

MAX_INDICATORS = 16
MAX_DERIVED = 16
"""Derived indicators have a limit of their own, so they never count against the limit of a sender."""
MAX_SUBJECTS = MAX_INDICATORS + MAX_DERIVED
MOST_VERSIONS = 16
"""Highest version of a signal; the lowest is 1."""


class ScamStage(StrEnum):
    """How far the scam has come with the victim."""

    LURE = "lure"
    CONTACT = "contact"
    INDUCEMENT = "inducement"
    PAYMENT_PENDING = "payment_pending"
    PAID = "paid"
    CASH_OUT = "cash_out"


PUBLIC = "public"
"""The institution of public tips (Art. 48: any organization or person may report). No token may have this name."""

Trust = Literal["low"]
"""Trust in the sender. None: an institution with a contract. `low`: any member of the public, unchecked."""

Derived = Annotated[str, StringConstraints(pattern=r"^(sig-[A-Za-z0-9_-]{22}|[a-z0-9][a-z0-9-]{1,62}/[\x21-\x7e]{1,128})$")]
"""The id of a signal, or `institution/reference`."""


def _faults(named: Iterable[NamedPlace], inside: int = 0) -> list[InitErrorDetails]:
    """Returns the malformed values with place and fault. `inside`: the number of members of the place to search."""
    return [
        InitErrorDetails(
            type=PydanticCustomError("malformed", "{fault}", {"fault": place.value.fault}),
            loc=place.of_value[inside:],
            input=None,
        )
        for place in named
        if isinstance(place.value, UnmatchedText) and place.value.unmatched == "malformed"
    ]


class SignalIn(Strict):
    """The body of `POST /v1/signals` and of one line of a batch.

    `reference` is the sender's own name of the signal (or the `Idempotency-Key` header); `occurred_at` is the time of the event,
    with offset; `region` is the region of the case (GB/T 2260). At least one indicator or part of the event is a suspect.
    `amount` is the amount at stake (default: the amount of the transfer), `loss` the amount already lost. `detected_at` is when
    the sender noticed; it may precede `occurred_at`, because a payment may be noticed while it is pending. No time is more than
    31 days ahead. `derived_from` names the signal of another sender that this one repeats; it counts once. A `version` above 1
    corrects earlier versions: the whole corrected body under the same reference.
    """

    reference: Reference | None = None
    version: int = Field(default=1, ge=1, le=MOST_VERSIONS)
    kind: SignalKind
    typology: TypologyId | None = None
    stage: ScamStage | None = None
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
            raise ValueError(f"this typology is allowed for {' or '.join(TYPOLOGIES[typology].kinds)} only")
        return typology

    @field_validator("indicators")
    @classmethod
    def _a_suspect(cls, indicators: tuple[Indicator, ...], info: ValidationInfo) -> tuple[Indicator, ...]:
        if "event" not in info.data:
            return indicators  # the event has a fault, and that is what the sender hears
        named = mentions(indicators, info.data["event"])
        suspects = [mention for mention in named if mention.role == "suspect"]
        if not suspects:
            raise ValueError("at least one indicator or part of the event must have the role 'suspect'")
        if len(named) > MAX_INDICATORS:
            raise ValueError(f"a signal may have at most {MAX_INDICATORS} indicators, including those of the event")
        if all(is_malformed(mention.value) for mention in suspects) and (faults := _faults(places(indicators, None), 1)):
            raise ValidationError.from_exception_data("SignalIn", faults)
        return indicators

    @model_validator(mode="after")
    def _a_suspect_of_its_kind(self) -> Self:
        """A malformed value is kept beside a well-formed suspect; alone nobody could act on it."""
        for indicator in self.indicators:
            if indicator.role == "suspect" and not is_malformed(indicator.value):
                return self
        if all(is_malformed(mention.value) for mention in mentions(self.indicators, self.event) if mention.role == "suspect"):
            raise ValidationError.from_exception_data("SignalIn", _faults(places((), self.event)))
        return self

    def at_stake(self) -> Amount | None:
        """The amount that counts."""
        return self.amount or (self.event.money() if self.event is not None else None)


class SubmittedSignal(Stored):
    """The value of `signals.submitted.v1`: accepted, not yet assessed. Suspects come first, in the order of `KINDS`, what is
    derived from them last.

    `content_id` names the content without its reference (a re-send has the same); `body_id` the whole body.
    `derived_from` is a signal id, whichever way the sender named it. `contact_sealed` is how a tip's sender can be reached.
    `reference_sealed` is the sender's own name of the signal. Nothing is decided by it: the signal's id was made of it.
    """

    signal_id: Name
    institution: PartyId
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
    stage: ScamStage | None = None
    loss_minor: AmountMinor | None = None
    loss_currency: Currency | None = None
    detected_at: EventTime | None = None
    derived_from: Name | None = None
    event: EventFact | None = None
    trust: Trust | None = None
    contact_sealed: Sealed | None = None
    version: int = Field(default=1, ge=1, le=MOST_VERSIONS)
    reference_sealed: Sealed | None = None

    @property
    def primary(self) -> Subject:
        return self.subjects[0]
