"""Measures: actions that an institution took about a case by itself, and the bodies that report them.

Arts. 21 and 22: warn the customer (风险提示), block (阻断), report (报告). Invariant: a late measure is kept and marked, never
refused. Sealed values open in the context `measure_id/field`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.common import Amount, AmountMinor, Currency, EventTime, Instant, Name, PartyId, Reference, Stored, Strict
from schemas.orders.order import SealedLine, SealedText


class MeasureKind(StrEnum):
    WARNED = "warned"
    BLOCKED = "blocked"
    REPORTED = "reported"


class Channel(StrEnum):
    """Channel through which the customer was reached."""

    CALL = "call"
    SMS = "sms"
    APP = "app"
    COUNTER = "counter"
    VISIT = "visit"
    OTHER = "other"


class Reaction(StrEnum):
    """Reaction of the customer. INSISTED: intends to pay in spite of it."""

    HEEDED = "heeded"
    HESITATED = "hesitated"
    INSISTED = "insisted"
    NOT_REACHED = "not_reached"
    UNKNOWN = "unknown"


class Blocked(StrEnum):
    """The blocked object."""

    PAYMENT = "payment"
    ACCOUNT = "account"
    CARD = "card"
    NUMBER = "number"
    MESSAGE = "message"
    DOMAIN = "domain"
    URL = "url"
    APP = "app"
    LOGIN = "login"


HOLD_MONEY = frozenset({Blocked.PAYMENT, Blocked.ACCOUNT, Blocked.CARD})


class Measure(Stored):
    """`done_at` is the time that the institution gives, `recorded_at` the LogAppendTime. `late`: after its deadline; `done_late`:
    after its deadline even by the institution's own time. `agency_reference_sealed`: the agency's number of the report."""

    measure_id: Name
    institution: PartyId
    kind: MeasureKind
    done_at: EventTime
    recorded_at: Instant
    signal_id: Name | None = None
    channel: Channel | None = None
    reaction: Reaction | None = None
    target: Blocked | None = None
    amount_minor: AmountMinor | None = None
    currency: Currency | None = None
    until: Instant | None = None
    reported_to: PartyId | None = None
    note_sealed: SealedText | None = None
    late: bool = False
    done_late: bool = False
    agency_reference_sealed: SealedLine | None = None


class _MeasureIn(Strict):
    """`reference` is the institution's own id of the measure; a repeated one counts once."""

    reference: Reference
    done_at: EventTime
    signal_id: Annotated[str, StringConstraints(min_length=1, max_length=160)] | None = None
    note: str | None = Field(default=None, min_length=1, max_length=700)


class WarnedIn(_MeasureIn):
    """A warning of the customer: its channel and the reaction."""

    kind: Literal["warned"]
    channel: Channel
    reaction: Reaction


class BlockedIn(_MeasureIn):
    """A block: its object, the amount held, and its end (None: until further notice)."""

    kind: Literal["blocked"]
    target: Blocked
    amount: Amount | None = None
    until: EventTime | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.amount is not None and self.target not in HOLD_MONEY:
            raise ValueError(f"a blocked {self.target.value} holds no money; remove 'amount'")
        if self.target is Blocked.PAYMENT and self.amount is None:
            raise ValueError("a blocked payment requires the amount held in 'amount'")
        if self.until is not None and self.until <= self.done_at:
            raise ValueError("'until' must be after 'done_at'")
        return self


class ReportedIn(_MeasureIn):
    """A report to an agency, with the agency's own number if there is one."""

    kind: Literal["reported"]
    reported_to: PartyId
    agency_reference: Reference | None = None


MeasureIn = Annotated[WarnedIn | BlockedIn | ReportedIn, Field(discriminator="kind")]
"""The body of `POST /v1/cases/{id}/measures`."""
