"""The cases of a money trail: everything that a set of accounts leads to, of any queue, in two round trips.

The caller decides which of it an officer may see (gateway/money_trail/service.py): this reads whole cases of others. A case that
was merged or split leads on to the cases with its signals; each such step is one more trip. Invariant: an incomplete view is
never read.
"""

from __future__ import annotations

from collections.abc import Collection, Set
from typing import NamedTuple

import msgspec

from schemas.cases.case import CaseStatus
from stream_processors.state.case_refs import indexed
from stream_processors.state.record_views import EventRow
from stream_processors.state.scorecard_views import Row
from stream_processors.state.store import RedisLike
from stream_processors.views.case_index import ask_entries, entries_of
from stream_processors.views.cases import ask_case, case_json
from stream_processors.views.reading import WholeRead

STEPS_FOLLOWED = 8
"""Merges and splits of a case that a reader follows at most."""


class NamedRow(Row):
    """A view of Subject."""

    kind: str
    role: str
    token: str
    sealed: str
    unmatched: str | None = None


class TrailSignal(Row):
    """A view of JoinedSignal: the transfer that it reports."""

    signal_id: str
    institution: str
    subjects: tuple[NamedRow, ...] = ()
    derived_from: str | None = None
    event: EventRow | None = None
    trust: str | None = None
    version: int = 1


class TrailCase(Row):
    """A view of Case: the transfers that its signals report, and the other cases that hold its signals."""

    case_id: str
    queue: str
    status: CaseStatus
    signal_count: int
    signals: tuple[TrailSignal, ...] = ()
    merged_into: str | None = None
    split_off: dict[str, str] = {}

    @property
    def elsewhere(self) -> set[str]:
        into = {self.merged_into} if self.merged_into is not None else set()
        return {*self.split_off.values(), *into}


class TrailRead(NamedTuple):
    """`more`: tokens that lead to further cases."""

    cases: list[TrailCase]
    more: frozenset[str]


_CASE = msgspec.json.Decoder(TrailCase)


class TrailViews:
    _redis: RedisLike

    async def trail(
        self, tokens: Collection[str], cases: Collection[str], *, known: Set[str], now_ms: int, most: int
    ) -> TrailRead:
        names, more = await self._find_leading(sorted(tokens), now_ms, most)
        requested = dict.fromkeys([*cases, *names])
        trail_cases: list[TrailCase] = []
        read_names = set(known)
        for _ in range(STEPS_FOLLOWED):
            unread = [name for name in requested if name not in read_names]
            if not unread:
                break
            read_names.update(unread)
            step = await self._trail_cases(unread)
            trail_cases += step
            requested = dict.fromkeys(sorted({name for case in step for name in case.elsewhere}))
        return TrailRead(trail_cases, more)

    async def _find_leading(self, tokens: list[str], now_ms: int, most: int) -> tuple[list[str], frozenset[str]]:
        """Case ids from the index, those with the newest signals first, and the tokens that lead to more."""
        read = WholeRead(self._redis)
        for token in tokens:
            ask_entries(read, token, now_ms, most + 1)
        answers = await read.answer()
        names, more = [], set()
        for token, few, many in zip(tokens, answers[0::2], answers[1::2], strict=True):
            members = entries_of(few, many, now_ms)
            names += [indexed(member).case_id for member in members[:most]]
            if len(members) > most:
                more.add(token)
        return names, frozenset(more)

    async def _trail_cases(self, names: list[str]) -> list[TrailCase]:
        read = WholeRead(self._redis)
        for name in names:
            ask_case(read, name)
        return [_CASE.decode(case_json(raw)) for raw in await read.answer() if raw is not None]
