"""Exports counts of the views to Prometheus: signals by institution, cases by queue and severity with their ages, and the
scorecards of the current period.

Read at a scrape, cached for a few seconds. Invariant: while the views are incomplete these metrics are absent and
`liandong_views_up` is 0. After a rebuild they continue at the same values, because they are projections of the log.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from redis.exceptions import RedisError

from gateway.adapters.idempotency import StateUnavailable
from schemas.cases.case import ActionKind
from schemas.policy import Severity
from schemas.scorecards import CardKind, Scorecard
from stream_processors.domain.scorecards import samples
from stream_processors.runtime.metrics import (
    ACTIONS,
    GATEWAY,
    OTHER,
    QUEUE_CASES,
    QUEUE_OLDEST,
    SCORECARDS,
    SIGNALS,
    VIEWS_UP,
    Family,
)
from stream_processors.views.api import Views
from stream_processors.views.cases import Standing
from stream_processors.views.reading import Rebuilding

KEPT_S = 5.0
TIMEOUT_S = 2.0
_ACTIONS = {*ActionKind, "unreadable"}
_SEVERITIES = {*get_args(Severity), "none"}


class ViewSnapshot(NamedTuple):
    """The views at one moment."""

    counters: dict[str, int]
    standings: list[Standing]
    cards: list[Scorecard]


class CardReader(Protocol):
    """The scorecards of a period, and the period that is running."""

    async def card(self, kind: CardKind, period: str) -> Scorecard: ...

    def running(self) -> str: ...


class Limit:
    """The first `n` names keep their own label while the process lives, and all others share one. So no series ever goes back, as
    it would if a name moved in and out of `other`."""

    def __init__(self, n: int) -> None:
        self._n, self._names = n, set[str]()

    def __call__(self, name: str) -> str:
        if name not in self._names and len(self._names) < self._n:
            self._names.add(name)
        return name if name in self._names else OTHER


class Exporter(Collector):
    """`text` is the whole of `/metrics`."""

    def __init__(
        self, views: Views, labels_limit: int, cards: CardReader, most_parties: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._views, self._cards, self._most_parties, self._clock = views, cards, most_parties, clock
        self._institutions, self._queues = Limit(labels_limit), Limit(labels_limit)
        self._snapshot: ViewSnapshot | None = None
        self._at = float("-inf")
        self._reading = asyncio.Lock()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    async def text(self) -> bytes:
        async with self._reading:
            if self._clock() - self._at >= KEPT_S:
                self._snapshot, self._at = await self._read_snapshot(), self._clock()
        # Beside the event loop: there are thousands of series.
        return generate_latest(GATEWAY.registry) + await asyncio.to_thread(generate_latest, self._registry)

    async def _read_snapshot(self) -> ViewSnapshot | None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                cards = [await self._cards.card(kind, self._cards.running()) for kind in CardKind]
                return ViewSnapshot(await self._views.counters(), await self._views.standings(), cards)
        except (Rebuilding, RedisError, StateUnavailable, OSError, TimeoutError):
            return None

    def collect(self) -> Iterator[Metric]:
        snapshot = self._snapshot
        yield _build_metric(VIEWS_UP, {(): float(snapshot is not None)})
        if snapshot is not None:
            yield _build_metric(SIGNALS, self._count_signals(snapshot.counters))
            yield _build_metric(ACTIONS, _count_actions(snapshot.counters))
            yield from self._count_standings(snapshot.standings)
            yield from self._count_figures(snapshot.cards)

    def describe(self) -> list[Metric]:
        return []

    def _count_signals(self, counters: dict[str, int]) -> Counter[tuple[str, ...]]:
        """Sorted by size, so that the largest get labels of their own when a process starts."""
        counts: Counter[tuple[str, ...]] = Counter()
        for name, n in sorted(counters.items(), key=lambda item: (-item[1], item[0])):
            outcome, _, institution = name.partition(":")
            if not outcome.startswith("action_"):
                counts[self._institutions(institution), outcome] += n
        return counts

    def _count_standings(self, standings: list[Standing]) -> Iterator[Metric]:
        cases: Counter[tuple[str, ...]] = Counter()
        oldest: dict[tuple[str, ...], float] = {}
        for queue_standing in standings:
            severity = queue_standing.severity if queue_standing.severity in _SEVERITIES else OTHER
            labels = (self._queues(queue_standing.queue), severity, queue_standing.status)
            cases[labels] += queue_standing.cases
            if queue_standing.cases:
                oldest[labels] = min(oldest.get(labels, float("inf")), queue_standing.oldest_ms / 1000)
        yield _build_metric(QUEUE_CASES, cases)
        yield _build_metric(QUEUE_OLDEST, oldest)

    def _count_figures(self, cards: list[Scorecard]) -> Iterator[Metric]:
        """Parties above the limit are omitted: a sum with others could reveal a hidden figure."""
        rows: dict[str, dict[tuple[str, ...], float]] = {family.name: {} for family in SCORECARDS}
        for card in cards:
            for sample in samples(card, self._most_parties):
                rows[sample.metric][tuple(value for _, value in sample.labels)] = sample.value
        for family in SCORECARDS:
            yield _build_metric(family, rows[family.name])


def _count_actions(counters: dict[str, int]) -> Counter[tuple[str, ...]]:
    counts: Counter[tuple[str, ...]] = Counter()
    for name, n in counters.items():
        outcome, _, kind = name.partition(":")
        if outcome.startswith("action_"):
            counts[kind if kind in _ACTIONS else OTHER, outcome.removeprefix("action_")] += n
    return counts


def _build_metric(family: Family, rows: dict[tuple[str, ...], float] | Counter[tuple[str, ...]]) -> Metric:
    made = (CounterMetricFamily if family.counter else GaugeMetricFamily)(family.name, family.help, labels=family.labels)
    for labels, value in rows.items():
        made.add_metric(labels, value)
    return made
