"""The refund calculator: returns a frozen balance to its payers (资金返还). Pure.

The rules are tried in the order of the table, and the first that separates the payers applies: directly (one payer; enough for
all; each payment traced), by time (first in, first out: the latest money is still there), else pro rata after a public notice.
Invariant: shares and remainder equal the balance; a share never exceeds the payment; the order of the payments does not matter,
and a payment counts once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import NamedTuple

from schemas.refunds import MOST_PAYMENTS, Frozen, Payment, Refund, RefundRule, Share, Step

_LATE = datetime.max.replace(tzinfo=UTC)


class _Sums(NamedTuple):
    """The input of the rules. `paid` and `since` are by payer: the total, and the first time."""

    balance: int
    payments: Sequence[Payment]
    paid: Mapping[str, int]
    since: Mapping[str, datetime]
    total: int
    basis: str

    def step(self, name: str, payer: str | None = None, **figures: int) -> Step:
        return Step.trusted(name=name, basis=self.basis, payer=payer, figures=figures)


class _Tried(NamedTuple):
    """Shares by payer, or None if the rule cannot separate the payers; the steps give the reason."""

    shares: Mapping[str, int] | None
    steps: Sequence[Step]


def refund(frozen: Frozen, payments: Iterable[Payment], *, basis: str, now: datetime) -> Refund:
    """The share of each payer in the frozen money. `basis` is the legal text of the policy (`return_of_funds`). ValueError: too
    many payments, or two different payments with one id."""
    sums = _sum_up(frozen, payments, basis)
    steps = [
        sums.step("frozen", balance_minor=sums.balance, payers=len(sums.paid), payments=len(sums.payments), paid_minor=sums.total)
    ]
    shares: Mapping[str, int] = {}
    rule: RefundRule = "nothing"
    for name, attempt in RULES:
        tried = attempt(sums)
        steps += tried.steps
        if tried.shares is not None:
            shares, rule = tried.shares, name
            break
    payable = rule not in ("nothing", "pro_rata")
    if rule == "pro_rata":
        payable = frozen.public_notice_ends_at is not None and now >= frozen.public_notice_ends_at
        steps.append(sums.step("public_notice_ended" if payable else "notice"))
    remaining = sums.balance - sum(shares.values())
    if remaining:
        steps.append(sums.step("undistributed", undistributed_minor=remaining))
    return Refund.trusted(
        account=frozen.account,
        currency=frozen.currency,
        balance_minor=frozen.balance_minor,
        rule=rule,
        shares=tuple(
            _make_share(payer, sums, shares) for payer in sorted(sums.paid, key=lambda claimant: (sums.since[claimant], claimant))
        ),
        undistributed_minor=remaining,
        payable=payable,
        steps=tuple(steps),
    )


def _make_share(payer: str, sums: _Sums, shares: Mapping[str, int]) -> Share:
    return Share.trusted(payer=payer, paid_minor=sums.paid[payer], share_minor=shares.get(payer, 0))


def _sum_up(frozen: Frozen, payments: Iterable[Payment], basis: str) -> _Sums:
    once: dict[str, Payment] = {}
    for payment in payments:
        if once.setdefault(payment.payment_id, payment) != payment:
            raise ValueError(f"two different payments have the id {payment.payment_id}")
    if len(once) > MOST_PAYMENTS:
        raise ValueError(f"there are more than {MOST_PAYMENTS} payments")
    ordered = sorted(once.values(), key=lambda payment: (payment.at or _LATE, payment.payer, payment.payment_id))
    paid: dict[str, int] = {}
    since: dict[str, datetime] = {}
    for payment in ordered:
        paid[payment.payer] = paid.get(payment.payer, 0) + payment.amount_minor
        since.setdefault(payment.payer, payment.at or _LATE)
    return _Sums(frozen.balance_minor, ordered, paid, since, sum(paid.values()), basis)


def _try_nothing(sums: _Sums) -> _Tried:
    empty = not sums.balance or not sums.paid
    return _Tried({}, [sums.step("nothing")]) if empty else _Tried(None, ())


def _one_payer(sums: _Sums) -> _Tried:
    if len(sums.paid) != 1:
        return _Tried(None, [sums.step("several_payers", payers=len(sums.paid))])
    (payer,) = sums.paid
    share = min(sums.balance, sums.total)
    return _Tried({payer: share}, [sums.step("one_payer", payer, share_minor=share)])


def _try_covered(sums: _Sums) -> _Tried:
    if sums.balance < sums.total:
        return _Tried(None, [sums.step("not_covered", balance_minor=sums.balance, paid_minor=sums.total)])
    return _Tried(sums.paid, [sums.step("covered", paid_minor=sums.total)])


def _try_traced(sums: _Sums) -> _Tried:
    """Only if every payment was traced: otherwise the money of untraced payers would be given away."""
    traced_payments = [payment for payment in sums.payments if payment.traced_minor is not None]
    if len(traced_payments) < len(sums.payments):
        return _Tried(None, [sums.step("not_traced", payments=len(sums.payments), traced=len(traced_payments))])
    shares = dict.fromkeys(sums.paid, 0)
    for payment in traced_payments:
        # More than was paid cannot be there of it.
        shares[payment.payer] += min(payment.traced_minor or 0, payment.amount_minor)
    if (traced := sum(shares.values())) > sums.balance:
        return _Tried(None, [sums.step("traced_too_much", traced_minor=traced, balance_minor=sums.balance)])
    return _Tried(shares, [sums.step("traced", payer, paid_minor=sums.paid[payer], share_minor=n) for payer, n in shares.items()])


def _by_time(sums: _Sums) -> _Tried:
    """From the last payment back until the balance is used up."""
    if timeless := sum(payment.at is None for payment in sums.payments):
        return _Tried(None, [sums.step("no_time", payments=timeless)])
    remaining, steps = sums.balance, []
    shares = dict.fromkeys(sums.paid, 0)
    for _, together in groupby(reversed(sums.payments), key=lambda payment: payment.at):
        group = list(together)
        amount, payers = sum(payment.amount_minor for payment in group), len({payment.payer for payment in group})
        if 0 < remaining < amount and payers > 1:
            return _Tried(None, [sums.step("same_time", payers=payers, amount_minor=amount, undistributed_minor=remaining)])
        for payment in group:
            counted = min(remaining, payment.amount_minor)
            remaining -= counted
            shares[payment.payer] += counted
            figures = {"amount_minor": payment.amount_minor, "counted_minor": counted, "undistributed_minor": remaining}
            steps.append(sums.step("by_time", payment.payer, **figures))
    return _Tried(shares, steps)


def _pro_rata(sums: _Sums) -> _Tried:
    """Rounded down; the remaining units go to the largest remainders, among equal ones to the earliest payer, then by name."""
    shares = {payer: sums.balance * paid // sums.total for payer, paid in sums.paid.items()}
    steps = [sums.step("pro_rata", balance_minor=sums.balance, paid_minor=sums.total)]
    steps += [
        sums.step("pro_rata_share", payer, paid_minor=sums.paid[payer], floor_minor=floor) for payer, floor in shares.items()
    ]
    order = sorted(sums.paid, key=lambda payer: (-(sums.balance * sums.paid[payer] % sums.total), sums.since[payer], payer))
    for payer in order[: sums.balance - sum(shares.values())]:
        shares[payer] += 1
        steps.append(sums.step("pro_rata_unit", payer, unit_minor=1))
    return _Tried(shares, steps)


RULES: tuple[tuple[RefundRule, Callable[[_Sums], _Tried]], ...] = (
    ("nothing", _try_nothing),
    ("one_payer", _one_payer),
    ("covered", _try_covered),
    ("traced", _try_traced),
    ("by_time", _by_time),
    ("pro_rata", _pro_rata),
)
