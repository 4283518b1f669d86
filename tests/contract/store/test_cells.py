"""The book of a period as the gateway reads it, from cells that the real fold wrote."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from schemas.scorecards import CardKind
from stream_processors.domain.scorecards import book, signal_leaves
from stream_processors.state.keys import FOLDS, PROJECT
from stream_processors.state.store import RedisStore, Write, connect
from stream_processors.views.api import Views
from stream_processors.views.reading import Rebuilding
from stream_processors.views.scorecards import tallies
from tests.support.builders import T0, fact, submitted
from tests.support.scores import folded

pytestmark = pytest.mark.integration
STAMP = f"cluster|topic=1:2|folds={FOLDS}#gen"
MINE = 9
"""A database of this suite's own: the views' keys have one name in all tests."""


@pytest.fixture
async def url(backbone: Any) -> AsyncIterator[str]:
    url = f"{backbone.redis_url.rpartition('/')[0]}/{MINE}"
    yield url
    redis = Redis.from_url(url, protocol=2)
    await redis.flushdb()
    await redis.aclose()


async def test_a_book_is_what_the_core_adds_up_and_is_not_told_while_views_are_rebuilt(url: str) -> None:
    facts = [fact(submitted(f"bank-{n % 40:03}", f"r{n}"), now=T0) for n in range(100)]
    store_redis, redis = connect(url), Redis.from_url(url, protocol=2)
    store, views = RedisStore(store_redis, PROJECT), Views(redis)
    await store.open()
    await store.set_stamp(STAMP)
    for one in facts:
        for bucket, args in tallies(signal_leaves(one)):
            await store.call("fold", STAMP, {bucket: Write({}, {}, args)})
    for period in ("2026-03-02", "2026-03", "2026"):
        assert await views.book(CardKind.INSTITUTION, period) == book(folded(*facts), CardKind.INSTITUTION, period)
    assert await views.book(CardKind.UNIT, "2026") == {}
    empty = await views.book(CardKind.INSTITUTION, "2025")
    assert len(empty) == 40 and not any(empty.values())
    await store.set_stamp("restoring " + STAMP)
    with pytest.raises(Rebuilding):
        await views.book(CardKind.INSTITUTION, "2026")
    await redis.aclose()
    await store_redis.aclose()
