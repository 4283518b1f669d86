"""Matches reports of transfers: each transfer once, in an order in which money can have moved. Pure.

Two reports describe one transfer if they have the same ends, amount and currency, come from two institutions, and lie within a
window. There is no common name: a signal's reference is its sender's own, each bank numbers a transfer in its own way, and the
event carries neither. Two reports of one institution are two transfers (a sum paid in equal parts), unless they name the same
instant: that is one transfer under two references. So for one pair of ends and one amount there are as many transfers in a window
as the institution with the most reports says.

Invariant: the result depends on the set of reports alone. A report of another institution at the same time changes only the
evidence; the time of a transfer is that of its earliest report.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from heapq import heapify, heappop, heappush
from itertools import groupby
from typing import NamedTuple

from schemas.cases.case import JoinedSignal
from schemas.money_trail import Loss, TransferReport
from stream_processors.domain.signals.trust import low

EVIDENCE_KEPT = 8


class MoneyMove(NamedTuple):
    """One transfer. `nth` distinguishes otherwise equal ones. They sort in order. `reports`: the signals that report it, the
    earliest first."""

    at: datetime
    payer: str
    payee: str
    amount_minor: int
    currency: str
    nth: int
    reports: tuple[str, ...]
    reported_by: int

    @property
    def evidence(self) -> tuple[str, ...]:
        """Its first reports, up to the limit."""
        return self.reports[:EVIDENCE_KEPT]


def report_of(signal: JoinedSignal) -> TransferReport | None:
    """A signal's report of a transfer. Tips and signals that repeat another sender's report none (docs/reference/rules.md)."""
    event = signal.event
    if event is None or event.type != "transfer" or low(signal) or signal.derived_from is not None:
        return None
    if event.payer is None or event.payee is None or event.currency is None or not event.amount_minor:
        return None
    return TransferReport.trusted(
        signal_id=signal.signal_id,
        institution=signal.institution,
        at=event.at,
        payer=event.payer,
        payee=event.payee,
        amount_minor=event.amount_minor,
        currency=event.currency,
        version=signal.version,
    )


def loss_of(signal: JoinedSignal) -> Loss | None:
    """The loss of the victim who paid in the signal's transfer: the amount of that transfer."""
    report = report_of(signal)
    if report is None or not any(subject.token == report.payer and subject.role == "victim" for subject in signal.subjects):
        return None
    return Loss.trusted(account=report.payer, at=report.at, amount_minor=report.amount_minor, currency=report.currency)


def counted_once(reports: Iterable[TransferReport], window_s: int) -> list[MoneyMove]:
    """The transfers, in the order in which money can have moved."""
    alike: dict[tuple[str, str, int, str], list[TransferReport]] = defaultdict(list)
    for report in _keep_newest(reports):
        alike[report.payer, report.payee, report.amount_minor, report.currency].append(report)
    window = timedelta(seconds=window_s)
    transfers: list[MoneyMove] = []
    for (payer, payee, minor, currency), group in alike.items():
        for nth, matched in enumerate(_match_reports(group, window)):
            names = tuple(report.signal_id for report in matched)
            by = len({report.institution for report in matched})
            transfers.append(MoneyMove(matched[0].at, payer, payee, minor, currency, nth, names, by))
    return list(_in_order(transfers))


def _keep_newest(reports: Iterable[TransferReport]) -> Iterable[TransferReport]:
    """One report for each signal, of its newest version."""
    newest: dict[str, TransferReport] = {}
    for report in reports:
        previous = newest.get(report.signal_id)
        if previous is None or _age_key(report) > _age_key(previous):
            newest[report.signal_id] = report
    return newest.values()


def _age_key(report: TransferReport) -> tuple[object, ...]:
    """The version; the rest only makes the choice independent of the order."""
    return (report.version, report.at, report.payer, report.payee, report.amount_minor, report.currency, report.institution)


def _match_reports(reports: list[TransferReport], window: timedelta) -> list[list[TransferReport]]:
    """Reports that agree except in time and sender, one list for each transfer. Each goes to the earliest transfer in its window
    that its institution has not reported yet; for one institution that place only moves on, so the cost is bounded."""
    groups: list[list[TransferReport]] = []
    last: dict[str, tuple[int, datetime]] = {}
    for report in sorted(reports, key=lambda report: (report.at, report.institution, report.signal_id)):
        place, at = last.get(report.institution, (-1, None))
        if at != report.at:
            place += 1
            while place < len(groups) and report.at - groups[place][0].at > window:
                place += 1
        if place == len(groups):
            groups.append([])
        groups[place].append(report)
        last[report.institution] = (place, report.at)
    return groups


def _in_order(transfers: Sequence[MoneyMove]) -> Iterator[MoneyMove]:
    """By time; at one instant, transfers into an account precede those out of it, because institutions often give whole
    seconds."""
    for _, group in groupby(sorted(transfers), key=lambda transfer: transfer.at):
        yield from _at_once(list(group))


def _at_once(group: list[MoneyMove]) -> Iterator[MoneyMove]:
    """Of the transfers of one instant always the first whose payer receives nothing more in it; in a circle, the first."""
    if len(group) == 1:
        yield group[0]
        return
    waiting: dict[str, int] = defaultdict(int)
    leaving: dict[str, list[int]] = defaultdict(list)
    for n, transfer in enumerate(group):
        waiting[transfer.payee] += 1
        leaving[transfer.payer].append(n)
    ready = [n for n, transfer in enumerate(group) if not waiting.get(transfer.payer)]
    heapify(ready)
    done, first = [False] * len(group), 0
    for _ in group:
        while first < len(group) and done[first]:
            first += 1
        n = heappop(ready) if ready else first
        done[n] = True
        yield group[n]
        waiting[group[n].payee] -= 1
        if not waiting[group[n].payee]:
            for later in leaving[group[n].payee]:
                if not done[later]:
                    heappush(ready, later)
