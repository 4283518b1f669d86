"""What people post about orders: an officer's order (`OrderIn`), an institution's answer (`AnswerIn`). Values come readable and
are sealed before they leave the gateway.

Invariant: a body that validates here says all that its kind needs; what depends on the case is the stage's to decide.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.common import Amount, AmountMinor, AtMost, EventTime, Name, PartyId, Strict
from schemas.orders.kinds import ABOUT_ANOTHER, LETTERS, NAMES_AMOUNT, NAMES_SUBJECT, PAYS_BACK, OrderKind
from schemas.orders.order import RefusalReason, VerifyField
from schemas.refunds import NOTICED, ReturnRule
from schemas.signals.subjects import Named


class VerifyIn(Strict):
    """The transfer: account holder's name, account, what arrived, when."""

    name: str = Field(min_length=1, max_length=120)
    account: str = Field(min_length=1, max_length=100)
    amount: Amount
    occurred_at: EventTime


class OrderIn(Strict):
    """The body of `POST /v1/cases/{id}/orders`. `revision`: the case's that the officer saw; it must not have changed since.
    `traced_minor`: what the money trail finds on the account, in the currency of `amount`; no more is held. `method`: of a
    return, the `rule` by which it was reckoned (`POST /v1/cases/{id}/refund`). One that is `pro_rata` is paid when the public
    notice has run its time, from `announced_at` on (left out: from when the order goes out)."""

    kind: OrderKind
    recipient: PartyId
    subject: Named | None = None
    verify: VerifyIn | None = None
    amount: Amount | None = None
    traced_minor: AmountMinor | None = None
    basis: str = Field(min_length=2, max_length=200)
    answer_by: EventTime | None = None
    of: Name | None = None
    text: str | None = Field(default=None, min_length=1, max_length=700)
    method: ReturnRule | None = None
    announced_at: EventTime | None = None
    revision: int | None = Field(default=None, ge=1, le=2**53)

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        if self.kind in ABOUT_ANOTHER and self.of is None:
            raise ValueError(f"a {self.kind.value} names the order that it is about, in 'of'")
        if self.kind in NAMES_SUBJECT and self.subject is None:
            raise ValueError(f"a {self.kind.value} names its subject")
        if self.kind in NAMES_AMOUNT and self.amount is None:
            raise ValueError(f"a {self.kind.value} says how much, in 'amount': only the traced money may be touched")
        if self.kind in LETTERS and self.text is None:
            raise ValueError(f"a {self.kind.value} says what is asked, in 'text'")
        if self.verify and self.amount and self.verify.amount.currency != self.amount.currency:
            raise ValueError("amount and verify.amount are of one currency")
        if self.method is not None and self.kind not in PAYS_BACK:
            raise ValueError("'method' is how money is returned; it belongs to a return_funds")
        if self.announced_at is not None and self.method not in NOTICED:
            raise ValueError(f"'announced_at' belongs to a return that needs a notice first: {', '.join(sorted(NOTICED))}")
        return self


class AnswerIn(Strict):
    """The body of an institution's answer. `result` says what was done; `mismatch` means: nothing was, and at once."""

    result: Literal["received", "verified", "mismatch", "executed", "refused", "failed", "lifted"]
    verified: Annotated[tuple[VerifyField, ...], AtMost(4)] = ()
    mismatched: Annotated[tuple[VerifyField, ...], AtMost(4)] = ()
    arrived_minor: AmountMinor | None = None
    amount_minor: AmountMinor | None = None
    done_at: EventTime | None = None
    records_kept: bool = False
    reason: RefusalReason | None = None
    text: str | None = Field(default=None, min_length=1, max_length=700)

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        if self.result == "verified" and not self.verified:
            raise ValueError("name the fields that you compared, in 'verified'")
        if self.result == "mismatch" and not self.mismatched:
            raise ValueError("name the fields that differ, in 'mismatched'")
        if self.result in ("refused", "failed") and self.reason is None:
            raise ValueError(f"an order that is {self.result} needs a 'reason'")
        if self.result not in ("executed", "lifted") and self.done_at is not None:
            raise ValueError("'done_at' belongs to what was done")
        if self.result != "executed" and self.amount_minor is not None:
            raise ValueError("'amount_minor' is what was held or paid back, so the result is 'executed'")
        return self
