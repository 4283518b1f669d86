"""The money trail of a case for its officer: reads cases along the accounts, lets the pure core follow the money, and shows
transfers of other agencies' queues as accounts and amounts only.

Invariant: a response contains a value, a signal or an institution only if a case of the caller's own queues names it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from schemas.money_trail import TrailRules
from stream_processors.domain.money_trail.sources import ReportedTransfer, Start, each_once, losses_of, onward, starts, told
from stream_processors.domain.money_trail.transfers import MoneyMove, counted_once
from stream_processors.views.api import Views
from stream_processors.views.money_trail import NamedRow, TrailCase

CASES_AN_ACCOUNT = 12
"""Cases read in all, as a multiple of `max_cases`."""


class Readable(NamedTuple):
    """A value and the signal in whose context it opens."""

    subject: NamedRow
    signal_id: str


class Gathered(NamedTuple):
    """The read cases. `partial` lists the reached limits; `names` and `cases` are of the caller's own queues, by account."""

    reports: list[ReportedTransfer]
    transfers: list[MoneyMove]
    starts: tuple[Start, ...]
    names: dict[str, Readable]
    cases: dict[str, list[str]]
    partial: frozenset[str]


class Reading:
    """Cases, read level by level."""

    def __init__(self, views: Views, rules: TrailRules, mine: Callable[[str], bool]) -> None:
        self._views, self._rules, self._mine = views, rules, mine
        self._cases: dict[str, TrailCase] = {}
        self._looked: set[str] = set()
        self._partial: set[str] = set()
        self._reports: list[ReportedTransfer] = []
        self._moved: list[MoneyMove] | None = None

    async def of_case(self, case_id: str, primary: str) -> Gathered:
        """Follows the money from the start of the case's trail."""
        await self._read_cases([primary], [case_id])
        own = each_once(told(self._cases[case_id].signals, mine=True)) if case_id in self._cases else []
        alone = counted_once((reported.report for reported in own), self._rules.match_window_s)
        begun = {start.loss.account for start in starts(primary, own, alone)}
        self._looked |= begun  # what else a victim paid is not this trail's
        await self._follow_money(begun, upstream=False)
        return self._gather_results(starts(primary, own, self._list_transfers()))

    async def into(self, case_id: str, account: str) -> Gathered:
        """Follows the money backwards to everybody whose loss can have reached the account, and their payments forwards to it."""
        await self._read_cases([account], [case_id])
        await self._follow_money({account}, upstream=True)
        reports = self._list_reports()
        victims = {reported.report.payer for reported in reports if reported.victim and reported.mine}
        if any(reported.victim and not reported.mine and reported.report.payer not in victims for reported in reports):
            self._partial.add("withheld")
        own_signals = {reported.report.signal_id for reported in reports if reported.mine}
        paid = [
            transfer
            for transfer in self._list_transfers()
            if transfer.payer in victims and not own_signals.isdisjoint(transfer.reports)
        ]
        return self._gather_results(tuple(Start(loss, "loss") for loss in losses_of(paid)))

    async def _follow_money(self, first: Iterable[str], *, upstream: bool) -> None:
        rules, begun = self._rules, set(first)
        for _ in range(rules.max_depth):
            reached = onward(begun, self._list_transfers(), depth=rules.max_depth, fan_out=rules.max_fan_out, upstream=upstream)
            accounts = [account for account in reached if account not in self._looked]
            if not accounts:
                return
            room = rules.max_accounts - len(self._looked)
            if len(accounts) > room:
                self._partial.add("accounts")
            if room <= 0:
                return
            await self._read_cases(accounts[:room], [])

    async def _read_cases(self, tokens: list[str], cases: list[str]) -> None:
        self._looked |= set(tokens)
        room = self._rules.max_cases * CASES_AN_ACCOUNT - len(self._cases)
        if room <= 0:
            self._partial.add("cases")
            return
        now_ms, most = time.time_ns() // 1_000_000, self._rules.max_cases
        read = await self._views.trail(tokens, cases, known=self._cases.keys(), now_ms=now_ms, most=most)
        if read.more or len(read.cases) > room:
            self._partial.add("cases")
        for case in read.cases[:room]:
            self._cases[case.case_id] = case
            self._reports += told(case.signals, mine=self._mine(case.queue))
            self._moved = None
            if case.signal_count > len(case.signals):
                self._partial.add("signals")

    def _list_reports(self) -> list[ReportedTransfer]:
        return each_once(self._reports)

    def _list_transfers(self) -> list[MoneyMove]:
        if self._moved is None:
            self._moved = counted_once((reported.report for reported in self._reports), self._rules.match_window_s)
        return self._moved

    def _gather_results(self, first: tuple[Start, ...]) -> Gathered:
        names: dict[str, Readable] = {}
        cases: dict[str, dict[str, None]] = {}
        for name, case in sorted(self._cases.items()):
            if not self._mine(case.queue):
                continue
            for signal in case.signals:
                for subject in signal.subjects:
                    names.setdefault(subject.token, Readable(subject, signal.signal_id))
                    cases.setdefault(subject.token, {})[name] = None
        named = {token: [*case_ids] for token, case_ids in cases.items()}
        return Gathered(self._list_reports(), self._list_transfers(), first, names, named, frozenset(self._partial))
