"""The money trail: follows losses through the accounts, first in, first out. Pure.

Each account is a queue of lots, oldest first. A transfer takes from the front of its payer's queue and appends to the end of its
payee's. A lot belongs to the loss, with its distance from it, or to other money. The balance before the first report is unknown:
money that leaves beyond all known lots is not part of the loss, so nobody is traced by a guess.

Invariants: traced money on an account arrived there; remainders, cuts and unexplained amounts add up to the loss; money leaves
after it came; the order of the reports does not matter. Cost: sorting the reports, and one step for each transfer and depth.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from schemas.money_trail import Bound, Cut, Gap, Hop, Loss, Statement, Stop, Trail, TrailRules, TransferReport, Unexplained
from stream_processors.domain.money_trail.transfers import MoneyMove, counted_once

Lots = deque[tuple[int, int | None]]
"""(minor units, depth), oldest first. Depth 0 is the loss before it moved, None is other money."""


class Followed(NamedTuple):
    """Losses of one currency, followed together: a Trail without the loss."""

    hops: tuple[Hop, ...]
    stops: tuple[Stop, ...]
    cuts: tuple[Cut, ...]
    unexplained: tuple[Unexplained, ...]
    unread: int
    unread_from: datetime | None
    other_currencies: tuple[str, ...]


def trace(loss: Loss, reports: Iterable[TransferReport], *, rules: TrailRules, statements: Iterable[Statement] = ()) -> Trail:
    """The trail of the loss in its own currency. Reports may come in any order, twice, and from both ends of a transfer."""
    transfers = counted_once(reports, rules.match_window_s)
    return Trail.trusted(loss=loss, **follow([loss], transfers, rules=rules, statements=statements)._asdict())


def follow(
    losses: Sequence[Loss], transfers: Sequence[MoneyMove], *, rules: TrailRules, statements: Iterable[Statement] = ()
) -> Followed:
    """Follows the losses together; all have one currency, and `transfers` come from `counted_once`."""
    currency, since = losses[0].currency, min(loss.at for loss in losses)
    own = [transfer for transfer in transfers if transfer.currency == currency]
    read, rest = own[: rules.max_transfers], own[rules.max_transfers :]
    until = rest[0].at if rest else None
    books = _Books(_choose_payees(read, since, rules.max_fan_out), rules.max_depth)
    for step in _order_in_time(losses, read, statements, until):
        books.take_in(step)
    stops, unexplained = books.closed(sorted({loss.account for loss in losses}))
    return Followed(
        hops=tuple(books.hops),
        stops=stops,
        cuts=books.all_cuts(),
        unexplained=unexplained,
        unread=len(rest),
        unread_from=until,
        other_currencies=_other_currencies(
            currency, since, transfers, {*(loss.account for loss in losses), *(stop.account for stop in stops)}
        ),
    )


def _order_in_time(
    losses: Sequence[Loss], transfers: Sequence[MoneyMove], statements: Iterable[Statement], until: datetime | None
) -> Iterator[Loss | MoneyMove | Statement]:
    """At one instant: the loss, then transfers, then balances. The victim's own balance says nothing about the loss, which is not
    on it; nor does one from after the last read transfer."""
    victims = {loss.account for loss in losses}
    relevant = [
        statement for statement in statements if statement.currency == losses[0].currency and statement.account not in victims
    ]
    relevant = [statement for statement in relevant if until is None or statement.at < until]
    relevant.sort(key=lambda statement: (statement.at, statement.account, statement.balance_minor))
    steps: list[tuple[datetime, int, Loss | MoneyMove | Statement]] = [(loss.at, 0, loss) for loss in losses]
    steps += [(transfer.at, 1, transfer) for transfer in transfers]
    steps += [(statement.at, 2, statement) for statement in relevant]
    return (step for _, _, step in sorted(steps, key=lambda entry: entry[:2]))


def _choose_payees(transfers: Sequence[MoneyMove], since: datetime, most: int) -> Mapping[str, frozenset[str]]:
    """The followed payees of each account: those with the largest amounts since the loss. With the first ones, many small
    transfers would hide a large one."""
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for transfer in transfers:
        if transfer.at >= since:
            sums[transfer.payer][transfer.payee] += transfer.amount_minor
    return {payer: frozenset(sorted(payees, key=lambda payee: (-payees[payee], payee))[:most]) for payer, payees in sums.items()}


def _other_currencies(currency: str, since: datetime, transfers: Iterable[MoneyMove], accounts: set[str]) -> tuple[str, ...]:
    currencies = {
        transfer.currency
        for transfer in transfers
        if transfer.at >= since and not accounts.isdisjoint((transfer.payer, transfer.payee))
    }
    return tuple(sorted(currencies - {currency}))


class _Books:
    """The accounts while the transfers are read."""

    def __init__(self, followed: Mapping[str, frozenset[str]], max_depth: int) -> None:
        self.followed, self.max_depth = followed, max_depth
        self.lots: dict[str, Lots] = defaultdict(deque)
        self.hops: list[Hop] = []
        self.cuts: dict[tuple[Bound, str, str], list[int]] = defaultdict(lambda: [0, 0])
        self.unexplained: dict[tuple[str, Gap], int] = defaultdict(int)
        self.went_on: dict[str, int] = defaultdict(int)

    def take_in(self, step: Loss | MoneyMove | Statement) -> None:
        if isinstance(step, MoneyMove):
            self._apply_transfer(step)
        elif isinstance(step, Statement):
            self._apply_statement(step)
        else:
            # The loss is what the victim pays first, whatever else is known of the account.
            self.lots[step.account].appendleft((step.amount_minor, 0))

    def _apply_transfer(self, transfer: MoneyMove) -> None:
        arrives: dict[int | None, int] = defaultdict(int)
        for depth, minor in _take_lots(self.lots[transfer.payer], transfer.amount_minor).items():
            arrives[self._follow_to_payee(transfer, depth, minor)] += minor
        self.lots[transfer.payee].extend((minor, depth) for depth, minor in arrives.items())
        traced = {depth: minor for depth, minor in arrives.items() if depth is not None}
        if traced:
            self.hops.append(
                Hop.trusted(
                    at=transfer.at,
                    payer=transfer.payer,
                    payee=transfer.payee,
                    amount_minor=transfer.amount_minor,
                    traced_minor=sum(traced.values()),
                    depth=min(traced),
                    evidence=transfer.evidence,
                    reported_by=transfer.reported_by,
                )
            )

    def _follow_to_payee(self, transfer: MoneyMove, depth: int | None, minor: int) -> int | None:
        """The depth at which the money arrives; None if it is not of the loss, or no longer followed."""
        if depth is None:
            return None
        if depth:
            self.went_on[transfer.payer] += minor
        bound: Bound | None = "depth" if depth >= self.max_depth else None
        if transfer.payee not in self.followed[transfer.payer]:
            bound = "fan_out"
        if bound is None:
            return depth + 1
        cut = self.cuts[bound, transfer.payer, transfer.payee]
        cut[0] += 1
        cut[1] += minor
        return None

    def _apply_statement(self, statement: Statement) -> None:
        """The missing amount of the account has left, oldest first."""
        lots = self.lots[statement.account]
        missing = sum(minor for minor, _ in lots) - statement.balance_minor
        for depth, minor in _take_lots(lots, max(0, missing)).items():
            if depth is not None:
                self.unexplained[statement.account, "balance"] += minor

    def closed(self, victims: Iterable[str]) -> tuple[tuple[Stop, ...], tuple[Unexplained, ...]]:
        """The accounts that the loss reached, nearest first, and the amounts that left without a report."""
        for account in victims:
            if unpaid := sum(minor for minor, depth in self.lots[account] if depth == 0):
                self.unexplained[account, "no_report"] = unpaid
        came: dict[str, list[Hop]] = defaultdict(list)
        for hop in self.hops:
            came[hop.payee].append(hop)
        stops = sorted(
            (self._make_stop(*arrival) for arrival in came.items()), key=lambda stop: (stop.depth, stop.first_at, stop.account)
        )
        gaps = [Unexplained.trusted(account=name, gap=gap, amount_minor=n) for (name, gap), n in sorted(self.unexplained.items())]
        return tuple(stops), tuple(gaps)

    def _make_stop(self, account: str, came: list[Hop]) -> Stop:
        return Stop.trusted(
            account=account,
            depth=min(hop.depth for hop in came),
            first_at=came[0].at,
            last_at=came[-1].at,
            received_minor=sum(hop.traced_minor for hop in came),
            forwarded_minor=self.went_on[account],
            unexplained_minor=self.unexplained.get((account, "balance"), 0),
            remaining_minor=sum(minor for minor, depth in self.lots[account] if depth),
        )

    def all_cuts(self) -> tuple[Cut, ...]:
        return tuple(
            Cut.trusted(limit=bound, payer=payer, payee=payee, transfers=n, traced_minor=minor)
            for (bound, payer, payee), (n, minor) in sorted(self.cuts.items())
        )


def _take_lots(lots: Lots, minor: int) -> dict[int | None, int]:
    """Takes this amount from the front, by depth in the order of the lots: money that leaves together is one lot for each depth
    where it arrives, so lots never outnumber transfers times depths. An amount without a lot is other money."""
    minor_by_depth: dict[int | None, int] = defaultdict(int)
    while minor and lots:
        have, depth = lots[0]
        part = min(have, minor)
        minor_by_depth[depth] += part
        minor -= part
        if part == have:
            lots.popleft()
        else:
            lots[0] = (have - part, depth)
    if minor:
        minor_by_depth[None] += minor
    return minor_by_depth
