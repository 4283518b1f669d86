"""Facts of every topic that the views are a fold of, told to the fake views and, through project's own folds, to Redis."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Protocol

from redis.asyncio import Redis

from schemas.cases.case import CaseChange
from schemas.codec import encode
from schemas.envelope import Origin
from schemas.notifications.delivery import DeliveryMark, Issued
from schemas.notifications.webhook import Endpoints
from schemas.oversight.oversight import OversightChange
from schemas.signals.assessed import AssessedSignal
from schemas.topics import (
    APPRAISAL_CHANGES,
    APPRAISAL_COMMANDS,
    ASSESSED,
    CASE_CHANGES,
    CASE_COMMANDS,
    DELIVERIES,
    ENDPOINTS,
    NOTIFICATIONS,
    RETRACTIONS,
    SUBMITTED,
    Topic,
)
from stream_processors.domain.signals.retraction import TAKEN_BACK
from stream_processors.runtime.log import Record
from stream_processors.state.fold_run import fold_run
from stream_processors.state.keys import FOLDS, PROJECT
from stream_processors.state.store import RedisStore, connect
from stream_processors.topology import STAGES
from stream_processors.views.api import Views
from tests.unit.gateway.fakes import FakeViews

STAMP = f"cluster|{NOTIFICATIONS.name}=abc:8|buckets=16|folds={FOLDS}#gen"
_STREAMS = {stream.topic.name: stream for stream in STAGES["project"].streams}
_SOURCES = {
    ASSESSED.name: SUBMITTED,
    CASE_CHANGES.name: CASE_COMMANDS,
    NOTIFICATIONS.name: CASE_CHANGES,
    APPRAISAL_CHANGES.name: APPRAISAL_COMMANDS,
}
_P = 0
"""All of it lies in one partition."""


class Folded(Protocol):
    """Each call is one more record of the topic. Notices lie at the offsets 7, 17, 27, ..."""

    @property
    def views(self) -> Views: ...

    async def assessed(self, fact: AssessedSignal, at: datetime) -> None: ...

    async def changed(self, change: CaseChange) -> None: ...

    async def decided(self, change: OversightChange) -> None: ...

    async def issued(self, *issued: Issued) -> None: ...

    async def marked(self, *marks: DeliveryMark) -> None: ...

    async def registered(self, one: Endpoints) -> None: ...

    async def rebuild(self) -> None:
        """From now on the views are being made anew."""


class FoldedFake:
    def __init__(self) -> None:
        self.views = FakeViews()

    async def assessed(self, fact: AssessedSignal, at: datetime) -> None:
        self.views.assessed(fact, at)

    async def changed(self, change: CaseChange) -> None:
        self.views.changed(change)

    async def decided(self, change: OversightChange) -> None:
        self.views.decided(change)

    async def issued(self, *issued: Issued) -> None:
        self.views.issue(*issued)

    async def marked(self, *marks: DeliveryMark) -> None:
        for one in marks:
            self.views.mark(one)

    async def registered(self, one: Endpoints) -> None:
        self.views.register(one)

    async def rebuild(self) -> None:
        self.views.rebuilding = True


class FoldedRedis:
    def __init__(self, store: RedisStore, views: Views) -> None:
        self.views, self._store = views, store
        self._told = Counter[str]()

    @classmethod
    @asynccontextmanager
    async def at(cls, url: str) -> AsyncIterator[FoldedRedis]:
        client, plain = connect(url), Redis.from_url(url, protocol=2)
        await plain.flushdb()
        store = RedisStore(client, PROJECT)
        await store.open()
        await store.set_stamp(STAMP)
        yield cls(store, Views(plain))
        await plain.flushdb()
        await client.aclose()
        await plain.aclose()

    async def assessed(self, fact: AssessedSignal, at: datetime) -> None:
        await self._fold(ASSESSED, fact, at, RETRACTIONS if fact.outcome in TAKEN_BACK else SUBMITTED)

    async def changed(self, change: CaseChange) -> None:
        await self._fold(CASE_CHANGES, change, change.at)

    async def decided(self, change: OversightChange) -> None:
        await self._fold(APPRAISAL_CHANGES, change, change.at)

    async def issued(self, *issued: Issued) -> None:
        for one in issued:
            await self._fold(NOTIFICATIONS, one, one.notification.at)

    async def marked(self, *marks: DeliveryMark) -> None:
        for one in marks:
            await self._fold(DELIVERIES, one, one.at)

    async def registered(self, one: Endpoints) -> None:
        await self._fold(ENDPOINTS, one, one.endpoints[0].changed_at)

    async def rebuild(self) -> None:
        await self._store.set_stamp("restoring " + STAMP)

    async def _fold(self, topic: Topic, data: Any, at: datetime, about: Topic | None = None) -> None:
        """As the barrier and project do."""
        n, source = self._told[topic.name], about or _SOURCES.get(topic.name)
        self._told[topic.name] += 1
        offset = 10 * n + 7 if topic is NOTIFICATIONS else n
        origin = None if source is None else Origin(source.name, _P, n)
        value = encode(topic, data, id=f"{topic.name}-{n}", source="/test", actor="stage:test", time=at, origin=origin)
        record = Record(_P, offset, int(at.timestamp() * 1000), b"k", value)
        chunk = await fold_run(_STREAMS[topic.name], _P, [record], self._store, STAMP, await self._store.marks())
        assert chunk is not None and len(chunk.counted) == 1, chunk
