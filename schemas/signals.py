"""Signals: what an institution posts, and the protected form in which it travels.

Art. 22 (`telecom_fraud`) and Art. 21 (`illegal_finance`) of the regulation name the two kinds.
Invariant: past the gateway no readable subject exists outside a sealed value.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from pydantic import Field, field_validator, model_validator

from schemas.indicators import RANK, IndicatorKind, canonical
from schemas.values import AmountMinor, Currency, EventTime, Name, PartyId, Reference, Region, Sealed, Stored, Strict

MAX_INDICATORS = 16


class SignalKind(StrEnum):
    TELECOM_FRAUD = "telecom_fraud"
    ILLEGAL_FINANCE = "illegal_finance"


Role = Literal["suspect", "victim"]


class Amount(Strict):
    """Money: `{"minor": 1200000, "currency": "CNY"}` is 12,000.00 yuan."""

    minor: AmountMinor
    currency: Currency = "CNY"


class Indicator(Strict):
    """`{"kind": "phone", "value": "138 0000 1234", "role": "suspect"}`; the value is kept in canonical form."""

    kind: IndicatorKind
    value: str = Field(min_length=1, max_length=2048)
    role: Role = "suspect"

    @model_validator(mode="before")
    @classmethod
    def _canonical(cls, data: object) -> object:
        if isinstance(data, dict):
            kind, value = data.get("kind"), data.get("value")
            if isinstance(kind, str) and isinstance(value, str) and kind in RANK:
                return {**data, "value": canonical(kind, value)}
        return data


class SignalIn(Strict):
    """The body of `POST /v1/signals` and of one line of a batch.

    `reference` is the sender's own name of the signal (or the `Idempotency-Key` header); `occurred_at` is when the event
    happened, with offset; `region` is where the case belongs (GB/T 2260). At least one indicator is a suspect's.
    """

    reference: Reference | None = None
    kind: SignalKind
    occurred_at: EventTime
    region: Region
    amount: Amount | None = None
    indicators: tuple[Indicator, ...] = Field(min_length=1, max_length=MAX_INDICATORS)
    narrative: str | None = Field(default=None, max_length=4000)

    @field_validator("indicators")
    @classmethod
    def _a_suspect(cls, indicators: tuple[Indicator, ...]) -> tuple[Indicator, ...]:
        if not any(indicator.role == "suspect" for indicator in indicators):
            raise ValueError("at least one indicator must have the role 'suspect'")
        if len({(one.kind, one.value, one.role) for one in indicators}) != len(indicators):
            raise ValueError("the same indicator stands twice")
        return indicators


class Subject(Stored):
    """An indicator as it travels: `token` to match by, `sealed` to be read by those with a need."""

    kind: IndicatorKind
    role: Role
    token: Name
    sealed: Sealed


class SubmittedSignal(Stored):
    """The value of `signals.submitted.v1`: accepted, not yet assessed. Suspects come first, in the order of `KINDS`.

    `content_id` names the content without its reference (a re-send has the same); `body_id` the whole body.
    """

    signal_id: Name
    institution: PartyId
    reference: Name
    kind: SignalKind
    occurred_at: EventTime
    region: Region
    amount_minor: AmountMinor | None
    currency: Currency | None
    subjects: tuple[Subject, ...] = Field(min_length=1, max_length=MAX_INDICATORS)
    narrative_sealed: Sealed | None
    content_id: Name
    body_id: Name

    @property
    def primary(self) -> Subject:
        return self.subjects[0]
