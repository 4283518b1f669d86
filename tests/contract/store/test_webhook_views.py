"""Endpoints and parked notices over Redis, as project folds them and the gateway reads them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from schemas.codec import decode
from schemas.topics import ENDPOINTS
from schemas.values import from_ms
from schemas.webhooks import Endpoints
from stream_processors.state.effects import Effect
from stream_processors.state.hooked import project_endpoints
from stream_processors.state.inbox_views import Rebuilding
from stream_processors.state.webhook_views import RedisHooks
from tests.contract.store.test_inboxes import NOW, Found, found, issue, said, url
from tests.support.hooks import endpoint, endpoints_record, registered

__all__ = ["found", "url"]
pytestmark = pytest.mark.integration


@pytest.fixture
async def hooks(found: Found) -> AsyncIterator[RedisHooks]:
    if found.views is None:
        pytest.skip("the views are Redis' own; the fold in memory is held by tests/unit/agents/test_webhook.py")
    views = RedisHooks.__new__(RedisHooks)
    views._redis = found.views._redis
    yield views


def told(one: Endpoints) -> list[Effect]:
    return project_endpoints(decode(ENDPOINTS, endpoints_record(one)[1]))


def names(found: object) -> list[str]:
    return [one.issued.notice.notice_id for one in found.entries]  # type: ignore[attr-defined]


async def test_of_two_records_with_one_revision_the_first_counts_and_a_newer_one_replaces_it(
    found: Found, hooks: RedisHooks
) -> None:
    one, two = endpoint("hook-1")[0], endpoint("hook-2")[0]
    assert await hooks.endpoints("bank-001") is None
    first, loser, newer = registered(one), registered(two), registered(one, two, revision=2)
    await found.fold(*told(first), *told(loser))
    assert await hooks.endpoints("bank-001") == first
    await found.fold(*told(newer), *told(loser))
    assert await hooks.endpoints("bank-001") == newer
    assert await hooks.endpoints("bank-002") is None


async def test_parked_notices_are_listed_newest_first_by_endpoint_with_their_place(found: Found, hooks: RedisHooks) -> None:
    for n in range(4):
        await found.fold(*issue(n, 10 + n))
        await found.fold(*said("parked", n, n, endpoint="hook-1", way="webhook", attempt=40, detail="given up"))
    await found.fold(*said("parked", 0, 9, endpoint="hook-2", way="webhook"))
    listed = await hooks.parked("bank-001", "hook-1", limit=3)
    assert names(listed) == [f"act-{n}/case-1/0" for n in (3, 2, 1)] and listed.more
    assert [one.offset for one in listed.entries] == [13, 12, 11]
    assert names(await hooks.parked("bank-001", "hook-2", limit=3)) == ["act-0/case-1/0"]
    assert names(await hooks.parked("bank-001", "hook-3", limit=3)) == []


@pytest.mark.parametrize(
    ("state", "over", "left"),
    [
        ("replayed", {"endpoint": "hook-1"}, 0),
        ("replayed", {}, 0),
        ("acknowledged", {}, 0),
        ("received", {"endpoint": "hook-1", "way": "webhook"}, 0),
        ("received", {"way": "poll"}, 1),
        ("replayed", {"endpoint": "hook-2"}, 0),
    ],
)
async def test_what_came_since_takes_a_notice_off_the_list(
    found: Found, hooks: RedisHooks, state: str, over: dict[str, str], left: int
) -> None:
    await found.fold(*issue(0, 5), *said("parked", 0, 1, endpoint="hook-1", way="webhook"))
    await found.fold(*said(state, 0, 2, **over))
    assert len((await hooks.parked("bank-001", "hook-1", limit=9)).entries) == left
    await found.fold(*said("parked", 0, 3, endpoint="hook-1", way="webhook"))
    assert len((await hooks.parked("bank-001", "hook-1", limit=9)).entries) == (0 if state == "acknowledged" else 1)


async def test_views_that_are_made_anew_are_not_read(found: Found, hooks: RedisHooks) -> None:
    await found.store.set_stamp("restoring x")
    with pytest.raises(Rebuilding):
        await hooks.endpoints("bank-001")
    with pytest.raises(Rebuilding):
        await hooks.parked("bank-001", "hook-1", limit=1)
    assert from_ms(NOW).year > 2000
