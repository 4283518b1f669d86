"""What lies in a drawer while it is the only one (an indicator's sighting, what befell a victim) is what the plain set in memory
has, whatever comes in whatever order."""

from __future__ import annotations

import secrets
import time
from random import Random
from typing import Any

import pytest

from stream_processors.agents.feature_queries import of_suspect
from stream_processors.recovery import rebuild
from stream_processors.runtime.policy_file import PolicyFile
from stream_processors.runtime.settings import SHIPPED_POLICY
from stream_processors.state.effects import Arg, bury, claim, keep, see, sighting, take, unsee
from stream_processors.state.keys import NAMESPACES, Namespace
from stream_processors.state.shared_hashes import drawer, drawer_of, lone_rows, only, taken
from stream_processors.state.store import RedisStore, Write, connect
from tests.support.clock import Clock
from tests.support.keys import key_at
from tests.support.memory_store import MemoryRedis, MemoryStore

pytestmark = pytest.mark.integration

STAMP, BUCKET = "log|folds=7#1", 5
NOW = int(time.time() * 1000)
DAY = 86_400_000
TOKENS = ("k1.one", "k1.two")


Step = tuple[str, tuple[Arg, ...]]
"""A script and what it is told."""


def seen(rnd: Random) -> Step:
    """Some give a content at another time than before; each content is seen beside the same thing, or beside nothing."""
    token, content, who = rnd.choice(TOKENS), f"c{rnd.randrange(6)}", f"bank-{rnd.randrange(3)}"
    beside = rnd.choice(("", "prim1", "prim2", "prim3", "prim4", "prim5"))
    named = sighting(content, beside)
    occurred = NOW - rnd.choice((1, 1, 1, 2)) * (int(content[1:]) % 4) * DAY
    until = occurred + rnd.choice((7, 8)) * DAY
    match rnd.randrange(6):
        case 0:
            return "fold", see(key_at(BUCKET, f"s:{token}"), named, who, occurred, until).args
        case 1:
            return "fold", unsee(key_at(BUCKET, f"s:{token}"), content, who, beside).args
        case 2:
            return "withdraw", ("u", token, drawer_of(token), content, who, beside)
        case 3:
            return "observe", of_suspect(token, "", who, occurred, occurred - DAY, NOW - 7 * DAY, until, NOW)
        case _:
            return "observe", of_suspect(token, named, who, occurred, occurred - DAY, NOW - 7 * DAY, until, NOW)


def mark(rnd: Random) -> Step:
    token, member, at = rnd.choice(TOKENS), rnd.choice("cp") + str(rnd.randrange(3)), NOW - rnd.randrange(4) * DAY
    until, most = at + rnd.choice((7, 8)) * DAY, 2
    match rnd.randrange(6):
        case 0:
            return "fold", keep(key_at(BUCKET, f"v:{token}"), at, member, until, most).args
        case 1:
            return "fold", bury(key_at(BUCKET, f"v:{token}"), member, until).args
        case 2:
            return "withdraw", ("x", f"v:{token}", drawer_of(token), member, rnd.choice((0, until)))
        case 3:
            member = ""
    span = (at - rnd.randrange(3) * DAY, at)
    return "observe", ("v", token, drawer_of(token), member, at, at - DAY, rnd.choice(("c", "p", "")), *span, most, until)


def sighted(value: bytes) -> dict[bytes, int]:
    return {member.encode(): score for member, score in lone_rows(value)}


@pytest.mark.parametrize("seed", range(40))
async def test_each_answer_and_what_stands_in_the_end_are_those_of_a_plain_set(backbone: Any, seed: int) -> None:
    rnd, namespace = Random(seed), Namespace(f"si{secrets.token_hex(3)}-")
    redis, server = connect(backbone.redis_url), MemoryRedis(Clock(NOW))
    store, plain = RedisStore(redis, namespace), MemoryStore(server, namespace)
    await store.open()
    try:
        for one in (store, plain):
            await one.set_stamp(STAMP)
        for _ in range(rnd.randrange(1, 60)):
            script, args = rnd.choice((seen, mark))(rnd)
            answers = [await one.call(script, STAMP, {BUCKET: Write({}, {}, args)}) for one in (store, plain)]
            assert answers[0] == answers[1], (seed, script, args)
        for concern, token in ((concern, token) for concern in "sv" for token in TOKENS):
            kept = {name.encode(): score for name, score in server.buckets[BUCKET].values.get(f"{concern}:{token}", {}).items()}
            many = dict(await redis.zrange(namespace.key(BUCKET, concern, token), 0, -1, withscores=True))
            entry = await redis.hget(drawer(namespace, BUCKET, concern, token), token)
            assert not (many and entry), "it lies in one place"
            if entry is not None and (value := taken(entry, NOW)) is not None:
                many = sighted(value) if concern == "s" else {(found := only(value))[1].encode(): found[0]}
            assert many == kept, (seed, concern)
    finally:
        await store.clear()
        await redis.aclose()


async def test_two_states_are_compared_by_names_that_people_know(backbone: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that lie short in drawers, and the texts of values that hold such names."""
    signal, content = "sig-Jt3gKvaDTeLIf1nLzLiD7Q", "yo35cABu6zMpRRWom6-9sw"
    namespace = Namespace(f"sn{secrets.token_hex(3)}-")
    monkeypatch.setitem(NAMESPACES, "assess", namespace)
    monkeypatch.setattr(rebuild.keys, "ASSESS", namespace)
    redis = connect(backbone.redis_url)
    store = RedisStore(redis, namespace)
    await store.open()
    try:
        await store.set_stamp(STAMP)
        effects = (
            claim(key_at(BUCKET, f"r:{signal}"), "3:7 body", NOW + DAY),
            take(key_at(BUCKET, f"c:{content}"), f"{signal}/2", NOW + DAY),
            see(key_at(BUCKET, "s:k1.one"), content, "bank-1", NOW, NOW + DAY),
            keep(key_at(BUCKET, "v:k1.two"), NOW, "pone", NOW + DAY),
        )
        for effect in effects:
            await store.call("fold", STAMP, {BUCKET: Write({}, {}, effect.args)})
        policy = PolicyFile(SHIPPED_POLICY).now
        found = await rebuild.snapshot(backbone.redis_url, "assess", NOW, policy)
        rows = {key.partition("}")[2]: text for key, text in found.items() if not key.endswith("}m")}
        assert rows == {
            f"r={drawer_of(signal)} {signal}": "3:7 body",
            f"c={drawer_of(content)} {content}": f"{signal}/2",
            "s:k1.one": f"ibank-1={float(-NOW)!r}\nsbank-1|{content}={float(NOW)!r}",
            "v:k1.two": f"pone={float(NOW)!r}",
        }
    finally:
        await store.clear()
        await redis.aclose()
