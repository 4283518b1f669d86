"""The money trail (资金流向): transfers that several institutions reported, followed from a victim's loss (Art. 22).

Invariant: what remains on accounts, what a bound cut and what left unexplained add up to the loss, to the minor unit.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from schemas.common import AmountMinor, Currency, EventTime, Name, PartyId, Stored, Strict

Moved = Annotated[AmountMinor, Field(gt=0)]
"""Money that moved: more than nothing, in minor units."""

Bound = Literal["depth", "fan_out"]
Gap = Literal["no_report", "balance"]


class TrailRules(Strict):
    """How far money is followed; an operator's numbers.

    `match_window_s`: how far apart two institutions may see one transfer; `max_depth`: accounts behind the victim's;
    `max_fan_out`: payees of one account, those that got most; `most_transfers`: read in all, the earliest. Where reports are
    looked for: `most_accounts` in all, `most_cases` of one account (those with the newest signals) and twelve times that in all.
    """

    match_window_s: int = Field(default=600, ge=0, le=86_400)
    max_depth: int = Field(default=6, ge=1, le=64)
    max_fan_out: int = Field(default=20, ge=1, le=1000)
    most_transfers: int = Field(default=5000, ge=1, le=100_000)
    most_accounts: int = Field(default=60, ge=1, le=1000)
    most_cases: int = Field(default=8, ge=1, le=100)


class TransferReport(Stored):
    """One institution's word about one transfer. Ends are tokens of accounts, cards, wallets."""

    signal_id: Name
    institution: PartyId
    at: EventTime
    payer: Name
    payee: Name
    amount_minor: Moved
    currency: Currency
    version: int = 1


class Loss(Stored):
    """Where a trail starts: what leaves `account` from `at` on is the loss, up to its amount."""

    account: Name
    at: EventTime
    amount_minor: Moved
    currency: Currency


class Statement(Stored):
    """What an institution found on an account: all that it held at the end of `at`, the loss or not."""

    account: Name
    at: EventTime
    balance_minor: AmountMinor
    currency: Currency


class Hop(Stored):
    """A transfer that carried some of the loss: `amount_minor` moved, `traced_minor` of it is the loss's.

    `depth` is the payee's least distance from the loss; `evidence` names the first signals that reported it, `reported_by` counts
    their institutions.
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
    """An account on the trail. Of the loss: `arrived_minor` came, `went_on_minor` was seen to leave, `unexplained_minor` left
    without a report, `remaining_minor` is there. The first is the sum of the others. Money that comes twice arrives twice."""

    account: Name
    depth: int
    first_at: EventTime
    last_at: EventTime
    arrived_minor: int
    went_on_minor: int
    unexplained_minor: int
    remaining_minor: int


class Cut(Stored):
    """What went on past a bound and was not followed."""

    bound: Bound
    payer: Name
    payee: Name
    transfers: int
    traced_minor: int


class Unexplained(Stored):
    """What left `account` by no reported transfer: of the loss itself (`no_report`), or because the account holds less than it
    should (`balance`): cash, or a transfer that nobody reported."""

    account: Name
    gap: Gap
    amount_minor: int


class Trail(Stored):
    """The loss, followed. `unread` transfers from `unread_from` on were too many to be read: the trail ends there.
    `other_currencies` moved on its accounts as well: what was exchanged is not followed."""

    loss: Loss
    hops: tuple[Hop, ...] = ()
    stops: tuple[Stop, ...] = ()
    cuts: tuple[Cut, ...] = ()
    unexplained: tuple[Unexplained, ...] = ()
    unread: int = 0
    unread_from: EventTime | None = None
    other_currencies: tuple[Currency, ...] = ()


class Hold(Stored):
    """An amount to hold on an account: what of the loss is there, never the whole account. `institution`: who keeps the account,
    None when that is not known."""

    account: Name
    institution: PartyId | None
    amount_minor: Moved
    currency: Currency
    depth: int
