"""Routes of officers over a case's money: the trail of the loss, and the calculator of its return. Neither stores anything.

Invariant: a response is a function of the current views, and nothing is ordered until an officer posts the order.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, Field
from starlette.responses import Response

from gateway.commands.case_requests import seen_case
from gateway.http.call import Call
from gateway.http.endpoint import Endpoint
from gateway.http.problem_sets import QUERY, VIEWS
from gateway.http.problems import Problem
from gateway.http.request_body import RequestBody, read_json
from gateway.http.responses import dumped
from gateway.http.roles import OFFICERS
from gateway.money_trail.responses import AccountOut, TrailOut, Writer
from gateway.money_trail.service import Gathered, Reading
from gateway.security.audit import accessed
from schemas.common import Amount, AmountMinor, AtMost, EventTime, GivenInstant, Name
from schemas.money_trail import Moved, TrailRules
from schemas.orders.kinds import OrderKind
from schemas.policy import Policy
from schemas.refunds import Frozen, Payment, RefundRule, StepOut, told
from schemas.signals.subjects import Named
from stream_processors.domain.money_trail.refund import refund
from stream_processors.domain.money_trail.trace import follow

MOST_GIVEN = 1000
MOST_TRACED = 50
"""Payments traced for one return at most. Each one is traced separately."""


class PaymentIn(RequestBody):
    """A payment into the account from your file. `payer`: any name that distinguishes payers; `traced_minor`: the part that is
    known to be still there."""

    payer: Name
    amount_minor: Moved
    at: EventTime | None = None
    traced_minor: AmountMinor | None = None


class RefundIn(RequestBody):
    """The frozen `balance` of an `account`. Default for `payments`: the losses that the trail finds there."""

    account: Named
    balance: Amount
    public_notice_ends_at: GivenInstant | None = None
    payments: Annotated[list[PaymentIn], Field(min_length=1), AtMost(MOST_GIVEN)] | None = None


class ShareOut(BaseModel):
    """`account`: the payer's, if the trail found the payments."""

    payer: str
    paid_minor: int
    share_minor: int
    account: AccountOut | None = None


class RefundOut(BaseModel):
    """The proposal with its working. `from_trail`: whether the trail found the payments. `partial`: limits that were reached (as
    of a trail; `payments`: more than are traced; `withheld`: other agencies' cases name victims of this account, so ask them
    first); the list of payers may be incomplete."""

    account: AccountOut
    currency: str
    balance_minor: int
    rule: RefundRule
    shares: list[ShareOut]
    undistributed_minor: int
    payable: bool
    steps: list[StepOut]
    from_trail: bool
    partial: list[str]


async def get_trail(call: Call) -> Response:
    """Returns the reported way of the victims' money: each hop, the remaining amount and the institution of each account, and a
    proposed order for each account with money left. Transfers that only other agencies' cases report appear as accounts and
    amounts. The audit log records the access."""
    case, policy = await seen_case(call), call.services.policy
    gathered = await _make_reading(call, policy.trail).of_case(case.case_id, case.primary_subject.token)
    out = Writer(case, gathered, policy, call.services.sealer).trail()
    accessed(call.caller, "trail", case=case.case_id, queue=case.queue, accounts=len(out.accounts))
    return dumped(out)


async def post_refund(call: Call) -> Response:
    """Calculates how frozen money is returned to its payers: directly, by time, or pro rata, with every step of the working and
    its legal basis. Nothing is stored or ordered."""
    body = await read_json(call, RefundIn)
    case, policy, services = await seen_case(call), call.services.policy, call.services
    token = services.tokenizer.subject(body.account.kind, body.account.value)
    gathered = await _make_reading(call, policy.trail).into(case.case_id, token)
    if token not in gathered.names and all(order.subject is None or order.subject.token != token for order in case.orders):
        raise Problem("unknown-account", "no case of your unit and no order of this case names the account")
    writer = Writer(case, gathered, policy, services.sealer)
    partial: set[str] = set()
    if body.payments is None:
        payments, partial = _find_payments(gathered, token, body.balance.currency, policy.trail)
    else:
        payments = [Payment(payment_id=f"p-{n}", **payment.model_dump()) for n, payment in enumerate(body.payments, 1)]
    frozen = Frozen(
        account=token,
        balance_minor=body.balance.minor,
        currency=body.balance.currency,
        public_notice_ends_at=body.public_notice_ends_at,
    )
    result = refund(frozen, payments, basis=_legal_basis(policy), now=datetime.now(UTC))
    accessed(call.caller, "refund", case=case.case_id, queue=case.queue, token=token, payments=len(payments))
    by_trail = body.payments is None
    return dumped(
        RefundOut(
            account=AccountOut(token=token, kind=body.account.kind, value=body.account.value),
            currency=result.currency,
            balance_minor=result.balance_minor,
            rule=result.rule,
            shares=[
                ShareOut(**share.model_dump(), account=writer.account(share.payer) if by_trail else None)
                for share in result.shares
            ],
            undistributed_minor=result.undistributed_minor,
            payable=result.payable,
            steps=told(result),
            from_trail=by_trail,
            partial=sorted(partial),
        )
    )


def _make_reading(call: Call, rules: TrailRules) -> Reading:
    return Reading(call.services.views, rules, call.caller.may_work_on)


def _legal_basis(policy: Policy) -> str:
    rules = policy.orders.kinds.get(OrderKind.RETURN_FUNDS)
    return rules.basis if rules is not None else ""


def _find_payments(gathered: Gathered, account: str, currency: str, rules: TrailRules) -> tuple[list[Payment], set[str]]:
    """Each loss that came to the account: its amount, its first time, and the part that is still there."""
    partial = set(gathered.partial)
    losses = [start.loss for start in gathered.starts if start.loss.currency == currency and start.loss.account != account]
    if len(losses) > MOST_TRACED:
        partial.add("payments")
    payments = []
    for n, loss in enumerate(losses[:MOST_TRACED], 1):
        trail = follow([loss], gathered.transfers, rules=rules)
        partial |= {cut.limit for cut in trail.cuts} | ({"transfers"} if trail.unread else set())
        stop = next((candidate for candidate in trail.stops if candidate.account == account), None)
        if stop is not None:
            payments.append(
                Payment.trusted(
                    payment_id=f"p-{n}",
                    payer=loss.account,
                    amount_minor=min(stop.received_minor, loss.amount_minor),
                    at=stop.first_at,
                    traced_minor=stop.remaining_minor,
                )
            )
    return payments, partial


ENDPOINTS = [
    Endpoint(
        "GET",
        "/v1/cases/{case_id}/money-trail",
        get_trail,
        OFFICERS,
        "Retrieve the money trail of a case",
        answer=TrailOut,
        problems=("unknown-case", *VIEWS),
    ),
    Endpoint(
        "POST",
        "/v1/cases/{case_id}/refund",
        post_refund,
        OFFICERS,
        "Calculate a return of frozen funds",
        body=RefundIn,
        answer=RefundOut,
        problems=("unknown-case", "unknown-account", *QUERY),
    ),
]
