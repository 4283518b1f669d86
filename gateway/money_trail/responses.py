"""The money trail for an officer: its hops, the remaining amounts by account, and orders that can be issued along it.

Invariant: of a transfer or account that only cases of other agencies name, only tokens and amounts are shown. No proposal exceeds
the remaining amount, and a proposal that cannot be ordered lists the missing members.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from pydantic import BaseModel

from gateway.http.unsealing import opened
from gateway.money_trail.service import Gathered
from schemas.cases.case import Case
from schemas.common import Amount, Instant
from schemas.money_trail import Cut, Hold, Hop, Loss, Stop, Trail, Unexplained
from schemas.orders.kinds import OrderKind
from schemas.policy import Policy
from schemas.security import Sealer
from stream_processors.domain.money_trail.proposed_holds import holds
from stream_processors.domain.money_trail.sources import Keeper, Start, held_of, keepers, returned_of
from stream_processors.domain.money_trail.trace import Followed, follow

CASES_TOLD = 8


class AccountOut(BaseModel):
    """An account, card or wallet: its token, and its value if a case of yours names it. `unmatched`: it identifies nobody
    (docs/reference/indicators.md), so no order is proposed."""

    token: str
    kind: str | None = None
    value: str | None = None
    unmatched: str | None = None


class StartOut(BaseModel):
    """The start of the trail: `loss` (a victim paid), `arrived` (it came to the case's subject), `left`, or `reported`."""

    account: AccountOut
    reason: str
    at: Instant
    amount: Amount


class HopOut(BaseModel):
    """A transfer that carried some of the loss: `amount` moved, `traced_minor` of it belongs to the trail. `withheld`: only cases
    in other agencies' queues report it, so its reporters, time and signals are not shown."""

    payer: str
    payee: str
    amount: Amount
    traced_minor: int
    depth: int
    withheld: bool
    at: Instant | None = None
    evidence: list[str] | None = None
    reported_by: int | None = None


class StopOut(BaseModel):
    """The loss on an account: `arrived` = `went_on` + `unexplained` + `remaining`. `institution` keeps the account, by the
    evidence `institution_known_from` (docs/guide/money-trail.md); `held_minor` is held by this case's orders, `returned_minor`
    was paid back by them (and is still part of `remaining` if nobody reports it); `cases` are yours that name it."""

    account: AccountOut
    depth: int
    currency: str
    received_minor: int
    forwarded_minor: int
    unexplained_minor: int
    remaining_minor: int
    held_minor: int
    returned_minor: int
    withheld: bool
    cases: list[str]
    institution: str | None = None
    institution_known_from: str | None = None
    first_at: Instant | None = None
    last_at: Instant | None = None


class CutOut(BaseModel):
    """Money that moved past a bound of the trail (`depth`, `fan_out`)."""

    limit: str
    payer: str
    payee: str
    transfers: int
    traced_minor: int
    currency: str


class GapOut(BaseModel):
    """Money that left an account without a report."""

    account: str
    gap: str
    amount: Amount


class ProposalOut(BaseModel):
    """An order along the trail: `order` is the body of `POST /v1/cases/{id}/orders` without the members in `missing`; None: it
    cannot be ordered from here. `traced_minor`: the amount that the trail finds there."""

    account: str
    traced_minor: int
    missing: list[str]
    order: dict[str, Any] | None = None


class TrailOut(BaseModel):
    """`accounts`: nearest first. `orders`: largest first. `partial` names the limits that were reached: `depth`, `fan_out`,
    `transfers`, `accounts`, `cases`, `signals` (a case lists fewer signals than it has); empty: the trail is complete.
    `other_currencies` moved on these accounts as well."""

    case_id: str
    revision: int
    starts: list[StartOut]
    hops: list[HopOut]
    accounts: list[StopOut]
    cuts: list[CutOut]
    unexplained: list[GapOut]
    orders: list[ProposalOut]
    other_currencies: list[str]
    partial: list[str]


class _CurrencyTrail(NamedTuple):
    """The trail of one currency."""

    losses: list[Loss]
    followed: Followed

    @property
    def currency(self) -> str:
        return self.losses[0].currency


class Writer:
    """Writes the response for one case."""

    def __init__(self, case: Case, gathered: Gathered, policy: Policy, sealer: Sealer) -> None:
        self._case, self._gathered, self._policy, self._sealer = case, gathered, policy, sealer
        self._mine = {reported.report.signal_id for reported in gathered.reports if reported.mine}
        self._keepers = keepers((reported for reported in gathered.reports if reported.mine), case.orders)

    def trail(self) -> TrailOut:
        trails = [
            _CurrencyTrail(losses, follow(losses, self._gathered.transfers, rules=self._policy.trail))
            for losses in self._list_losses()
        ]
        others = {name for trail in trails for name in trail.followed.other_currencies}
        return TrailOut(
            case_id=self._case.case_id,
            revision=self._case.revision,
            starts=[self._start_out(start) for start in self._gathered.starts],
            hops=[self._hop_out(hop, trail.currency) for trail in trails for hop in trail.followed.hops],
            accounts=[out for trail in trails for out in self._list_stops(trail)],
            cuts=[_cut_out(cut, trail.currency) for trail in trails for cut in trail.followed.cuts],
            unexplained=[_gap_out(gap, trail.currency) for trail in trails for gap in trail.followed.unexplained],
            orders=[out for trail in trails for out in self._propose_orders(trail)],
            other_currencies=sorted(others - {trail.currency for trail in trails}),
            partial=sorted(self._gathered.partial | {bound for trail in trails for bound in _list_bounds(trail.followed)}),
        )

    def _list_losses(self) -> Iterable[list[Loss]]:
        losses = sorted((start.loss for start in self._gathered.starts), key=lambda loss: (loss.currency, loss.at, loss.account))
        return [list(group) for _, group in groupby(losses, key=lambda loss: loss.currency)]

    def account(self, token: str) -> AccountOut:
        named = self._gathered.names.get(token)
        if named is None:
            return AccountOut(token=token, kind=None, value=None)
        value = opened(self._sealer, named.subject.sealed, f"{named.signal_id}/{token}")
        return AccountOut(token=token, kind=named.subject.kind, value=value, unmatched=named.subject.unmatched)

    def _start_out(self, start: Start) -> StartOut:
        amount = Amount(minor=start.loss.amount_minor, currency=start.loss.currency)
        return StartOut(account=self.account(start.loss.account), reason=start.why, at=start.loss.at, amount=amount)

    def _hop_out(self, hop: Hop, currency: str) -> HopOut:
        evidence = [name for name in hop.evidence if name in self._mine]
        details = {"at": hop.at, "evidence": evidence, "reported_by": hop.reported_by} if evidence else {}
        return HopOut(
            payer=hop.payer,
            payee=hop.payee,
            amount=Amount(minor=hop.amount_minor, currency=currency),
            traced_minor=hop.traced_minor,
            depth=hop.depth,
            withheld=not evidence,
            **details,
        )

    def _list_stops(self, currency_trail: _CurrencyTrail) -> Iterable[StopOut]:
        held, paid = (count(self._case.orders, currency_trail.currency) for count in (held_of, returned_of))
        return [self._stop_out(stop, currency_trail.currency, held, paid) for stop in currency_trail.followed.stops]

    def _stop_out(self, stop: Stop, currency: str, held: Mapping[str, int], paid: Mapping[str, int]) -> StopOut:
        plain = {name: getattr(stop, name) for name in StopOut.model_fields if name in Stop.model_fields and name != "account"}
        cases = self._gathered.cases.get(stop.account, [])
        keeper: Keeper | None = self._keepers.get(stop.account) if cases else None
        if not cases:
            plain |= {"first_at": None, "last_at": None}
        return StopOut(
            **plain,
            account=self.account(stop.account),
            currency=currency,
            held_minor=held.get(stop.account, 0),
            returned_minor=paid.get(stop.account, 0),
            institution=keeper.institution if keeper else None,
            institution_known_from=keeper.why if keeper else None,
            withheld=not cases,
            cases=cases[:CASES_TOLD],
        )

    def _propose_orders(self, currency_trail: _CurrencyTrail) -> Iterable[ProposalOut]:
        """For each account except those of the payers: the amount there that is neither held nor paid back."""
        begun = {loss.account for loss in currency_trail.losses}
        stops = tuple(stop for stop in currency_trail.followed.stops if stop.account not in begun)
        trail = Trail.trusted(loss=currency_trail.losses[0], stops=stops)
        who = {token: keeper.institution for token, keeper in self._keepers.items()}
        paid = Counter(returned_of(self._case.orders, currency_trail.currency))
        for hop in currency_trail.followed.hops:
            if hop.payee in begun:
                paid[hop.payer] -= hop.traced_minor  # somebody reports it, so that it is not there any more
        settled = Counter(held_of(self._case.orders, currency_trail.currency)) + +paid
        proposed = holds(trail, keepers=who, held_minor=settled)
        remains = {stop.account: stop.remaining_minor for stop in stops}
        return [self._propose_order(hold, remains[hold.account], currency_trail.followed.hops) for hold in proposed.order]

    def _propose_order(self, hold: Hold, remaining: int, hops: Iterable[Hop]) -> ProposalOut:
        account, verify = self.account(hold.account), self._propose_verify(hold, hops)
        kind = OrderKind.STOP_PAYMENT if verify is not None else OrderKind.FREEZE
        rules = self._policy.orders.kinds.get(kind)
        is_somebodys = account.value and account.unmatched is None
        missing = [name for name, there in (("recipient", hold.institution), ("subject", is_somebodys)) if not there]
        if missing or rules is None:
            lacking = missing or ["kind"]
            return ProposalOut(account=hold.account, traced_minor=remaining, order=None, missing=lacking)
        order: dict[str, Any] = {
            "kind": kind.value,
            "recipient": hold.institution,
            "subject": {"kind": account.kind, "value": account.value},
            "amount": {"minor": hold.amount_minor, "currency": hold.currency},
            "traced_minor": remaining,
            "basis": rules.basis,
            "revision": self._case.revision,
        }
        if verify is not None:
            order["verify"] = {**verify, "account": account.value}
        needed = ["verify.name"] if verify is not None else []
        return ProposalOut(account=hold.account, traced_minor=remaining, order=order, missing=needed)

    def _propose_verify(self, hold: Hold, hops: Iterable[Hop]) -> dict[str, Any] | None:
        """The last transfer to the account that alone brought the amount: an institution compares it before a stop. Without one
        there is no single payment to stop, so a freeze is proposed."""
        for hop in sorted(hops, key=lambda transfer: transfer.at, reverse=True):
            named = any(name in self._mine for name in hop.evidence)
            if hop.payee == hold.account and hop.amount_minor >= hold.amount_minor and named:
                amount = {"minor": hop.amount_minor, "currency": hold.currency}
                return {"amount": amount, "occurred_at": hop.at.isoformat().replace("+00:00", "Z")}
        return None


def _cut_out(cut: Cut, currency: str) -> CutOut:
    return CutOut(**cut.model_dump(), currency=currency)


def _gap_out(gap: Unexplained, currency: str) -> GapOut:
    return GapOut(account=gap.account, gap=gap.gap, amount=Amount(minor=gap.amount_minor, currency=currency))


def _list_bounds(followed: Followed) -> set[str]:
    return {cut.limit for cut in followed.cuts} | ({"transfers"} if followed.unread else set())
