"""What every store keeps, over the in-memory one and over Redis: claims, sightings, folds, marks, stamps, lock, lost states."""

from __future__ import annotations

import asyncio
import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from schemas.deadlines import DeadlineStep
from stream_processors.agents.feature_queries import content_question, of_suspect
from stream_processors.domain.deadlines.due_index import Moment
from stream_processors.state.case_refs import brief
from stream_processors.state.deadline_index import Indexed, indexed, settled
from stream_processors.state.effects import (
    Arg,
    Effect,
    bury,
    claim,
    drop,
    enter,
    keep,
    link,
    put,
    put_case,
    put_newer,
    raise_floor,
    rank,
    release,
    see,
    sighting,
    stand,
    take,
    tally,
    unrank,
    unsee,
)
from stream_processors.state.keys import ASSESS, BUCKETS, Namespace, bucket_of
from stream_processors.state.shared_hashes import END_BYTES, drawer, drawer_of, linked, long
from stream_processors.state.store import LostState, MarkMoved, RedisStore, Store, Write, connect
from tests.support.clock import Clock
from tests.support.keys import key_at
from tests.support.memory_store import MemoryRedis, MemoryStore, marks_by_name

STAMP = "cluster|topic=1:2#gen"
NOW = int(time.time() * 1000)
DAY = 86_400_000
LATER = NOW + 7 * DAY


@dataclass
class Found:
    """A stamped store; `again` is another process's connection, `cut` kills the first one's, `flush` empties the server,
    `ranked` reads a ranking, `texts` a hash. `lock_for` leaves the restore lock behind for so many milliseconds."""

    store: Store
    again: Callable[[], Awaitable[Store]]
    cut: Callable[[], Awaitable[None]]
    flush: Callable[[], Awaitable[None]]
    ranked: Callable[[int, str], Awaitable[dict[str, int]]]
    texts: Callable[[int, str], Awaitable[dict[str, bytes]]]
    lock_for: Callable[[int], Awaitable[object]]


async def _memory() -> AsyncIterator[Found]:
    server, namespace = MemoryRedis(Clock(NOW)), Namespace("ct")
    first = MemoryStore(server, namespace)

    async def again() -> Store:
        return MemoryStore(server, namespace)

    async def cut() -> None:
        first.break_connection()

    async def flush() -> None:
        server.flush()

    async def ranked(bucket: int, key: str) -> dict[str, int]:
        found = server.buckets[bucket].values.get(key, {})
        return {member.decode() if isinstance(member, bytes) else member: score for member, score in found.items()}

    async def texts(bucket: int, key: str) -> dict[str, bytes]:
        values = server.buckets[bucket].values.get(key, {})
        return {name: str(v).encode() if isinstance(v, int) else v for name, v in values.items()}

    async def lock_for(ms: int) -> None:
        """A lock in memory ends with its holder."""

    yield Found(first, again, cut, flush, ranked, texts, lock_for)


async def _redis(url: str) -> AsyncIterator[Found]:
    namespace, name = Namespace(f"ct{secrets.token_hex(3)}-"), f"contract-{secrets.token_hex(3)}"
    clients = []
    plain = Redis.from_url(url, protocol=2)

    async def again() -> Store:
        client = connect(f"{url}?client_name={name}-{len(clients)}")
        clients.append(client)
        store = RedisStore(client, namespace)
        await store.open()
        return store

    async def cut() -> None:
        for row in await plain.client_list():
            if row["name"] == f"{name}-0":
                await plain.client_kill_filter(_id=row["id"])

    async def flush() -> None:
        if keys := [key async for key in plain.scan_iter(match=f"{{{namespace.tag}*")]:
            await plain.delete(*keys)

    async def ranked(bucket: int, key: str) -> dict[str, int]:
        rows = await plain.zrange(namespace.key(bucket, *key.split(":", 1)), 0, -1, withscores=True)
        concern, _, name = key.partition(":")
        if concern == "t" and not rows and (entry := await plain.hget(drawer(namespace, bucket, "t", name), name)):
            rows = linked(entry[END_BYTES:])
        return {member.decode(): int(score) for member, score in rows}

    async def texts(bucket: int, key: str) -> dict[str, bytes]:
        return {name.decode(): v for name, v in (await plain.hgetall(namespace.key(bucket, *key.split(":", 1)))).items()}

    async def lock_for(ms: int) -> None:
        assert await plain.set(f"{{{namespace.tag}0}}lock", "a dead holder", px=ms, nx=True)

    try:
        yield Found(await again(), again, cut, flush, ranked, texts, lock_for)
    finally:
        await flush()
        for client in clients:
            await client.aclose()
        await plain.aclose()


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.integration)])
def url(request: pytest.FixtureRequest) -> str | None:
    """Redis's address; None for the store in memory."""
    return None if request.param == "memory" else request.getfixturevalue("backbone").redis_url


@pytest.fixture
async def found(url: str | None) -> AsyncIterator[Found]:
    async for one in _memory() if url is None else _redis(url):
        await one.store.set_stamp(STAMP)
        yield one


async def _call(found: Found, script: str, bucket: int, *args: Arg, **marks: Any) -> list[Any]:
    write = Write(marks_by_name(marks.get("checks", {})), marks_by_name(marks.get("sets", {})), args)
    return (await found.store.call(script, STAMP, {bucket: write}))[bucket]


async def _fold(found: Found, *effects: Effect, **marks: Any) -> None:
    for effect in effects:
        await _call(found, "fold", effect.bucket, *effect.args, **marks)


# claims


async def _claim(found: Found, bucket: int, value: str, version: int = 1, until: int = LATER, signal: str = "sig-1") -> list[Any]:
    """Holder, floor, what older versions left standing."""
    return await _call(found, "claim", bucket, signal, drawer_of(signal), version, value, until)


async def test_the_first_claim_of_a_reference_wins_and_stays(found: Found) -> None:
    assert await _claim(found, 3, "0:7 body") == [b"", 0, []]
    assert await _claim(found, 3, "0:9 other") == [b"0:7 body", 0, []]
    assert await _claim(found, 3, "0:7 body") == [b"0:7 body", 0, []], "a replay finds its own claim"


async def test_several_claims_of_one_call_are_answered_in_order(found: Found) -> None:
    rows = (("a", "0:0 x"), ("b", "0:1 y"), ("a", "0:2 z"))
    args = [part for signal, value in rows for part in (signal, drawer_of(signal), 1, value, LATER)]
    assert await _call(found, "claim", 0, *args) == [b"", 0, [], b"", 0, [], b"0:0 x", 0, []]


async def test_a_claim_ends_at_its_time(found: Found) -> None:
    await _claim(found, 0, "0:0 x", until=NOW - 1000)
    assert await _claim(found, 0, "0:1 y") == [b"", 0, []]


async def test_a_claim_of_the_log_is_the_claim_that_was_observed(found: Found) -> None:
    await _fold(found, claim(key_at(2, "r:sig-1"), "0:7 body", LATER))
    assert await _claim(found, 2, "0:9 other") == [b"0:7 body", 0, []]
    await _fold(found, claim(key_at(2, "r:sig-1"), "0:9 other", LATER))
    assert await _claim(found, 2, "0:9 other") == [b"0:7 body", 0, []]


async def test_a_newer_version_has_a_claim_of_its_own_and_makes_the_older_ones_dead(found: Found) -> None:
    await _claim(found, 3, "0:7 body")
    await _fold(found, put(key_at(3, "j:sig-1"), b"what it added", LATER))
    assert await _claim(found, 3, "0:8 body", 3) == [b"", 0, [b"what it added"]]
    assert await _claim(found, 3, "0:9 body", 2) == [b"", 3, [b"what it added"]]
    assert await _claim(found, 3, "0:7 body") == [b"0:7 body", 3, []]
    assert await _claim(found, 3, "1:1 body", 3) == [b"0:8 body", 3, [b"what it added"]]


# retractions


async def _find(found: Found, below: int, versions: int = 4, until: int = LATER) -> list[Any]:
    return (await _call(found, "withdraw", 3, "f", "sig-1", drawer_of("sig-1"), below, until, versions))[0]


async def test_a_floor_only_rises_and_looking_does_not_make_one(found: Found) -> None:
    assert await _find(found, 0) == [0]
    assert [await _find(found, below) for below in (2, 1 << 20, 3, 0)] == [[2], [1 << 20], [1 << 20], [1 << 20]]
    await _fold(found, raise_floor(key_at(3, "t:sig-1"), 5, LATER))
    assert await _claim(found, 3, "0:0 x") == [b"", 1 << 20, []]


async def test_a_floor_ends_with_the_latest_of_those_that_raised_it(found: Found) -> None:
    await _fold(found, raise_floor(key_at(3, "t:sig-1"), 2, NOW - 1))
    assert await _find(found, 0) == [0]
    await _fold(found, raise_floor(key_at(3, "t:sig-1"), 2, LATER), raise_floor(key_at(3, "t:sig-1"), 2, NOW - 1))
    assert await _find(found, 0) == [2]


async def test_a_retraction_finds_the_versions_that_are_known(found: Found) -> None:
    await _claim(found, 3, "0:7 body")
    await _claim(found, 3, "5:1 body", 3)
    await _fold(found, put(key_at(3, "j:sig-1/3"), b"added", LATER), put(key_at(3, "j:sig-1/4"), b"too new", LATER))
    assert await _find(found, 4, versions=3) == [4, 1, b"0:7 body", b"", 3, b"5:1 body", b"added"]


async def test_a_content_is_let_go_by_the_name_that_holds_it_only(found: Found) -> None:
    def let_go(name: str, free: int) -> tuple[Arg, ...]:
        return "p", "content", drawer_of("content"), name, free

    await _call(found, "observe", 1, *_content("sig-1"))
    assert await _call(found, "withdraw", 1, *let_go("sig-2", 1)) == [b"sig-1"]
    assert await _call(found, "withdraw", 1, *let_go("sig-1", 0), *let_go("sig-2", 0)) == [b"", b"sig-1"]
    await _fold(found, release(key_at(1, "c:content"), "sig-2"))
    assert await _call(found, "withdraw", 1, *let_go("sig-1", 1), *let_go("sig-2", 0)) == [b"", b""]
    await _fold(found, take(key_at(1, "c:content"), "sig-2", LATER), release(key_at(1, "c:content"), "sig-2"))
    assert (await _call(found, "observe", 1, *_content("sig-1")))[0] == b""


async def test_a_newer_version_takes_a_content_over_from_its_own_signal_only(found: Found) -> None:
    async def held_after(name: str) -> bytes:
        return bytes((await _call(found, "observe", 1, *_content(name)))[0])

    assert [await held_after(name) for name in ("sig-1", "sig-1/2", "sig-1", "sig-2/3", "sig-1/10", "sig-1/9")] == [
        b"",
        b"",
        b"sig-1/2",
        b"sig-1/2",
        b"",
        b"sig-1/10",
    ]


@pytest.mark.parametrize("by_the_log", [False, True])
async def test_names_are_parted_whatever_bytes_their_short_forms_have(found: Found, by_the_log: bool) -> None:
    """An id whose bytes end like another one's version, with one that begins like it."""
    ids = [f"sig-{urlsafe_b64encode(raw)[:22].decode()}" for raw in (b"/" * 14 + b"/2", b"/" * 14 + b"/3", b"1" * 15 + b"/")]

    async def held_after(name: str) -> str:
        if by_the_log:
            await _fold(found, take(key_at(1, "c:content"), name, LATER))
        return long((await _call(found, "observe", 1, *_content(name)))[0])

    first = ids[0]
    told = [await held_after(name) for name in (first, ids[1], f"{ids[1]}/5", ids[2], f"{first}/2", first)]
    own = [first, f"{first}/2"] if by_the_log else ["", ""]
    assert told == [own[0], first, first, first, own[1], f"{first}/2"]


@pytest.mark.parametrize("by_the_log", [False, True])
async def test_a_sighting_that_is_taken_back_is_no_longer_counted(found: Found, by_the_log: bool) -> None:
    async def taken_back(content: str, institution: str) -> None:
        if by_the_log:
            await _fold(found, unsee(key_at(1, "s:t"), content, institution, ""))
        else:
            await _call(found, "withdraw", 1, "u", "t", drawer_of("t"), content, institution, "")

    for content, institution, when in (("c1", "bank-001", NOW), ("c2", "bank-001", NOW - 3 * DAY), ("c3", "bank-0010", NOW)):
        await _seen(found, *_sighting(content, institution, when))
    await taken_back("c1", "bank-0010")
    assert await _seen(found, *_sighting("c4", "bank-002", NOW)) == [3, 3, 0], "another's is another one"
    await taken_back("c1", "bank-001")
    assert await _seen(found, *_sighting("c4", "bank-002", NOW)) == [2, 2, 0], "its latest is three days old now"
    wide = _sighting("c4", "bank-002", NOW, since=NOW - 4 * DAY)
    assert await _seen(found, *wide) == [3, 3, 0]
    await taken_back("c2", "bank-001")
    await taken_back("c2", "bank-001")
    assert await _seen(found, *wide) == [2, 2, 0]
    for content, institution in (("c3", "bank-0010"), ("c4", "bank-002")):
        await taken_back(content, institution)
    assert await _seen(found, *_sighting("c1", "bank-001", NOW)) == [1, 1, 0], "what was taken back may come again"


async def test_an_institution_is_found_again_behind_many_sightings_of_others(found: Found) -> None:
    for n in range(1100):
        await _fold(found, see(key_at(1, "s:t"), f"o{n}", "bank-002", NOW - n, LATER))
    await _fold(
        found, see(key_at(1, "s:t"), "old", "bank-001", NOW - DAY, LATER), see(key_at(1, "s:t"), "new", "bank-001", NOW, LATER)
    )
    await _fold(found, unsee(key_at(1, "s:t"), "new", "bank-001", ""))
    assert await _seen(found, *_sighting("x", "bank-002", NOW, since=NOW - 2 * DAY)) == [1102, 2, 0]
    assert await _seen(found, *_sighting("x", "bank-002", NOW, since=NOW - DAY)) == [1101, 1, 0]


@pytest.mark.parametrize("by_the_log", [False, True])
async def test_what_a_victim_or_a_transfer_left_is_not_counted_when_it_is_taken_back_but_keeps_its_place(
    found: Found, by_the_log: bool
) -> None:
    async def victims(member: str = "") -> list[int]:
        return await _call(found, "observe", 1, "v", "t", drawer_of("t"), member, NOW, NOW, "p", NOW - DAY, NOW, 2, LATER)

    async def taken_back(key: str, member: str) -> None:
        if by_the_log:
            await _fold(found, bury(key_at(1, key), member, LATER))
        else:
            await _call(found, "withdraw", 1, "x", key, drawer_of("t"), member, LATER)

    await _fold(found, keep(key_at(1, "v:t"), NOW - 9, "pone", LATER, 2), keep(key_at(1, "v:t"), NOW - 5, "ptwo", LATER, 2))
    await taken_back("v:t", "ptwo")
    assert await victims() == [1, 9]
    await _fold(found, keep(key_at(1, "v:t"), NOW - 7, "pthree", LATER, 2))
    assert await victims() == [1, 7], "what is taken back holds its place among the newest"
    await _fold(found, keep(key_at(1, "v:t"), NOW - 5, "ptwo", LATER, 2))
    assert await victims() == [2, 5], "kept again it counts again"

    async def transfers(member: str = "") -> list[int]:
        row = ("f", "t", "o", "to---------", NOW, DAY, DAY, 1, 9, "CNY", member, 9, LATER)
        return await _call(found, "observe", 1, *row)

    out, into = "oto---------bank0001content-idA5CNY", "ifrom-------bank0001content-idB5CNY"
    await _fold(found, keep(key_at(1, "f:t"), NOW - 8, into, LATER, 9))
    assert await transfers(out) == [1, 1, 8]
    await taken_back("f:t", into)
    assert await transfers() == [1, 1, -1]
    await taken_back("f:t", out)
    assert await transfers() == [0, 0, -1]


async def test_what_never_counted_leaves_its_place(found: Found) -> None:
    await _fold(found, keep(key_at(1, "v:t"), NOW, "pone", LATER, 2))
    await _call(found, "withdraw", 1, "x", "v:t", drawer_of("t"), "pone", 0)
    assert await found.ranked(1, "v:t") == {}


async def test_what_is_dropped_is_gone_and_only_a_higher_number_replaces_a_text(found: Found) -> None:
    await _fold(found, put(key_at(3, "j:sig-1"), b"added", LATER), drop(key_at(3, "j:sig-1")), drop(key_at(3, "j:sig-1")))
    assert await _find(found, 0) == [0]
    for number, text in ((2, b"two"), (1, b"one"), (2, b"other"), (3, b"three"), (1, b"late")):
        await _fold(found, put_newer(key_at(3, "x:sig-1"), number, text, LATER))
    assert await found.texts(3, "x:sig-1") == {"rev": b"3", "text": b"three"}


# observations


async def _seen(found: Found, *args: Arg, bucket: int = 1) -> list[int]:
    """Sightings, institutions, confirmed cases."""
    answer: list[int] = (await _call(found, "observe", bucket, *args))[:3]
    return answer


def _content(name: str) -> tuple[Arg, ...]:
    return content_question("content", name, LATER, "token")


def _sighting(content: str, institution: str, occurred: int, token: str = "t", since: int = NOW - DAY) -> tuple[Arg, ...]:
    return of_suspect(token, content, institution, occurred, since, NOW - 7 * DAY, LATER, NOW)


def _beside(content: str, primary: str, occurred: int = NOW, since: int = NOW - DAY) -> tuple[Arg, ...]:
    return _sighting(sighting(content, primary), f"bank-00{content[-1]}", occurred, since=since)


async def test_primary_subjects_beside_which_one_was_seen_are_counted_once_each(found: Found) -> None:
    for n in range(6):
        await _seen(found, *_beside(f"a{n}", f"prim{n}"))
        await _seen(found, *_beside(f"b{n}", f"prim{n}"))
    assert (await _call(found, "observe", 1, *_beside("b1", "prim1")))[3] == 6
    assert (await _call(found, "observe", 1, *_sighting("own", "bank-001", NOW)))[3] == 6, "of itself there is none"
    assert await _seen(found, *_sighting("own", "bank-001", NOW)) == [13, 6, 0]


async def test_a_primary_subject_counts_while_its_newest_sighting_is_in_the_window(found: Found) -> None:
    for n in range(6):
        await _seen(found, *_beside(f"a{n}", f"prim{n}", NOW - 2 * DAY))
    await _seen(found, *_beside("b3", "prim3"))
    assert (await _call(found, "observe", 1, *_beside("b3", "prim3")))[3] == 1
    assert (await _call(found, "observe", 1, *_beside("b3", "prim3", since=NOW - 3 * DAY)))[3] == 6


@pytest.mark.parametrize("by_the_log", [False, True])
async def test_what_was_taken_back_was_seen_beside_nothing(found: Found, by_the_log: bool) -> None:
    async def taken_back(content: str, primary: str) -> None:
        who = f"bank-00{content[-1]}"
        if by_the_log:
            await _fold(found, unsee(key_at(1, "s:t"), content, who, primary))
        else:
            await _call(found, "withdraw", 1, "u", "t", drawer_of("t"), content, who, primary)

    for n in range(6):
        await _seen(found, *_beside(f"a{n}", f"prim{n}"))
    await _seen(found, *_beside("b0", "prim0", NOW - 2 * DAY))
    wide = _beside("b0", "prim0", NOW - 2 * DAY, since=NOW - 3 * DAY)
    await taken_back("a1", "prim1")
    assert (await _call(found, "observe", 1, *wide))[:4] == [6, 5, 0, 5]
    await taken_back("a0", "prim0")
    await taken_back("a0", "prim0")
    assert (await _call(found, "observe", 1, *wide))[:4] == [5, 5, 0, 5], "seen beside it two days ago, too"
    assert (await _call(found, "observe", 1, *_beside("a2", "prim2")))[:4] == [4, 4, 0, 4]


async def test_a_suspect_tells_its_queues_when_it_is_asked_for_them(found: Found) -> None:
    await _fold(found, enter(key_at(1, "k:t"), "queue-b", LATER))
    asked = of_suspect("t", "c1", "bank-001", NOW, NOW - DAY, NOW - 7 * DAY, LATER, NOW, queues=True)
    assert (await _call(found, "observe", 1, *asked))[4] == [b"queue-b"]
    assert (await _call(found, "observe", 1, *_sighting("c1", "bank-001", NOW)))[4] == []


async def test_a_content_is_claimed_by_a_signal_and_tells_the_queues_of_its_subject(found: Found) -> None:
    assert await _call(found, "observe", 1, *_content("sig-1")) == [b"", []]
    await _fold(found, *(enter(key_at(1, "k:token"), queue, LATER) for queue in ("queue-b", "queue-a", "queue-b")))
    holder, queues = await _call(found, "observe", 1, *_content("sig-2"))
    assert (holder, sorted(queues)) == (b"sig-1", [b"queue-a", b"queue-b"])


async def test_a_sighting_counts_once_however_often_it_is_seen(found: Found) -> None:
    for _ in range(3):
        assert await _seen(found, *_sighting("c1", "bank-001", NOW)) == [1, 1, 0]
    assert await _seen(found, *_sighting("c2", "bank-001", NOW)) == [2, 1, 0]
    assert await _seen(found, *_sighting("c1", "bank-001", NOW)) == [2, 1, 0]


async def test_each_institution_counts_once_by_its_latest_sighting(found: Found) -> None:
    await _seen(found, *_sighting("c1", "bank-001", NOW))
    await _seen(found, *_sighting("c2", "bank-001", NOW - 3 * DAY))
    assert await _seen(found, *_sighting("c3", "bank-002", NOW)) == [2, 2, 0]
    late = _sighting("c4", "bank-003", NOW - 2 * DAY, since=NOW - 4 * DAY)
    assert await _seen(found, *late) == [4, 3, 0]


async def test_what_happened_before_the_window_is_not_counted(found: Found) -> None:
    await _seen(found, *_sighting("old", "bank-001", NOW - DAY))
    assert await _seen(found, *_sighting("new", "bank-002", NOW, since=NOW - DAY)) == [1, 1, 0]


async def test_the_sightings_of_the_log_are_the_sightings_that_were_observed(found: Found) -> None:
    await _seen(found, *_sighting("c1", "bank-001", NOW))
    await _fold(found, see(key_at(1, "s:t"), "c1", "bank-001", NOW, LATER), see(key_at(1, "s:t"), "c2", "bank-002", NOW, LATER))
    assert await _seen(found, *_sighting("c2", "bank-002", NOW)) == [2, 2, 0]


async def test_sightings_end_together_at_the_longest_time_of_any(found: Found) -> None:
    await _fold(found, see(key_at(1, "s:t"), "c1", "bank-001", NOW, LATER), see(key_at(1, "s:t"), "c2", "bank-002", NOW, NOW - 1))
    assert await _seen(found, *_sighting("c3", "bank-001", NOW)) == [3, 2, 0]
    await _fold(found, see(key_at(1, "s:gone"), "c1", "bank-001", NOW, NOW - DAY))
    assert await _seen(found, *_sighting("c3", "bank-001", NOW, token="gone")) == [1, 1, 0]


async def test_a_subject_seen_very_often_forgets_what_no_window_can_reach(found: Found) -> None:
    for n in range(63):
        await _seen(found, *_sighting(f"old-{n}", "bank-001", NOW - 8 * DAY, since=NOW - 9 * DAY))
    assert await _seen(found, *_sighting("new", "bank-002", NOW, since=NOW - 9 * DAY)) == [1, 1, 0]


async def test_an_echo_reads_the_sightings_and_is_none(found: Found) -> None:
    assert await _seen(found, *_sighting("", "bank-001", NOW)) == [0, 0, 0]
    await _seen(found, *_sighting("c1", "bank-001", NOW))
    assert await _seen(found, *_sighting("", "bank-002", NOW)) == [1, 1, 0]
    assert await _seen(found, *_sighting("c1", "bank-001", NOW)) == [1, 1, 0]


async def test_a_confirmed_case_counts_until_its_time_or_until_it_is_taken_back(found: Found) -> None:
    await _fold(found, keep(key_at(1, "d:t"), LATER, "case-1", LATER), keep(key_at(1, "d:t"), NOW - 1, "case-2", LATER))
    assert await _seen(found, *_sighting("c1", "bank-001", NOW)) == [1, 1, 1]
    await _fold(found, keep(key_at(1, "d:t"), LATER - 1, "case-1", LATER))
    assert await found.ranked(1, "d:t") == {"case-1": LATER, "case-2": NOW - 1}, "an older verdict changes nothing"
    await _fold(found, unrank(key_at(1, "d:t"), "case-1"))
    assert await _seen(found, *_sighting("c1", "bank-001", NOW)) == [1, 1, 0]


def _mark(
    member: str, at: int, wanted: str, *, before: int = NOW - DAY, span: tuple[int, int] = (NOW - DAY, NOW)
) -> tuple[Arg, ...]:
    return "v", "t", drawer_of("t"), member, at, before, wanted, *span, 32, LATER


async def test_a_payment_after_a_call_of_the_same_victim_is_found_whichever_comes_first(found: Found) -> None:
    assert await _call(found, "observe", 1, *_mark("c1", NOW - 60_000, "p", span=(NOW - 60_000, NOW + DAY))) == [0, -1]
    assert await _call(found, "observe", 1, *_mark("p1", NOW, "c")) == [0, 60_000]
    assert await _call(found, "observe", 1, *_mark("c2", NOW - 90_000, "p", span=(NOW - 90_000, NOW + DAY))) == [0, 90_000]
    assert await _call(found, "observe", 1, *_mark("o1", NOW, "", before=NOW)) == [4, -1]
    assert await _call(found, "observe", 1, *_mark("", NOW, "c", before=NOW)) == [4, 60_000], "an echo only reads"
    await _fold(found, keep(key_at(1, "v:t"), NOW, "p1", LATER, 32), keep(key_at(1, "v:t"), NOW, "p2", LATER, 32))
    assert await _call(found, "observe", 1, *_mark("", NOW, "", before=NOW)) == [5, -1]


def _flow(way: str, other: str, at: int, amount: int, content: str, who: str = "bank-001", span: int = DAY) -> tuple[Arg, ...]:
    low, high = (amount, amount * 1000 // 950) if way == "o" else (-(-amount * 950 // 1000), amount)
    member = f"{way}{other:_<11}{who:_<8}{content:_<11}{amount}CNY" if content else ""
    return "f", "t", way, f"{other:_<11}", at, span, span, low, high, "CNY", member, 64, LATER


async def test_transfers_of_one_reporter_between_the_same_two_ends_are_a_repeated_pair(found: Found) -> None:
    for _ in range(2):
        assert await _call(found, "observe", 1, *_flow("o", "b", NOW, 500, "c1")) == [1, 1, -1]
    assert await _call(found, "observe", 1, *_flow("o", "b", NOW + 1, 500, "c2", "bank-002")) == [1, 1, -1]
    assert await _call(found, "observe", 1, *_flow("o", "b", NOW + 2, 500, "c3")) == [2, 1, -1]
    assert await _call(found, "observe", 1, *_flow("o", "d", NOW + 3, 500, "c4")) == [1, 2, -1]
    assert await _call(found, "observe", 1, *_flow("o", "b", NOW + DAY, 500, "c5")) == [2, 2, -1], "a day is over"
    assert await _call(found, "observe", 1, *_flow("o", "b", NOW + 3 * DAY, 500, "c6")) == [1, 1, -1]


async def test_nearly_the_same_money_that_goes_on_is_held_for_so_long(found: Found) -> None:
    await _call(found, "observe", 1, *_flow("i", "a", NOW, 1000, "c1"))
    assert await _call(found, "observe", 1, *_flow("o", "b", NOW + 9000, 950, "c2")) == [1, 1, 9000]
    assert await _call(found, "observe", 1, *_flow("o", "b", NOW + 9000, 949, "c3")) == [2, 1, -1], "too little"
    assert await _call(found, "observe", 1, *_flow("o", "b", NOW + 9000, 1001, "c4")) == [3, 1, -1], "more than came in"
    assert await _call(found, "observe", 1, *_flow("o", "a", NOW + 9000, 1000, "c5")) == [1, 2, -1], "back to its payer"
    assert await _call(found, "observe", 1, *_flow("o", "b", NOW - 1, 1000, "c6")) == [4, 2, -1], "before it came in"
    assert await _call(found, "observe", 1, *_flow("i", "e", NOW + 5000, 1000, "c7")) == [1, 2, 4000], "told late, still found"


async def test_of_a_bounded_set_the_newest_stay_in_whatever_order_they_come(found: Found) -> None:
    for at in (5, 1, 4, 2, 3, 1, 5):
        await _fold(found, keep(key_at(1, "f:t"), at, f"m{at}", LATER, 3))
    assert await found.ranked(1, "f:t") == {"m3": 3, "m4": 4, "m5": 5}


# cases


async def test_only_a_newer_revision_replaces_a_case(found: Found) -> None:
    bucket = bucket_of("case-1")
    for revision, value in ((2, b"two"), (1, b"one"), (2, b"other"), (3, "三".encode())):
        await _fold(found, put_case(key_at(bucket, "k:case-1"), revision, value))
        wanted = {1: b"two", 2: b"two", 3: "三".encode()}[revision]
        assert await found.store.cases(STAMP, ["case-1"]) == [wanted]


async def test_a_case_stands_in_one_set_at_a_time_and_only_its_present_revision_moves_it(found: Found) -> None:
    bucket = bucket_of("case-1")

    async def moved(revision: int, where: str, since: int) -> list[dict[str, int]]:
        await _fold(found, stand(key_at(bucket, "k:case-1"), revision, b"x", where, since, b"case-1"))
        return [await found.ranked(bucket, key) for key in ("w:open:high:q", "w:claimed:high:q")]

    assert await moved(1, "w:open:high:q", NOW) == [{"case-1": NOW}, {}]
    assert await moved(2, "w:open:high:q", NOW + 5) == [{"case-1": NOW}, {}], "where it stands it keeps its time"
    assert await moved(3, "w:claimed:high:q", NOW + 6) == [{}, {"case-1": NOW + 6}]
    assert await moved(2, "w:open:high:q", NOW + 7) == [{}, {"case-1": NOW + 6}], "an older revision moves nothing"
    assert await moved(4, "", NOW + 8) == [{}, {}]
    assert await moved(4, "", NOW + 8) == [{}, {}]
    assert await moved(5, "w:open:high:q", NOW + 9) == [{"case-1": NOW + 9}, {}]
    assert await found.store.cases(STAMP, ["case-1"]) == [b"x"]


async def test_cases_are_answered_in_order_and_a_missing_one_is_none(found: Found) -> None:
    await _fold(found, put_case(key_at(bucket_of("case-b"), "k:case-b"), 1, b"b"))
    assert await found.store.cases(STAMP, ["case-a", "case-b", "case-b"]) == [None, b"b", b"b"]
    assert await found.store.cases(STAMP, []) == []


async def test_a_sorted_set_is_answered_with_its_scores_and_none_is_empty(found: Found) -> None:
    await _fold(
        found,
        rank(key_at(3, "u:one"), 2, b"\x00case-1"),
        rank(key_at(3, "u:one"), 1, b"case-2"),
        rank(key_at(3, "u:one"), 1, b"\x00case-1"),
    )
    await _fold(found, rank(key_at(3, "u:two"), 1, b"case-1"), unrank(key_at(3, "u:two"), b"case-1"))
    asked = [key_at(3, "u:one"), key_at(3, "u:two"), key_at(5, "u:one")]
    assert await found.store.scores(STAMP, asked) == [{b"\x00case-1": 1, b"case-2": 1}, {}, {}]
    assert await found.store.scores(STAMP, []) == []


# scorecards


async def test_what_a_day_adds_its_month_and_year_have_too_and_a_cell_at_zero_is_gone(found: Found) -> None:
    ends = (LATER, LATER + DAY, LATER + 2 * DAY)

    async def cells(period: str) -> dict[str, bytes]:
        return await found.texts(2, f"z:i:{period}:bank-1")

    await _fold(found, tally(key_at(2, "z:i:2026-03-02:bank-1"), ends, ("reports", 2), ("time_report:017", 1)))
    await _fold(found, tally(key_at(2, "z:i:2026-03-09:bank-1"), ends, ("reports", 3), ("stopped_minor", 1 << 60)))
    assert await cells("2026-03-02") == {"reports": b"2", "time_report:017": b"1"}
    assert await cells("2026-03") == await cells("2026")
    assert await cells("2026") == {"reports": b"5", "time_report:017": b"1", "stopped_minor": b"%d" % (1 << 60)}
    await _fold(found, tally(key_at(2, "z:i:2026-03-02:bank-1"), ends, ("time_report:017", -1), ("reports", -2)))
    assert await cells("2026-03-02") == {}
    assert await cells("2026-03") == {"reports": b"3", "stopped_minor": b"%d" % (1 << 60)}


async def test_cells_end_at_their_time_each_period_at_its_own(found: Found) -> None:
    await _fold(found, tally(key_at(2, "z:u:2026-03-02:q:1"), (NOW - 1, NOW - 1, LATER), ("cases", 1)))
    assert await found.texts(2, "z:u:2026-03-02:q:1") == await found.texts(2, "z:u:2026-03:q:1") == {}
    assert await found.texts(2, "z:u:2026:q:1") == {"cases": b"1"}


# marks and stamps


async def test_marks_start_empty_and_are_set_in_the_buckets_that_are_written(found: Found) -> None:
    assert await found.store.marks() == [{}] * BUCKETS
    write = Write(marks_by_name({"s0": 0}), marks_by_name({"s0": 5, "f0": 4}))
    await found.store.call("fold", STAMP, {0: write, 15: write})
    marks = await found.store.marks()
    assert marks[0] == marks[15] == marks_by_name({"s0": 5, "f0": 4})
    assert marks[1:15] == [{}] * 14


async def test_proofs_and_stamps_are_no_marks(found: Found) -> None:
    await _call(found, "claim", 0, sets={"n0": "a1b2c3", "s0": 1})
    assert (await found.store.marks())[0] == marks_by_name({"s0": 1})
    await _call(found, "fold", 0, checks={"n0": "a1b2c3"})
    with pytest.raises(LostState):
        await _call(found, "fold", 0, checks={"n0": "another"})


async def test_a_mark_may_stand_anywhere_in_a_range(found: Found) -> None:
    await _call(found, "fold", 0, sets={"s0": 5})
    for low, high in ((5, 5), (0, 5), (5, 9), (1, 1 << 52)):
        await _call(found, "fold", 0, checks={"s0": (low, high)})
    for low, high in ((0, 4), (6, 9)):
        with pytest.raises(MarkMoved):
            await _call(found, "fold", 0, checks={"s0": (low, high)})
    await _call(found, "fold", 0, checks={"s1": (0, 3)})


@pytest.mark.parametrize("script", ["claim", "withdraw", "observe", "fold"])
async def test_a_wrong_mark_is_a_moved_state_and_nothing_is_touched(found: Found, script: str) -> None:
    args: dict[str, tuple[Arg, ...]] = {
        "claim": ("sig-1", drawer_of("sig-1"), 1, "0:0 x", LATER),
        "withdraw": ("f", "sig-1", drawer_of("sig-1"), 9, LATER, 0),
        "observe": _sighting("c1", "bank-001", NOW),
        "fold": put_case(key_at(0, "k:case"), 1, b"x").args,
    }
    await _call(found, "fold", 0, sets={"s0": 5})
    for checks in ({"s0": 4}, {"s0": 6}, {"s0": 5, "s1": 1}, {"s1": 1, "s0": 5}):
        with pytest.raises(MarkMoved, match="STALE"):
            await _call(found, script, 0, *args[script], checks=checks, sets={"s0": 9, "s1": 9})
    await _untouched(found)
    assert (await found.store.marks())[0] == marks_by_name({"s0": 5})


@pytest.mark.parametrize("script", ["claim", "withdraw", "observe", "fold"])
async def test_a_wrong_stamp_is_a_lost_state_and_nothing_is_touched(found: Found, script: str) -> None:
    args = ("sig-1", drawer_of("sig-1"), 1, "0:0 x", LATER) if script == "claim" else ()
    write = Write({}, marks_by_name({"s0": 9}), args)
    for stamp in ("cluster|topic=1:2#other", "", STAMP + "x"):
        with pytest.raises(LostState) as error:
            await found.store.call(script, stamp, dict.fromkeys(range(BUCKETS), write))
        assert not isinstance(error.value, MarkMoved)
        with pytest.raises(LostState):
            await found.store.cases(stamp, ["case-1"])
        with pytest.raises(LostState):
            await found.store.scores(stamp, [key_at(3, "u:one")])
    await _untouched(found)
    assert await found.store.marks() == [{}] * BUCKETS


async def _untouched(found: Found) -> None:
    assert await _claim(found, 0, "0:0 x") == [b"", 0, []]
    assert await _seen(found, *_sighting("c2", "bank-002", NOW), bucket=0) == [1, 1, 0]
    assert await found.store.cases(STAMP, ["case"]) == [None]


async def test_one_bucket_that_moved_does_not_hide_behind_the_others(found: Found) -> None:
    await _call(found, "fold", 7, sets={"s0": 5})
    with pytest.raises(LostState):
        await found.store.call(
            "fold", STAMP, {b: Write(marks_by_name({"s0": 0}), marks_by_name({"s0": 1})) for b in range(BUCKETS)}
        )
    assert (await found.store.marks())[7] == marks_by_name({"s0": 5})


async def test_an_emptied_store_is_noticed_by_every_call(found: Found) -> None:
    await found.flush()
    assert await found.store.stamps() == [None] * BUCKETS
    for script in ("claim", "withdraw", "observe", "fold"):
        with pytest.raises(LostState):
            await _call(found, script, 4)
    with pytest.raises(LostState):
        await found.store.cases(STAMP, ["case-1"])
    with pytest.raises(LostState):
        await found.store.scores(STAMP, [key_at(3, "u:one")])


async def test_a_stamp_is_set_in_every_bucket_and_seen_by_everybody(found: Found) -> None:
    other = await found.again()
    assert await other.stamps() == [STAMP] * BUCKETS
    await other.set_stamp("another")
    with pytest.raises(LostState):
        await _call(found, "fold", 0)
    assert await found.store.stamps() == ["another"] * BUCKETS


async def test_no_call_at_all_asks_nothing(found: Found) -> None:
    assert await found.store.call("claim", "any stamp", {}) == {}


# the lock and the connection


async def test_the_restore_lock_is_held_by_one_at_a_time(found: Found) -> None:
    other, order = await found.again(), []

    async def hold(store: Store, name: str) -> None:
        async with store.lock():
            order.append(f"{name} in")
            await asyncio.sleep(0.15)
            order.append(f"{name} out")

    await asyncio.gather(hold(found.store, "a"), hold(other, "b"))
    assert order in (["a in", "a out", "b in", "b out"], ["b in", "b out", "a in", "a out"])


async def test_a_lock_of_before_the_clock_was_set_back_keeps_nobody_out(found: Found) -> None:
    """Whoever held it was killed while Redis ran three hours ahead: it would stand for three hours more."""
    await found.lock_for(3 * 3_600_000)
    async with asyncio.timeout(2), found.store.lock():
        pass


async def test_the_lock_is_free_after_an_error_inside(found: Found) -> None:
    with pytest.raises(KeyError):
        async with found.store.lock():
            raise KeyError("inside")
    async with asyncio.timeout(2), (await found.again()).lock():
        pass


async def test_a_broken_connection_never_comes_back_silently(found: Found) -> None:
    await _call(found, "fold", 0, sets={"s0": 1})
    await found.cut()
    for _ in range(4):
        with pytest.raises((LostState, RedisConnectionError)):
            await _call(found, "fold", 0, checks={"s0": 1})
        with pytest.raises((LostState, RedisConnectionError)):
            await found.store.marks()
    assert (await (await found.again()).marks())[0] == marks_by_name({"s0": 1})


async def test_a_cleared_store_has_nothing_left_and_takes_the_first_claim_again(found: Found) -> None:
    await _fold(found, claim(key_at(3, "r:sig-1"), "0:1", LATER), claim(key_at(11, "c:one"), "sig-1", LATER))
    await found.store.clear()
    assert await found.store.stamps() == [None] * BUCKETS
    assert await found.store.marks() == [{}] * BUCKETS
    await found.store.set_stamp(STAMP)
    assert await _claim(found, 3, "0:2") == [b"", 0, []]


async def test_clearing_ends_whoever_works_with_it(found: Found) -> None:
    other = await found.again()
    await found.store.clear()
    with pytest.raises(LostState):
        await other.call("fold", STAMP, {0: Write({}, marks_by_name({"s0": 1}))})


@pytest.mark.parametrize("count", [1, 8, 9, 30])
async def test_an_index_holds_each_member_once_with_its_longest_time_few_or_many(found: Found, count: int) -> None:
    wanted = {f"member-{n}" * (1 + n % 3): LATER + n for n in range(count)}
    rows = [*wanted.items(), *((name, ends - 50) for name, ends in wanted.items())]
    Random(count).shuffle(rows)
    for name, ends in rows:
        await _fold(found, link(key_at(2, "t:k1.token"), name.encode(), ends))
    assert await found.ranked(2, "t:k1.token") == wanted


async def test_a_value_in_a_drawer_ends_at_its_own_time_whatever_its_neighbours_do(found: Found, url: str | None) -> None:
    """Sixty-four names and more in one drawer: those past their end are swept, and are gone before."""
    names = [name for n in range(40_000) if drawer(ASSESS, 1, "r", name := f"sig-{n}") == drawer(ASSESS, 1, "r", "sig-0")][:34]
    assert len(names) == 34
    for name in names[:-1]:
        await _fold(found, claim(key_at(1, f"r:{name}"), "old", NOW - 5))
    await _fold(found, claim(key_at(1, f"r:{names[-1]}"), "kept", LATER))
    answers = await _call(found, "claim", 1, *(part for name in names for part in (name, drawer_of(name), 1, "new", LATER)))
    assert answers[0::3] == [*[b""] * 33, b"kept"]


# due moments


def _settled(case: str, revision: int, *at_ms: int) -> Effect:
    """All in bucket 0, whatever the case."""
    moments = [Moment(at, "warn", 1, DeadlineStep.DUE) for at in sorted(at_ms)]
    return settled(case, revision, moments)._replace(bucket=0)


async def _ripe(found: Found, until: int, behind: bytes = b"", most: int = 1000) -> tuple[int, list[Indexed]]:
    count, *rows = await _call(found, "ripe", 0, behind, until, most)
    return count, list(map(indexed, rows[::2], rows[1::2]))


def _case(number: int) -> str:
    return f"case-{number * 7919 % 2**90:024x}"


async def test_what_is_due_comes_in_the_order_of_its_time_and_nothing_that_is_not_due(found: Found) -> None:
    for number in range(9):
        await _fold(found, _settled(_case(number), 1, 1000 + number * 7 % 9))
    count, due = await _ripe(found, 1004)
    assert count == 9
    assert [one.moments[0].at_ms for one in due] == [1000, 1001, 1002, 1003, 1004]
    assert await _ripe(found, 999) == (9, [])


async def test_only_a_newer_revision_changes_a_case_s_moments(found: Found) -> None:
    await _fold(found, _settled("case-1", 2, 2000, 5000), _settled("case-1", 1, 1000), _settled("case-1", 2, 1000))
    count, (case,) = await _ripe(found, 9000)
    assert (count, [one.at_ms for one in case.moments]) == (2, [2000, 5000])
    await _fold(found, _settled("case-1", 3, 5000))
    count, (case,) = await _ripe(found, 9000)
    assert (count, case.member[:6], [one.at_ms for one in case.moments]) == (1, (5000).to_bytes(6, "big"), [5000])
    await _fold(found, _settled("case-1", 3), _settled("case-1", 4))
    assert await _ripe(found, 9000) == (0, [])


async def test_a_look_goes_on_behind_a_place_that_may_be_gone(found: Found) -> None:
    for number in range(300):
        await _fold(found, _settled(_case(number), 1, 1000 + number))
    seen, behind = [], b""
    while True:
        _, part = await _ripe(found, 1249, behind, 40)
        seen += [one.case_id for one in part]
        if len(part) < 40:
            break
        behind = part[-1].member
        await _fold(found, *(_settled(one.case_id, 2) for one in part))
    assert seen == [_case(number) for number in range(250)]
    assert (await _ripe(found, 1999))[0] == 300 - 240


@pytest.mark.parametrize("spread", [1, 40, 10**6])
async def test_many_cases_that_come_and_go_in_any_order_are_all_there_and_in_order(found: Found, spread: int) -> None:
    """Enough that the order is cut into parts, and parts are left empty; many at one and the same time, too."""
    rng, held, revision = Random(spread), {}, 0
    for _ in range(12):
        effects = []
        for number in rng.sample(range(900), 300):
            revision += 1
            at = rng.randrange(spread) if rng.random() < 0.6 else None
            effects.append(_settled(_case(number), revision, *([] if at is None else [at])))
            held.pop(_case(number), None)
            held |= {} if at is None else {_case(number): at}
        await found.store.call("fold", STAMP, {0: Write({}, {}, [arg for effect in effects for arg in effect.args])})
        count, due = await _ripe(found, spread // 2, most=2000)
        assert count == len(held)
        wanted = sorted((at.to_bytes(6, "big") + brief(case), case) for case, at in held.items() if at <= spread // 2)
        assert [(one.member, one.case_id) for one in due] == wanted


async def test_a_look_at_a_lost_state_fails(found: Found) -> None:
    await found.flush()
    with pytest.raises(LostState):
        await _ripe(found, 1)
