"""The money trail (资金流向): transfers reported by several institutions, followed from a victim's loss (Art. 22).

Invariant: the amounts that remain, that a bound cut, and that left unexplained add up to the loss, to the minor unit.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.common import AmountMinor, Currency, EventTime, Name, PartyId, Stored, Strict

Moved = Annotated[AmountMinor, Field(gt=0)]
"""An amount of money that moved: above zero, in minor units."""

Bound = Literal["depth", "fan_out"]
Gap = Literal["no_report", "balance"]


class TrailRules(Strict):
    """How far money is followed; an operator's numbers.

    `match_window_s`: how far apart two institutions may report one transfer; `max_depth`: accounts after the victim's;
    `max_fan_out`: payees of one account, the largest ones; `max_transfers`: read in all, the earliest. Search limits:
    `max_accounts` in all, `max_cases` of one account (those with the newest signals) and twelve times that in all.
    """

    match_window_s: int = Field(default=600, ge=0, le=86_400)
    max_depth: int = Field(default=6, ge=1, le=64)
    max_fan_out: int = Field(default=20, ge=1, le=1000)
    max_transfers: int = Field(default=5000, ge=1, le=100_000)
    max_accounts: int = Field(default=60, ge=1, le=1000)
    max_cases: int = Field(default=8, ge=1, le=100)


class TransferReport(Stored):
    """One institution's report of one transfer. Ends are tokens of accounts, cards, wallets."""

    signal_id: Name
    institution: PartyId
    at: EventTime
    payer: Name
    payee: Name
    amount_minor: Moved
    currency: Currency
    version: int = 1


class Loss(Stored):
    """The start of a trail: money that leaves `account` from `at` on is the loss, up to its amount."""

    account: Name
    at: EventTime
    amount_minor: Moved
    currency: Currency


class Statement(Stored):
    """The balance of an account that an institution found at the end of `at`, other money included."""

    account: Name
    at: EventTime
    balance_minor: AmountMinor
    currency: Currency


class Hop(Stored):
    """A transfer that carried some of the loss: `amount_minor` moved, `traced_minor` of it belongs to the loss.

    `depth` is the payee's least distance from the loss. `evidence` names the first signals that reported the transfer, and
    `reported_by` counts their institutions.
    """

    at: EventTime
    payer: Name
    payee: Name
    amount_minor: Moved
    traced_minor: Moved
    depth: int
    evidence: tuple[Name, ...]
    reported_by: int


class Stop(Stored):
    """An account on the trail. Of the loss, `received_minor` came in, `forwarded_minor` left by reports, `unexplained_minor` left
    without a report, `remaining_minor` is there. The first is the sum of the others. Money that comes twice arrives twice."""

    account: Name
    depth: int
    first_at: EventTime
    last_at: EventTime
    received_minor: int
    forwarded_minor: int
    unexplained_minor: int
    remaining_minor: int


class Cut(Stored):
    """Money that moved past a bound and was not followed."""

    limit: Bound
    payer: Name
    payee: Name
    transfers: int
    traced_minor: int


class Unexplained(Stored):
    """Money that left `account` without a reported transfer: of the loss itself (`no_report`), or because the account holds less
    than it should (`balance`), by cash or an unreported transfer."""

    account: Name
    gap: Gap
    amount_minor: int


class Trail(Stored):
    """The followed loss. The transfers from `unread_from` on exceeded the limit (`unread` counts them), and the trail ends there.
    `other_currencies` moved on its accounts, too; exchanged money is not followed."""

    loss: Loss
    hops: tuple[Hop, ...] = ()
    stops: tuple[Stop, ...] = ()
    cuts: tuple[Cut, ...] = ()
    unexplained: tuple[Unexplained, ...] = ()
    unread: int = 0
    unread_from: EventTime | None = None
    other_currencies: tuple[Currency, ...] = ()


class Hold(Stored):
    """An amount to hold on an account: the part of the loss that is there, never the whole account. `institution` keeps the
    account; None if unknown."""

    account: Name
    institution: PartyId | None
    amount_minor: Moved
    currency: Currency
    depth: int
