"""When keys of the state end in Redis: never before what lies in them, seldom moved, the same whatever the order of arrival."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Sequence
from random import Random
from typing import Any, NamedTuple

import pytest
from redis.asyncio import Redis

from stream_processors.state.effects import Effect, bury, claim, enter, keep, link, put, raise_floor, see
from stream_processors.state.keys import Namespace
from stream_processors.state.shared_hashes import END_BYTES, HEAD, drawer, drawer_of
from stream_processors.state.store import RedisStore, Write, connect
from tests.support.keys import key_at

pytestmark = pytest.mark.integration

STAMP, BUCKET = "log|folds=7#1", 5
NOW = int(time.time() * 1000)
HOUR_MS = 3_600_000
STEP_MS = 6 * HOUR_MS
"""As in lua/guard.lua."""


class State(NamedTuple):
    store: RedisStore
    redis: Redis
    namespace: Namespace

    async def fold(self, effects: Sequence[Effect]) -> None:
        """A call each, as if polls had brought them."""
        for effect in effects:
            await self.store.call("fold", STAMP, {BUCKET: Write({}, {}, effect.args)})

    def key(self, rest: str) -> str:
        return f"{{{self.namespace.tag}{BUCKET}}}{rest}"

    async def end(self, rest: str) -> int:
        """When the key ends, to the second."""
        return round((time.time() * 1000 + await self.redis.pttl(self.key(rest))) / 1000)

    async def commands(self, *names: str) -> int:
        stats = await self.redis.info("commandstats")
        return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in names)


async def opened(url: str) -> State:
    redis, namespace = connect(url), Namespace(f"en{secrets.token_hex(3)}-")
    store = RedisStore(redis, namespace)
    await store.open()
    await store.set_stamp(STAMP)
    return State(store, redis, namespace)


@pytest.fixture
async def state(backbone: Any) -> AsyncIterator[State]:
    found = await opened(backbone.redis_url)
    yield found
    await found.store.clear()
    await found.redis.aclose()


def neighbours(count: int) -> list[str]:
    """Names of one drawer."""
    found = (name for n in range(100_000) if drawer_of(name := f"sig-{n}") == drawer_of("sig-0"))
    return [next(found) for _ in range(count)]


@pytest.mark.parametrize("seed", range(6))
async def test_a_drawer_lives_as_long_as_its_longest_value_whatever_the_order(state: State, seed: int) -> None:
    rnd = Random(seed)
    ends = {name: NOW + rnd.randrange(1, 4000) * HOUR_MS for name in neighbours(20)}
    effects = [claim(key_at(BUCKET, f"r:{name}"), "x", at) for name, at in ends.items()]
    rnd.shuffle(effects)
    await state.fold(effects)
    last, found = max(ends.values()), await state.end(f"r={drawer_of('sig-0')}")
    assert found == (last - last % STEP_MS + STEP_MS) // 1000


@pytest.mark.parametrize("seed", range(6))
async def test_a_set_ends_a_step_after_its_longest_member_whatever_the_order(state: State, seed: int) -> None:
    rnd = Random(seed)
    ends = [NOW + rnd.randrange(1, 4000) * HOUR_MS for _ in range(12)]
    ends.append(max(ends) + STEP_MS - max(ends) % STEP_MS)  # exactly on a step
    effects = [see(key_at(BUCKET, "s:t"), f"c{n}", f"bank-{n % 3}", NOW + n, at) for n, at in enumerate(ends)]
    effects += [keep(key_at(BUCKET, "v:t"), n, f"m{n}", at, 32) for n, at in enumerate(ends)]
    effects += [link(key_at(BUCKET, "t:t"), f"case-{n}".encode(), at) for n, at in enumerate(ends)]
    effects += [bury(key_at(BUCKET, "v:t"), f"m{n}", at) for n, at in enumerate(ends)]
    rnd.shuffle(effects)
    await state.fold(effects)
    last = (max(ends) + STEP_MS) // 1000
    assert [await state.end(key) for key in ("s:t", "v:t", "t:t", "v:t!")] == [last] * 4


@pytest.mark.parametrize("seed", range(4))
async def test_a_floor_beside_the_claims_ends_by_itself_and_holds_the_drawer(state: State, seed: int) -> None:
    effects = [
        claim(key_at(BUCKET, "r:sig-0"), "x", NOW + HOUR_MS),
        *(raise_floor(key_at(BUCKET, "t:sig-0"), floor, NOW + floor * 24 * HOUR_MS) for floor in (2, 3, 4)),
    ]
    Random(seed).shuffle(effects)
    await state.fold(effects)
    found = await state.redis.hgetall(state.key(f"r={drawer_of('sig-0')}"))
    assert int.from_bytes(found[b"sig-0/0"][:END_BYTES], "big") == NOW + 4 * 24 * HOUR_MS
    assert found[b"sig-0/0"][END_BYTES:] == b"4"
    assert set(found) == {HEAD, b"sig-0", b"sig-0/0"}
    assert await state.end(f"r={drawer_of('sig-0')}") >= (NOW + 4 * 24 * HOUR_MS) // 1000


async def test_the_end_of_a_key_moves_once_a_step_and_not_with_every_value(state: State) -> None:
    start = NOW - NOW % STEP_MS + 10 * STEP_MS
    before = await state.commands("pexpireat")
    names = neighbours(40)
    await state.fold([claim(key_at(BUCKET, f"r:{name}"), "x", start + n) for n, name in enumerate(names)])
    await state.fold([see(key_at(BUCKET, "s:t"), name, "bank-1", NOW, start + n) for n, name in enumerate(names)])
    await state.fold([enter(key_at(BUCKET, "k:t"), f"queue-{n}", start + n) for n in range(9)])
    assert await state.commands("pexpireat") - before == 4, "the first sighting lay in a drawer"


async def test_a_drawer_is_swept_once_a_step_and_nothing_live_goes(state: State) -> None:
    names = neighbours(12)
    dead, live, late = names[:5], names[5:11], names[11]
    await state.fold([put(key_at(BUCKET, f"j:{name}"), b"x", NOW + HOUR_MS * 99) for name in live])
    await state.fold([put(key_at(BUCKET, f"j:{name}"), b"x", NOW - 1) for name in dead])
    key = drawer(state.namespace, BUCKET, "j", "sig-0")
    assert await state.redis.hlen(key) == 12, "past its end, but just swept"
    ends = (await state.redis.hget(key, "")).hex()[:12]
    await state.redis.hset(key, "", bytes.fromhex(ends) + (NOW - STEP_MS - 1).to_bytes(6, "big"))  # as if a step had passed
    await state.fold([put(key_at(BUCKET, f"j:{late}"), b"x", NOW + HOUR_MS)])
    assert set(await state.redis.hkeys(key)) == {HEAD, *(name.encode() for name in (*live, late))}
