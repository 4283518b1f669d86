"""Measures: what an institution did about a case by itself, and the bodies in which it says so.

Arts. 21 and 22: warn the customer (风险提示), block (阻断), report (报告). Invariant: a measure that came late is kept and
marked, never refused for it. Sealed values open in the context `measure_id/field`.
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
    """How the customer was reached."""

    CALL = "call"
    SMS = "sms"
    APP = "app"
    COUNTER = "counter"
    VISIT = "visit"
    OTHER = "other"


class Reaction(StrEnum):
    """What the customer did then. INSISTED: means to pay all the same."""

    HEEDED = "heeded"
    HESITATED = "hesitated"
    INSISTED = "insisted"
    NOT_REACHED = "not_reached"
    UNKNOWN = "unknown"


class Blocked(StrEnum):
    """What was blocked."""

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
    """`done_at` is the institution's word, `at` when the log took it. `late`: it came after its clock had run out; `done_late`:
    by the institution's own word it was also done after that. `reference_sealed`: under which number of the agency's it was
    reported."""

    measure_id: Name
    institution: PartyId
    kind: MeasureKind
    done_at: EventTime
    at: Instant
    signal_id: Name | None = None
    channel: Channel | None = None
    reaction: Reaction | None = None
    what: Blocked | None = None
    amount_minor: AmountMinor | None = None
    currency: Currency | None = None
    until: Instant | None = None
    reported_to: PartyId | None = None
    note_sealed: SealedText | None = None
    late: bool = False
    done_late: bool = False
    reference_sealed: SealedLine | None = None


class _MeasureIn(Strict):
    """`reference` is the institution's own name of the measure: sent again, it counts once."""

    reference: Reference
    done_at: EventTime
    signal_id: Annotated[str, StringConstraints(min_length=1, max_length=160)] | None = None
    note: str | None = Field(default=None, min_length=1, max_length=700)


class WarnedIn(_MeasureIn):
    """The customer was warned: how, and what came of it."""

    kind: Literal["warned"]
    channel: Channel
    reaction: Reaction


class BlockedIn(_MeasureIn):
    """Something was blocked: what, how much money that holds, until when (None: until further notice)."""

    kind: Literal["blocked"]
    what: Blocked
    amount: Amount | None = None
    until: EventTime | None = None

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.amount is not None and self.what not in HOLD_MONEY:
            raise ValueError(f"a blocked {self.what.value} holds no money; leave 'amount' out")
        if self.what is Blocked.PAYMENT and self.amount is None:
            raise ValueError("a blocked payment says how much it holds, in 'amount'")
        if self.until is not None and self.until <= self.done_at:
            raise ValueError("'until' is after 'done_at'")
        return self


class ReportedIn(_MeasureIn):
    """It was reported to an agency, under the agency's own number if it gave one."""

    kind: Literal["reported"]
    reported_to: PartyId
    number: Reference | None = None


MeasureIn = Annotated[WarnedIn | BlockedIn | ReportedIn, Field(discriminator="kind")]
"""The body of `POST /v1/cases/{id}/measures`."""
