"""Scorecards: a hash for each party and period, from figure to number; the names of all parties; and counters of all outcomes.

    {pr3}z:i:2026-03-02:bank-001   a day; the same call adds to the month 2026-03 and the year 2026 beside it
    {pr3}parties                   `ibank-001`, `upublic-security-630202`: everyone who ever had a cell

Invariant: a cell is the sum of the facts' contributions, in any order; a cell of 0 does not exist, and a hash expires before the
first of its facts leaves the log, so a rebuilt state equals a state that was never lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache

from schemas.common import DAY_MS
from schemas.scorecards import CardKind
from schemas.topics import COUNTED_DAYS
from stream_processors.domain.scorecards import Leaf
from stream_processors.domain.scorecards.contributions import CHINA
from stream_processors.state.effects import Effect, count, tally
from stream_processors.state.keys import BUCKETS, PROJECT, Key, ProjectKey, bucket_of
from stream_processors.state.store import RedisLike
from stream_processors.views.reading import WholeRead

KEPT_DAYS = COUNTED_DAYS - 366
"""Retention after the end of a period. The first fact of a period is up to a year older than its end."""
_LETTERS = {CardKind.INSTITUTION: "i", CardKind.UNIT: "u"}
_CHINA_MS = int(CHINA.total_seconds() * 1000)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
Book = dict[str, dict[str, int]]
"""Party -> figure -> number."""


_Place = tuple[Key, tuple[int, int, int]]
"""The location of a party's day, and when it, its month and its year expire."""


def tallies(leaves: Iterable[Leaf]) -> list[Effect]:
    """One effect for each party and day."""
    figures_by_place: dict[_Place, dict[str, int]] = {}
    for kind, party, at, figure, n in leaves:
        figures = figures_by_place.setdefault(_find_place(kind, party, (at + CHINA).date()), {})
        figures[figure] = figures.get(figure, 0) + n
    return [tally(*place, *figures.items()) for place, figures in figures_by_place.items()]


@lru_cache(maxsize=20_000)
def _find_place(kind: CardKind, party: str, day: date) -> _Place:
    next_month = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    over = (date.fromordinal(day.toordinal() + 1), next_month, date(day.year + 1, 1, 1))
    day_ends, month_ends, year_ends = map(_ends_ms, over)
    key = ProjectKey.CELLS.key(f"{_LETTERS[kind]}:{day}:{party}", bucket_of(party))
    return key, (day_ends, month_ends, year_ends)


def _ends_ms(over: date) -> int:
    """When the cells of a period expire that ends on this day in China's time."""
    return (over.toordinal() - _EPOCH_DAY + KEPT_DAYS) * DAY_MS - _CHINA_MS


def today(now: datetime) -> str:
    """The day of an instant in China's time; its first characters are the month and the year."""
    return (now + CHINA).date().isoformat()


def count_outcome(outcome: str, of: str) -> Effect:
    return count(ProjectKey.COUNTERS.sole(bucket_of(of)), f"{outcome}:{of}")


class ScorecardViews:
    _redis: RedisLike

    async def book(self, kind: CardKind, period: str) -> Book:
        """All parties of a kind with their cells of a period; of those without any an empty mapping. Two round trips."""
        names = WholeRead(self._redis)
        for bucket in range(BUCKETS):
            names.of(bucket).smembers(PROJECT.key(bucket, ProjectKey.PARTIES))
        letter = _LETTERS[kind].encode()
        parties = sorted(name[1:].decode() for listed in await names.answer() for name in listed if name[:1] == letter)
        read = WholeRead(self._redis)
        for party in parties:
            bucket = bucket_of(party)
            read.of(bucket).hgetall(PROJECT.key(bucket, ProjectKey.CELLS, f"{_LETTERS[kind]}:{period}:{party}"))
        rows = zip(parties, await read.answer(), strict=True)
        return {party: {name.decode(): int(n) for name, n in row.items()} for party, row in rows}

    async def counters(self) -> dict[str, int]:
        """`outcome:institution` -> facts; exact: each fact once."""
        read = WholeRead(self._redis)
        for bucket in range(BUCKETS):
            read.of(bucket).hgetall(PROJECT.key(bucket, ProjectKey.COUNTERS))
        totals: dict[str, int] = {}
        for counts in await read.answer():
            for name, n in counts.items():
                totals[name.decode()] = totals.get(name.decode(), 0) + int(n)
        return totals
