"""Inboxes over the in-memory store and over Redis: the same histories give the same inboxes, whatever the order of the marks."""

from __future__ import annotations

import random
import time
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis

from schemas.common import from_ms
from schemas.notifications.delivery import NOTICE_KEPT, Issued
from schemas.topics import NOTIFICATIONS
from stream_processors.state.effects import Effect
from stream_processors.state.keys import FOLDS, PROJECT
from stream_processors.state.store import RedisStore, Store, Write, connect
from stream_processors.views.inbox import KEPT_MS, Entry, InboxViews
from tests.support.clock import Clock
from tests.support.deliveries import mark, notice
from tests.support.inboxes import Seen, issued_effects, mark_effects, seen
from tests.support.memory_store import MemoryRedis, MemoryStore

STAMP = f"cluster|{NOTIFICATIONS.name}=abc:8|buckets=16|folds={FOLDS}#gen"
NOW = int(time.time() * 1000)
AT = from_ms(NOW - 60_000)
ALL = 1000


class Views(InboxViews):
    def __init__(self, redis: Any) -> None:
        self._redis = redis


class Found(NamedTuple):
    store: Store
    memory: MemoryRedis | None
    views: Views | None

    async def seen(self, recipient: str) -> Seen:
        if self.memory is not None:
            return seen(self.memory, recipient)
        assert self.views is not None
        entries = (await self.views.inbox(recipient, after=-1, limit=ALL)).entries
        unread = await self.views.unreceived(recipient, upto=1 << 52, limit=ALL)
        return Seen(entries, [one.offset for one in unread])

    async def fold(self, *effects: Effect) -> None:
        for effect in effects:
            await self.store.call("fold", STAMP, {effect.bucket: Write({}, {}, effect.args)})


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.integration)])
def url(request: pytest.FixtureRequest) -> str | None:
    if request.param == "memory":
        return None
    whole: str = request.getfixturevalue("backbone").redis_url
    return whole.removesuffix("/0") + "/5"


@pytest.fixture
async def found(url: str | None) -> AsyncIterator[Found]:
    if url is None:
        redis = MemoryRedis(Clock(NOW))
        store = MemoryStore(redis, PROJECT)
        await store.set_stamp(STAMP)
        yield Found(store, redis, None)
        return
    client, plain = connect(url), Redis.from_url(url, protocol=2)
    await plain.flushdb()
    real = RedisStore(client, PROJECT)
    await real.open()
    await real.set_stamp(STAMP)
    yield Found(real, None, Views(plain))
    await plain.flushdb()
    await client.aclose()
    await plain.aclose()


def issue(n: int, offset: int, recipient: str = "bank-001", at: Any = AT) -> list[Effect]:
    return issued_effects(Issued(notification=notice(n, recipient, at)), offset)


def said(state: str, n: int = 0, second: int = 0, **over: Any) -> list[Effect]:
    return mark_effects(mark(state, n, at=from_ms(NOW + 1000 * second), **{"notified_at": AT, **over}))


def brief(entries: list[Entry]) -> list[tuple[int, str, str]]:
    return [(one.offset, one.issued.notification.notification_id, one.delivery.state.value) for one in entries]


async def test_notices_stand_in_the_order_of_their_cursor_each_in_its_recipients_inbox(found: Found) -> None:
    await found.fold(*issue(0, 5), *issue(2, 90), *issue(1, 17), *issue(3, 18, "bank-002"))
    inbox = await found.seen("bank-001")
    assert [(one.offset, one.issued.notification.notification_id) for one in inbox.entries] == [
        (5, "act-0/case-1/0"),
        (17, "act-1/case-1/0"),
        (90, "act-2/case-1/0"),
    ]
    assert inbox.unreceived == [5, 17, 90]
    assert [one.offset for one in (await found.seen("bank-002")).entries] == [18]
    assert await found.seen("bank-003") == Seen([], [])


async def test_a_notice_that_stands_twice_in_the_log_keeps_its_first_place(found: Found) -> None:
    await found.fold(*issue(0, 5), *issue(0, 9))
    assert brief((await found.seen("bank-001")).entries) == [(5, "act-0/case-1/0", "sent")]


async def test_a_mark_may_come_before_its_notice(found: Found) -> None:
    await found.fold(*said("received"), *issue(0, 5), *issue(1, 6))
    inbox = await found.seen("bank-001")
    assert (brief(inbox.entries)[0][2], inbox.unreceived) == ("received", [6])


LATER = from_ms(NOW - 30_000)
"""When a notice is issued again, of what is decided again because the log had lost it."""


@pytest.mark.parametrize("turn", range(3))
async def test_a_mark_of_a_notice_that_is_issued_again_at_another_time_counts_in_any_order(found: Found, turn: int) -> None:
    steps = [issue(0, 5), issue(0, 9, at=LATER)]
    steps.insert(turn, said("received"))
    await found.fold(*(effect for step in steps for effect in step))
    inbox = await found.seen("bank-001")
    assert ([state for _, _, state in brief(inbox.entries)], inbox.unreceived) == (["received"] * 2, [])


async def test_a_notice_that_is_issued_again_at_another_time_waits_at_its_newer_place(found: Found) -> None:
    await found.fold(*issue(0, 5), *issue(0, 9, at=LATER))
    assert (await found.seen("bank-001")).unreceived == [9]


async def test_an_acknowledged_notice_needs_no_other_proof(found: Found) -> None:
    await found.fold(*issue(0, 5), *said("acknowledged", channel="api"))
    inbox = await found.seen("bank-001")
    assert (brief(inbox.entries)[0][2], inbox.unreceived) == ("acknowledged", [])


async def test_of_the_proofs_the_earliest_counts_and_of_the_others_the_latest(found: Found) -> None:
    tries = [said("parked", second=s, channel="webhook", attempt=s, detail=f"try {s}") for s in (3, 9, 6)]
    replays = [said("redelivered", second=s, channel="api") for s in (4, 8)]
    proofs = [said("received", second=s, channel=way) for s, way in ((30, "poll"), (20, "stream"), (25, "webhook"))]
    await found.fold(*issue(0, 5))
    for effects in tries:
        await found.fold(*effects)
    assert brief((await found.seen("bank-001")).entries)[0][2] == "parked"
    await found.fold(*(effect for effects in replays for effect in effects))
    assert brief((await found.seen("bank-001")).entries)[0][2] == "parked", "parked after it was sent once more"
    await found.fold(*said("redelivered", second=12, channel="api"))
    assert brief((await found.seen("bank-001")).entries)[0][2] == "redelivered"
    await found.fold(*(effect for effects in proofs for effect in effects))
    (entry,) = (await found.seen("bank-001")).entries
    told = entry.delivery
    assert told.state == "received" and told.received is not None and told.parked is not None and told.redelivered is not None
    assert (told.received.at, told.received.way) == (from_ms(NOW + 20_000), "stream")
    assert (told.parked.at, told.parked.attempt, told.detail) == (from_ms(NOW + 9000), 9, "try 9")
    assert told.redelivered.at == from_ms(NOW + 12_000)


async def test_a_notice_ends_after_its_time_and_leaves_no_place(found: Found) -> None:
    ended = from_ms(NOW - KEPT_MS - 1)
    await found.fold(*issue(0, 5, at=ended), *issue(1, 6))
    assert brief((await found.seen("bank-001")).entries) == [(6, "act-1/case-1/0", "sent")]
    assert NOTICE_KEPT.days == 30


async def test_what_ends_while_it_lies_there_is_swept_by_later_ones() -> None:
    clock = Clock(NOW)
    redis = MemoryRedis(clock)
    store = MemoryStore(redis, PROJECT)
    await store.set_stamp(STAMP)
    found = Found(store, redis, None)
    await found.fold(*(effect for n in range(6) for effect in issue(n, n)))
    clock.ms += KEPT_MS
    assert seen(redis, "bank-001") == Seen([], [])
    later = from_ms(clock.ms)
    await found.fold(*(effect for n in range(6, 10) for effect in issue(n, n, at=later)))
    (kept,) = [found for bucket in redis.buckets for name, found in bucket.values.items() if name == "i:bank-001"]
    assert sorted(kept.values()) == [6, 7, 8, 9]


def _history(rng: random.Random) -> tuple[list[list[Effect]], list[list[Effect]]]:
    """Notices in their order, some issued again, and marks in any."""
    notices = [issue(n, 3 * n + 1, f"bank-00{n % 2}") for n in range(4)]
    notices += [issue(n, 100 + n, f"bank-00{n % 2}", LATER) for n in range(4) if rng.random() < 0.5]
    marks = []
    for _ in range(rng.randrange(12)):
        n = rng.randrange(5)
        over = {"channel": rng.choice(["poll", "stream", "webhook", "api"]), "recipient": f"bank-00{n % 2}"}
        over["notified_at"] = rng.choice([AT, LATER])
        if (state := rng.choice(["received", "acknowledged", "parked", "redelivered", "sent"])) == "parked":
            over |= {"attempt": rng.randrange(1, 4), "detail": rng.choice([None, "a", "因为超时"])}
        marks.append(said(state, n, rng.randrange(4), **over))
    return notices, marks


def _shuffled(rng: random.Random, notices: list[Any], marks: list[Any]) -> list[Effect]:
    """Notices in their order, marks anywhere between and some twice."""
    marks = [*marks, *rng.sample(marks, len(marks) // 2)]
    rng.shuffle(marks)
    whole = [(rng.random(), one) for one in marks]
    whole += zip(sorted(rng.random() for _ in notices), notices, strict=True)
    return [effect for _, one in sorted(whole, key=lambda pair: pair[0]) for effect in one]


@pytest.mark.parametrize("seed", range(25))
async def test_any_order_of_marks_gives_the_same_inbox_in_memory_and_in_redis(found: Found, seed: int) -> None:
    rng = random.Random(seed)
    notices, marks = _history(rng)
    plain = MemoryRedis(Clock(NOW))
    store = MemoryStore(plain, PROJECT)
    await store.set_stamp(STAMP)
    await Found(store, plain, None).fold(*(effect for one in (*notices, *marks) for effect in one))
    await found.fold(*_shuffled(rng, notices, marks))
    for recipient in ("bank-000", "bank-001"):
        assert await found.seen(recipient) == seen(plain, recipient)


async def test_a_word_to_those_who_listen_is_heard(found: Found) -> None:
    if found.views is None:
        await found.store.tell("channel", b"said")
        assert found.memory is not None and found.memory.told == [("channel", b"said")]
        return
    listening = found.views._redis.pubsub(ignore_subscribe_messages=True)
    await listening.subscribe("channel")
    await listening.get_message(timeout=1)
    await found.store.tell("channel", b"said")
    heard = [await listening.get_message(timeout=1) for _ in range(2)]
    assert b"said" in [one["data"] for one in heard if one]
    await listening.aclose()
