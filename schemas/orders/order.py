"""Orders: instructions of an agency to an institution about one subject of a case, and their outcome.

Arts. 20 and 22 (stop, block, keep records), Art. 48 (letters are handled and answered), 银发〔2016〕86号 (four fields are
compared before a stop). Invariant: only an executed order that has not ended holds money, never more than was traced and arrived.
Sealed values open in the context `order_id/field`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from schemas.common import AmountMinor, Currency, EventTime, Instant, Name, PartyId, Stored
from schemas.orders.kinds import OrderKind
from schemas.refunds import ReturnRule
from schemas.signals.subjects import Subject

HISTORY_KEPT = 24
SealedLine = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
"""A sealed name, account or short remark. Its length is bounded, because a case with many orders must fit into one record."""
SealedText = Annotated[str, StringConstraints(min_length=1, max_length=4096)]
"""A sealed letter or answer."""


class OrderState(StrEnum):
    """RENEWED: executed and extended since. WITHDRAWN: ended before anybody outside was notified."""

    AWAITING_APPROVAL = "awaiting_approval"
    ISSUED = "issued"
    DELIVERED = "delivered"
    VERIFIED = "verified"
    EXECUTED = "executed"
    RENEWED = "renewed"
    REFUSED = "refused"
    FAILED = "failed"
    EXPIRED = "expired"
    RELEASED = "released"
    WITHDRAWN = "withdrawn"


UNDONE = (OrderState.ISSUED, OrderState.DELIVERED, OrderState.VERIFIED)
"""States in which the recipient was notified and has not yet reported execution."""
LIVE = frozenset({OrderState.AWAITING_APPROVAL, *UNDONE, OrderState.EXECUTED, OrderState.RENEWED})


class OrderEventKind(StrEnum):
    """ISSUE to RENEW come from people; EXPIRE, NEAR_EXPIRY and OVERDUE from deadlines. RELEASE, SUPERSEDE, PAY_BACK and LOWER (a
    partial release) are effects of another order. LIFT: the recipient confirms that it holds nothing."""

    ISSUE = "issue"
    APPROVE = "approve"
    REJECT = "reject"
    WITHDRAW = "withdraw"
    DELIVER = "deliver"
    VERIFY = "verify"
    MISMATCH = "mismatch"
    EXECUTE = "execute"
    REFUSE = "refuse"
    FAIL = "fail"
    RENEW = "renew"
    LIFT = "lift"
    EXPIRE = "expire"
    NEAR_EXPIRY = "near_expiry"
    OVERDUE = "overdue"
    RELEASE = "release"
    SUPERSEDE = "supersede"
    PAY_BACK = "pay_back"
    LOWER = "lower"


class VerifyField(StrEnum):
    """Fields that an institution compares with its own books before it stops a payment."""

    NAME = "name"
    ACCOUNT = "account"
    AMOUNT = "amount"
    TIME = "time"


class RefusalReason(StrEnum):
    MISMATCH = "mismatch"
    NOT_OUR_CUSTOMER = "not_our_customer"
    CLOSED = "closed"
    NO_BASIS = "no_basis"
    NO_FUNDS = "no_funds"
    TECHNICAL = "technical"
    OTHER = "other"


class Verify(Stored):
    """The transfer that an order concerns, as the agency knows it. `amount_minor` is the amount that arrived on the account."""

    name_sealed: SealedLine | None = None
    account_sealed: SealedLine | None = None
    amount_minor: AmountMinor | None = None
    occurred_at: EventTime | None = None

    def has(self, field: VerifyField) -> bool:
        values = {
            VerifyField.NAME: self.name_sealed,
            VerifyField.ACCOUNT: self.account_sealed,
            VerifyField.AMOUNT: self.amount_minor,
            VerifyField.TIME: self.occurred_at,
        }
        return values[field] is not None


class OrderDraft(Stored):
    """What an officer asks for. `amount_minor` is the most to hold or to pay back, `traced_minor` what the trail says of it.

    `related_order_id` is the order that a release, a return, or a freeze in place of a stop is about; the first two take their
    subject from it. `method`: by which rule a return is reckoned, where somebody said so; `public_notice_at`: when the public
    notice of a pro rata return was given (None: it is given with the order). `basis_sealed`: the basis in the officer's own
    words.
    """

    order_id: Name
    kind: OrderKind
    case_id: Name
    agency: PartyId
    recipient: PartyId
    subject: Subject | None = None
    verify: Verify | None = None
    amount_minor: AmountMinor | None = None
    traced_minor: AmountMinor | None = None
    currency: Currency | None = None
    answer_by: Instant | None = None
    related_order_id: Name | None = None
    text_sealed: SealedText | None = None
    method: ReturnRule | None = None
    public_notice_at: EventTime | None = None
    basis_sealed: SealedText | None = None


class OrderEvent(Stored):
    """An event of one order. `event_id` is the id of the action.

    For an answer: `verified_fields` and `mismatched_fields` name fields, `credited_minor` is the amount that came in by the
    institution's books, `amount_minor` the amount held or paid back, `done_at` its time (None: now), `records_kept` confirms the
    duty of Art. 20. `unit`: the unit for which an officer answers a letter, from the token.
    """

    event_id: Name
    order_id: Name
    kind: OrderEventKind
    unit: PartyId | None = None
    draft: OrderDraft | None = None
    verified_fields: tuple[VerifyField, ...] = Field(default=(), max_length=4)
    mismatched_fields: tuple[VerifyField, ...] = Field(default=(), max_length=4)
    credited_minor: AmountMinor | None = None
    amount_minor: AmountMinor | None = None
    done_at: EventTime | None = None
    records_kept: bool = False
    reason: RefusalReason | None = None
    text_sealed: SealedText | None = None


class OrderMoved(Stored):
    """One line of an order's history."""

    at: Instant
    actor: Name
    event: OrderEventKind
    state: OrderState


class Order(Stored):
    """The whole order. `held_minor` is what it holds now, `paid_minor` what a return paid out. `basis` is the policy's legal
    text, `basis_sealed` what the officer gave instead.

    `valid_until`: before execution, until when it may be carried out; after it, until when it holds. `validity_deadline`,
    `answer_deadline` and `verify_deadline` are the names under which its times run. `late`: its answer came after `answer_by`.
    `lifted_at`: the recipient's word that nothing is held any more. `method`: by which rule a return is reckoned; one that needs
    a public notice first is not carried out before `public_notice_until`, which runs under `public_notice_deadline`. `partial`:
    of a release, that it is of less than is held; the order goes on with the rest. `history` holds the newest moves; the times of
    the important ones have fields of their own.
    """

    order_id: Name
    kind: OrderKind
    case_id: Name
    agency: PartyId
    recipient: PartyId
    state: OrderState
    issued_by: PartyId
    drafted_at: Instant
    basis: str = ""
    subject: Subject | None = None
    verify: Verify | None = None
    verify_fields: tuple[VerifyField, ...] = ()
    amount_minor: AmountMinor | None = None
    traced_minor: AmountMinor | None = None
    currency: Currency | None = None
    dual_approval: bool = False
    approved_by: PartyId | None = None
    related_order_id: Name | None = None
    text_sealed: SealedText | None = None
    validity_deadline: Name | None = None
    answer_deadline: Name | None = None
    verify_deadline: Name | None = None
    issued_at: Instant | None = None
    delivered_at: Instant | None = None
    verified_at: Instant | None = None
    executed_at: Instant | None = None
    ended_at: Instant | None = None
    lifted_at: Instant | None = None
    valid_until: Instant | None = None
    renewals: int = 0
    answer_by: Instant | None = None
    overdue: bool = False
    late: bool = False
    held_minor: AmountMinor = 0
    paid_minor: AmountMinor = 0
    preserve_records: bool = False
    preserve_records_until: Instant | None = None
    refusal_reason: RefusalReason | None = None
    mismatched_fields: tuple[VerifyField, ...] = ()
    answer_sealed: SealedText | None = None
    method: ReturnRule | None = None
    public_notice_deadline: Name | None = None
    public_notice_until: Instant | None = None
    partial: bool = False
    history: tuple[OrderMoved, ...] = ()
    basis_sealed: SealedText | None = None
