"""The gateway's memory: locks, records that stand, texts."""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.adapters.idempotency import Idempotency, InFlight, Remembered, StateUnavailable
from gateway.adapters.redis import Pipelining


def names(n: int) -> list[str]:
    return [f"sig-{secrets.token_hex(8)}" for _ in range(n)]


def record(name: str, body: str = "b", offset: int = 1) -> Remembered:
    return Remembered(body, name, "bank-001", "t", 3, offset, 1_700_000_000_000)


async def test_a_name_is_locked_once(memory: Idempotency):
    some = names(40)
    assert await memory.begin(some, "one") == [None] * 40
    assert await memory.begin([*some[:2], "sig-other" + some[0]], "two") == [InFlight(), InFlight(), None]


async def test_the_same_owner_may_ask_again_because_its_first_answer_may_be_lost(memory: Idempotency):
    some = names(2)
    await memory.begin(some, "one")
    assert await memory.begin(some, "one") == [None, None]


async def test_of_many_owners_at_once_one_has_the_lock(memory: Idempotency):
    some = names(3)
    held = await asyncio.gather(*(memory.begin(some, f"owner-{n}") for n in range(10)))
    assert [sum(one[n] is None for one in held) for n in range(3)] == [1, 1, 1]


async def test_a_record_takes_the_place_of_the_lock_and_stands(memory: Idempotency):
    (name,) = names(1)
    await memory.begin([name], "one")
    assert await memory.finish([(name, record(name))]) == [record(name)]
    assert await memory.begin([name], "two") == [record(name)]
    assert await memory.finish([(name, record(name, "other", 9))]) == [record(name)]
    assert await memory.find(name) == record(name)


async def test_an_owner_gives_back_its_own_lock_only(memory: Idempotency):
    mine, others, done = names(3)
    await memory.begin([mine, done], "one")
    await memory.begin([others], "two")
    await memory.finish([(done, record(done))])
    await memory.abandon([mine, others, done], "one")
    assert await memory.begin([mine, others, done], "three") == [None, InFlight(), record(done)]


@pytest.mark.integration
async def test_a_lock_of_before_the_clock_was_set_back_holds_nobody_up(backbone: Any):
    """A gateway that was killed while Redis ran three hours ahead."""
    redis = Redis.from_url(backbone.redis_url, protocol=2)
    dead = Idempotency(Pipelining(redis), lock_ttl_s=3 * 3600, receipt_ttl_s=60)
    memory = Idempotency(Pipelining(redis), lock_ttl_s=5, receipt_ttl_s=60)
    left, done = names(2)
    await dead.begin([left, done], "gone")
    await dead.finish([(done, record(done))])
    assert await memory.begin([left, done], "two") == [None, record(done)]
    assert await memory.begin([left], "three") == [InFlight()]
    await redis.aclose()


async def test_a_lock_is_no_record(memory: Idempotency):
    (name,) = names(1)
    await memory.begin([name], "one")
    assert await memory.find(name) is None and await memory.find("sig-nothing") is None


async def test_a_text_that_is_kept_stands(memory: Idempotency):
    (name,) = names(1)
    assert await memory.recall(name) is None
    assert await memory.keep(name, "一") == "一"
    assert await memory.keep(name, "two") == "一"
    assert await memory.recall(name) == "一"


async def test_a_memory_that_does_not_answer_says_so_at_every_call(memory_away: Idempotency):
    (name,) = names(1)
    for asking in (
        memory_away.begin([name], "one"),
        memory_away.finish([(name, record(name))]),
        memory_away.abandon([name], "one"),
        memory_away.find(name),
        memory_away.keep(name, "text"),
        memory_away.recall(name),
    ):
        with pytest.raises(StateUnavailable):
            await asking
