"""What a trail is made of: the transfers that cases' signals report, where it starts, which accounts to look at next, and which
institution keeps an account. Pure.

Invariant: all of it is a function of the set of reports; the order in which cases were read changes nothing. Who keeps an account
is told only where reports or answers say so, never guessed from its number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple, cast

from schemas.cases.case import JoinedSignal
from schemas.money_trail import Loss, TransferReport
from schemas.orders.order import HOLDS, LIVE, Order, OrderKind, RefusalReason
from stream_processors.domain.money_trail.transfers import Transfer, report_of
from stream_processors.domain.orders.step import is_done

StartWhy = Literal["loss", "arrived", "left", "reported"]
KeeperWhy = Literal["answered_order", "both_ways", "other_end", "payers_bank"]


class Told(NamedTuple):
    """A signal's word about a transfer. `victim`: its payer is one; `mine`: whoever asks may read a case that lists it."""

    report: TransferReport
    victim: bool
    mine: bool


class Start(NamedTuple):
    loss: Loss
    why: StartWhy


class Keeper(NamedTuple):
    institution: str
    why: KeeperWhy


def told(signals: Iterable[object], *, mine: bool) -> Iterator[Told]:
    """Of signals as their case lists them (JoinedSignal or its row)."""
    for one in cast("Iterable[JoinedSignal]", signals):
        if (report := report_of(one)) is not None:
            yield Told(report, any(each.token == report.payer and each.role == "victim" for each in one.subjects), mine)


def each_once(found: Iterable[Told]) -> list[Told]:
    """A signal may be in the cases of several agencies: it is mine if it is in one of mine."""
    once: dict[tuple[str, int], Told] = {}
    for one in found:
        key = (one.report.signal_id, one.report.version)
        known = once.get(key)
        once[key] = one if known is None else known._replace(mine=known.mine or one.mine, victim=known.victim or one.victim)
    return [once[key] for key in sorted(once)]


def starts(primary: str, own: Sequence[Told], transfers: Iterable[Transfer]) -> tuple[Start, ...]:
    """Where the trail of a case begins: with what its victims paid. Without one, with what came to its primary account, else with
    what left it, else with all that it reports. What one account paid at one instant is one start. `transfers`: all that are
    followed; one that another case reports, too, has its time from whoever told it first, and begins then."""
    victims, reports = {one.report.payer for one in own if one.victim}, {one.report.signal_id for one in own}
    tries: tuple[tuple[StartWhy, Callable[[Transfer], bool]], ...] = (
        ("loss", lambda one: one.payer in victims),
        ("arrived", lambda one: one.payee == primary),
        ("left", lambda one: one.payer == primary),
        ("reported", lambda one: True),
    )
    theirs = [one for one in transfers if not reports.isdisjoint(one.reports)]
    for why, belongs in tries:
        if found := [one for one in theirs if belongs(one)]:
            return tuple(Start(loss, why) for loss in losses_of(found))
    return ()


def losses_of(transfers: Iterable[Transfer]) -> list[Loss]:
    """What was paid, by account and instant."""
    sums: dict[tuple[object, ...], int] = defaultdict(int)
    for one in transfers:
        sums[one.at, one.payer, one.currency] += one.amount_minor
    return [
        Loss.trusted(account=account, at=at, amount_minor=minor, currency=currency)
        for (at, account, currency), minor in sorted(sums.items(), key=lambda item: item[0])
    ]


def onward(first: Iterable[str], transfers: Iterable[Transfer], *, depth: int, fan_out: int, upstream: bool = False) -> list[str]:
    """The accounts that money from `first` can have come to, nearest first; `upstream`: that it can have come from. Of one
    account's partners those that moved most."""
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for one in transfers:
        payer, payee = (one.payee, one.payer) if upstream else (one.payer, one.payee)
        sums[payer][payee] += one.amount_minor
    seen = dict.fromkeys(sorted(set(first)))
    level = list(seen)
    for _ in range(depth):
        found: dict[str, None] = {}
        for account in level:
            partners = sums.get(account, {})
            found |= dict.fromkeys(sorted(partners, key=lambda one: (-partners[one], one))[:fan_out])
        level = [one for one in found if one not in seen]
        seen |= dict.fromkeys(level)
    return list(seen)


def keepers(found: Iterable[Told], orders: Iterable[Order] = ()) -> dict[str, Keeper]:
    """Account -> who keeps it, as far as known, the surest first: who carried out an order on it; who reported both what came to
    it and what left it; who reported one end where another institution keeps the other; the only one to report what left it."""
    paid: dict[str, set[str]] = defaultdict(set)
    got: dict[str, set[str]] = defaultdict(set)
    ends: dict[tuple[str, str], set[str]] = defaultdict(set)
    for one in found:
        report = one.report
        paid[report.payer].add(report.institution)
        got[report.payee].add(report.institution)
        ends[report.payer, report.payee].add(report.institution)
    known, not_theirs = _answered(orders)
    for account in sorted(paid.keys() & got.keys()):
        _note(known, account, (paid[account] & got[account]) - not_theirs[account], "both_ways")
    for _ in range(2):  # what was found at one end tells another end
        for (payer, payee), by in sorted(ends.items()):
            for here, there in ((payer, payee), (payee, payer)):
                if there in known:
                    _note(known, here, by - {known[there].institution} - not_theirs[here], "other_end")
    for account in sorted(paid):
        # An institution that keeps where the money went may have told of it from there.
        theirs = {known[payee].institution for payer, payee in ends if payer == account and payee in known}
        _note(known, account, paid[account] - theirs - not_theirs[account], "payers_bank")
    return known


def _note(known: dict[str, Keeper], account: str, candidates: set[str], why: KeeperWhy) -> None:
    if account not in known and len(candidates) == 1:
        known[account] = Keeper(next(iter(candidates)), why)


def _answered(orders: Iterable[Order]) -> tuple[dict[str, Keeper], Mapping[str, set[str]]]:
    """Who carried out an order on an account keeps it; who answered that it is no customer of theirs does not."""
    known: dict[str, Keeper] = {}
    not_theirs: dict[str, set[str]] = defaultdict(set)
    for one in orders:
        if one.subject is None or one.kind not in HOLDS:
            continue
        if one.executed_at is not None:
            known[one.subject.token] = Keeper(one.recipient, "answered_order")
        elif one.refusal == RefusalReason.NOT_OUR_CUSTOMER:
            not_theirs[one.subject.token].add(one.recipient)
    return known, not_theirs


def held_of(orders: Iterable[Order], currency: str) -> dict[str, int]:
    """Account -> what the case's orders hold there, or will when they are carried out. A freeze that is to take the place of a
    stop holds the same money."""
    found = {one.order_id: one for one in orders if one.kind in HOLDS and one.currency == currency and one.state in LIVE}
    minor = {name: one.held_minor if is_done(one) else one.amount_minor or 0 for name, one in found.items()}
    held: dict[str, int] = defaultdict(int)
    for name, one in found.items():
        if one.subject is not None:
            held[one.subject.token] += max(0, minor[name] - (0 if is_done(one) else minor.get(one.of or "", 0)))
    return dict(held)


def returned_of(orders: Iterable[Order], currency: str) -> dict[str, int]:
    """Account -> what the case's orders paid back from it. No report tells of that, so a trail shows it as there still."""
    paid: dict[str, int] = defaultdict(int)
    for one in orders:
        if one.kind is OrderKind.RETURN_FUNDS and one.subject is not None and one.currency == currency and one.paid_minor:
            paid[one.subject.token] += one.paid_minor
    return dict(paid)
