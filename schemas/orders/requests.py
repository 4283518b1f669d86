"""Bodies of orders: an officer's order (`OrderIn`) and an institution's answer (`AnswerIn`). Values arrive readable and are
sealed before they leave the gateway.

Invariant: a valid body contains everything that its kind requires. The stage decides everything that depends on the case.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from schemas.common import Amount, AmountMinor, AtMost, EventTime, Name, PartyId, Revision, Strict
from schemas.orders.kinds import ABOUT_ANOTHER, LETTERS, NAMES_AMOUNT, NAMES_SUBJECT, PAYS_BACK, OrderKind
from schemas.orders.order import OrderEventKind, RefusalReason, VerifyField
from schemas.refunds import NOTICED, ReturnRule
from schemas.signals.subjects import Named

ANSWERS: dict[str, OrderEventKind] = {
    "received": OrderEventKind.DELIVER,
    "verified": OrderEventKind.VERIFY,
    "mismatch": OrderEventKind.MISMATCH,
    "executed": OrderEventKind.EXECUTE,
    "refused": OrderEventKind.REFUSE,
    "failed": OrderEventKind.FAIL,
    "lifted": OrderEventKind.LIFT,
}
"""The result that an institution reports -> the event of the order."""


class VerifyIn(Strict):
    """The transfer: account holder's name, account, arrived amount, time."""

    name: str = Field(min_length=1, max_length=120)
    account: str = Field(min_length=1, max_length=100)
    amount: Amount
    occurred_at: EventTime


class OrderIn(Strict):
    """The body of `POST /v1/cases/{id}/orders`. `revision`: the revision of the case that the officer saw; it must not have
    changed. `traced_minor`: the amount that the money trail finds on the account, in the currency of `amount`, which bounds the
    hold. `method`: for a return, its `rule` (`POST /v1/cases/{id}/refund`). A `pro_rata` return is paid after the public notice,
    which runs from `public_notice_at` (default: from the issue of the order)."""

    kind: OrderKind
    recipient: PartyId
    subject: Named | None = None
    verify: VerifyIn | None = None
    amount: Amount | None = None
    traced_minor: AmountMinor | None = None
    basis: str = Field(min_length=2, max_length=200)
    answer_by: EventTime | None = None
    related_order_id: Name | None = None
    text: str | None = Field(default=None, min_length=1, max_length=700)
    method: ReturnRule | None = None
    public_notice_at: EventTime | None = None
    revision: Revision | None = None

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        if self.kind in ABOUT_ANOTHER and self.related_order_id is None:
            raise ValueError(f"a {self.kind.value} requires the related order in 'related_order_id'")
        if self.kind in NAMES_SUBJECT and self.subject is None:
            raise ValueError(f"a {self.kind.value} requires a subject")
        if self.kind in NAMES_AMOUNT and self.amount is None:
            raise ValueError(f"a {self.kind.value} requires 'amount', because it may affect the traced money only")
        if self.kind in LETTERS and self.text is None:
            raise ValueError(f"a {self.kind.value} requires its request in 'text'")
        if self.verify and self.amount and self.verify.amount.currency != self.amount.currency:
            raise ValueError("amount and verify.amount must have the same currency")
        if self.method is not None and self.kind not in PAYS_BACK:
            raise ValueError("'method' is allowed for return_funds only")
        if self.public_notice_at is not None and self.method not in NOTICED:
            raise ValueError(
                f"'public_notice_at' is allowed only for a return with a public notice: {', '.join(sorted(NOTICED))}"
            )
        return self


class AnswerIn(Strict):
    """The body of an institution's answer. `result` reports the outcome; `mismatch` means that nothing was done."""

    result: Literal["received", "verified", "mismatch", "executed", "refused", "failed", "lifted"]
    verified_fields: Annotated[tuple[VerifyField, ...], AtMost(4)] = ()
    mismatched_fields: Annotated[tuple[VerifyField, ...], AtMost(4)] = ()
    credited_minor: AmountMinor | None = None
    amount_minor: AmountMinor | None = None
    done_at: EventTime | None = None
    records_kept: bool = False
    reason: RefusalReason | None = None
    text: str | None = Field(default=None, min_length=1, max_length=700)

    @model_validator(mode="after")
    def _check_fields(self) -> Self:
        if self.result == "verified" and not self.verified_fields:
            raise ValueError("send the fields that you compared in 'verified_fields'")
        if self.result == "mismatch" and not self.mismatched_fields:
            raise ValueError("send the fields that differ in 'mismatched_fields'")
        if self.result in ("refused", "failed") and self.reason is None:
            raise ValueError(f"the result {self.result} requires 'reason'")
        if self.result not in ("executed", "lifted") and self.done_at is not None:
            raise ValueError("'done_at' is allowed only for an action that was carried out")
        if self.result != "executed" and self.amount_minor is not None:
            raise ValueError("'amount_minor' is allowed with the result 'executed' only")
        return self
