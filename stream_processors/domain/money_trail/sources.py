"""The input of a trail: the transfers reported by signals of cases, its start, the accounts to read next, and the institution
that keeps an account. Pure.

Invariant: everything is a function of the set of reports; the order of reading does not matter. The institution of an account is
named only if reports or answers prove it, never guessed from the number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, cast

from schemas.cases.case import JoinedSignal
from schemas.money_trail import Loss, TransferReport
from schemas.orders.kinds import HOLDS, PAYS_BACK
from schemas.orders.order import LIVE, Order, RefusalReason
from stream_processors.domain.money_trail.transfers import MoneyMove, report_of
from stream_processors.domain.orders.step import is_done

StartWhy = Literal["loss", "arrived", "left", "reported"]
KeeperWhy = Literal["answered_order", "both_ways", "other_end", "payers_bank"]


class ReportedTransfer(NamedTuple):
    """A signal's report of a transfer. `victim`: its payer is one; `mine`: the reader may see a case that lists it."""

    report: TransferReport
    victim: bool
    mine: bool


class Start(NamedTuple):
    loss: Loss
    why: StartWhy


class Keeper(NamedTuple):
    institution: str
    why: KeeperWhy


def told(signals: Iterable[object], *, mine: bool) -> Iterator[ReportedTransfer]:
    """Of signals as their case lists them (JoinedSignal or its row)."""
    for signal in cast("Iterable[JoinedSignal]", signals):
        if (report := report_of(signal)) is not None:
            yield ReportedTransfer(
                report, any(each.token == report.payer and each.role == "victim" for each in signal.subjects), mine
            )


def each_once(told_reports: Iterable[ReportedTransfer]) -> list[ReportedTransfer]:
    """A signal may be in the cases of several agencies: it is mine if it is in one of mine."""
    once: dict[tuple[str, int], ReportedTransfer] = {}
    for told_report in told_reports:
        key = (told_report.report.signal_id, told_report.report.version)
        previous = once.get(key)
        once[key] = (
            told_report
            if previous is None
            else previous._replace(mine=previous.mine or told_report.mine, victim=previous.victim or told_report.victim)
        )
    return [once[key] for key in sorted(once)]


def starts(primary: str, own: Sequence[ReportedTransfer], transfers: Iterable[MoneyMove]) -> tuple[Start, ...]:
    """The starts of a case's trail: the payments of its victims; without any, the receipts of its primary account, else its
    payments, else everything it reports. Payments of one account at one instant are one start. `transfers`: all followed ones;
    one that another case reports, too, begins at its earliest reported time."""
    victims = {told_report.report.payer for told_report in own if told_report.victim}
    reports = {told_report.report.signal_id for told_report in own}
    tries: tuple[tuple[StartWhy, Callable[[MoneyMove], bool]], ...] = (
        ("loss", lambda transfer: transfer.payer in victims),
        ("arrived", lambda transfer: transfer.payee == primary),
        ("left", lambda transfer: transfer.payer == primary),
        ("reported", lambda transfer: True),
    )
    theirs = [transfer for transfer in transfers if not reports.isdisjoint(transfer.reports)]
    for why, belongs in tries:
        if matching := [transfer for transfer in theirs if belongs(transfer)]:
            return tuple(Start(loss, why) for loss in losses_of(matching))
    return ()


def losses_of(transfers: Iterable[MoneyMove]) -> list[Loss]:
    """Payments by account and instant."""
    sums: dict[tuple[object, ...], int] = defaultdict(int)
    for transfer in transfers:
        sums[transfer.at, transfer.payer, transfer.currency] += transfer.amount_minor
    return [
        Loss.trusted(account=account, at=at, amount_minor=minor, currency=currency)
        for (at, account, currency), minor in sorted(sums.items(), key=lambda item: item[0])
    ]


def onward(
    first: Iterable[str], transfers: Iterable[MoneyMove], *, depth: int, fan_out: int, upstream: bool = False
) -> list[str]:
    """The accounts that money from `first` can have reached, nearest first; `upstream`: those it can have come from. Of one
    account's partners the largest ones."""
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for transfer in transfers:
        payer, payee = (transfer.payee, transfer.payer) if upstream else (transfer.payer, transfer.payee)
        sums[payer][payee] += transfer.amount_minor
    reached = dict.fromkeys(sorted(set(first)))
    level = list(reached)
    for _ in range(depth):
        adjacent: dict[str, None] = {}
        for account in level:
            partners = sums.get(account, {})
            adjacent |= dict.fromkeys(sorted(partners, key=lambda partner: (-partners[partner], partner))[:fan_out])
        level = [account for account in adjacent if account not in reached]
        reached |= dict.fromkeys(level)
    return list(reached)


def keepers(told_reports: Iterable[ReportedTransfer], orders: Iterable[Order] = ()) -> dict[str, Keeper]:
    """Account -> the institution that keeps it, if known, the surest evidence first: it carried out an order on it; it reported
    both what came in and what left; it reported one end while another institution keeps the other; it alone reported what left.
    """
    paid: dict[str, set[str]] = defaultdict(set)
    got: dict[str, set[str]] = defaultdict(set)
    ends: dict[tuple[str, str], set[str]] = defaultdict(set)
    for told_report in told_reports:
        report = told_report.report
        paid[report.payer].add(report.institution)
        got[report.payee].add(report.institution)
        ends[report.payer, report.payee].add(report.institution)
    keeper_of, not_theirs = _read_answers(orders)
    for account in sorted(paid.keys() & got.keys()):
        _note_keeper(keeper_of, account, (paid[account] & got[account]) - not_theirs[account], "both_ways")
    for _ in range(2):  # what was found at one end tells another end
        for (payer, payee), by in sorted(ends.items()):
            for here, there in ((payer, payee), (payee, payer)):
                if there in keeper_of:
                    _note_keeper(keeper_of, here, by - {keeper_of[there].institution} - not_theirs[here], "other_end")
    for account in sorted(paid):
        # An institution that keeps where the money went may have told of it from there.
        theirs = {keeper_of[payee].institution for payer, payee in ends if payer == account and payee in keeper_of}
        _note_keeper(keeper_of, account, paid[account] - theirs - not_theirs[account], "payers_bank")
    return keeper_of


def _note_keeper(keeper_of: dict[str, Keeper], account: str, candidates: set[str], why: KeeperWhy) -> None:
    if account not in keeper_of and len(candidates) == 1:
        keeper_of[account] = Keeper(next(iter(candidates)), why)


def _read_answers(orders: Iterable[Order]) -> tuple[dict[str, Keeper], Mapping[str, set[str]]]:
    """An institution that carried out an order on an account keeps it; one that answered that it has no such customer does
    not."""
    keeper_of: dict[str, Keeper] = {}
    not_theirs: dict[str, set[str]] = defaultdict(set)
    for order in orders:
        if order.subject is None or order.kind not in HOLDS:
            continue
        if order.executed_at is not None:
            keeper_of[order.subject.token] = Keeper(order.recipient, "answered_order")
        elif order.refusal_reason == RefusalReason.NOT_OUR_CUSTOMER:
            not_theirs[order.subject.token].add(order.recipient)
    return keeper_of, not_theirs


def held_of(orders: Iterable[Order], currency: str) -> dict[str, int]:
    """Account -> the amount that the case's orders hold there, or will hold. A freeze that will replace a stop holds the same
    money."""
    holding_orders = {
        order.order_id: order for order in orders if order.kind in HOLDS and order.currency == currency and order.state in LIVE
    }
    minor = {name: order.held_minor if is_done(order) else order.amount_minor or 0 for name, order in holding_orders.items()}
    held: dict[str, int] = defaultdict(int)
    for name, order in holding_orders.items():
        if order.subject is not None:
            held[order.subject.token] += max(
                0, minor[name] - (0 if is_done(order) else minor.get(order.related_order_id or "", 0))
            )
    return dict(held)


def returned_of(orders: Iterable[Order], currency: str) -> dict[str, int]:
    """Account -> the amount that the case's orders paid back from it. No report covers it, so a trail still shows it there."""
    paid: dict[str, int] = defaultdict(int)
    for order in orders:
        if order.kind in PAYS_BACK and order.subject is not None and order.currency == currency and order.paid_minor:
            paid[order.subject.token] += order.paid_minor
    return dict(paid)
