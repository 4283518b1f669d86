"""Cards of a period from the views: read, computed beside the event loop, cached for a few seconds.

Invariant: every reader's card is cut from the same whole one, so anything hidden from one reader is hidden from all, and two
readers who compare cards learn nothing more.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from schemas.scorecards import CardKind, Scorecard
from stream_processors.domain.scorecards import card
from stream_processors.domain.scorecards.contributions import CHINA
from stream_processors.views.api import Views

_CARDS_KEPT = 8
_LENGTHS = {"day": 10, "month": 7, "year": 4}


class _Kept(NamedTuple):
    at: float
    card: Scorecard


class ScorecardService:
    """`card` of a kind and period; `length` is the length of the periods that have cards."""

    def __init__(
        self,
        views: Views,
        *,
        threshold: int,
        period: str,
        kept_s: float,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._views, self._threshold, self._kept_s, self._clock, self._now = views, threshold, kept_s, clock, now
        self.length = _LENGTHS[period]
        self._cards: OrderedDict[tuple[CardKind, str], _Kept] = OrderedDict()
        self._reading = asyncio.Lock()

    async def card(self, kind: CardKind, period: str) -> Scorecard:
        """The whole card. Rebuilding while the views are incomplete."""
        async with self._reading:
            cached = self._cards.get((kind, period))
            if cached is not None and self._clock() - cached.at < self._kept_s:
                return cached.card
            book = await self._views.book(kind, period)
            made = await asyncio.to_thread(card, book, kind=kind, period=period, threshold=self._threshold)
            self._cards[kind, period] = _Kept(self._clock(), made)
            self._cards.move_to_end((kind, period))
            while len(self._cards) > _CARDS_KEPT:
                self._cards.popitem(last=False)
            return made

    def running(self) -> str:
        """The current period in China's time."""
        return (self._now() + CHINA).date().isoformat()[: self.length]
