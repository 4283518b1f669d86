"""Rebuilds the state from the log in an empty Redis, and makes two states comparable.

Invariant: the digest of a state that survived kills equals the digest of one rebuilt from the log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import orjson
from redis.asyncio import Redis

from schemas.common import DAY_MS
from schemas.policy import Policy
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.settings import Settings
from stream_processors.state import deadline_index as dues
from stream_processors.state.compression import unpack
from stream_processors.state.keys import ASSESS, namespace_of
from stream_processors.state.marks import OF_FACTS
from stream_processors.state.restore import Tell, restore
from stream_processors.state.shared_hashes import FAR, HEAD, case_entry, linked, lone, lone_rows, named, only, taken
from stream_processors.state.store import RedisStore, connect, read_marks
from stream_processors.topology import all_stages
from stream_processors.views.inbox import KEPT_MS, ends_of

_SLACK_MS = 3_600_000


async def rebuild(
    settings: Settings, redis_url: str, stages: Iterable[str] | None = None, told: Tell = lambda line: None
) -> dict[str, int]:
    """Passes each stage's restore barrier against `redis_url`, by default of all stages; returns projected facts by stage."""
    stages_by_name = all_stages(settings.raw_institutions)
    log = KafkaLog(settings, "liandong-rebuild")
    await log.open()
    redis = connect(redis_url)
    try:
        folded = {}
        for name in stages_by_name if stages is None else stages:
            store = RedisStore(redis, stages_by_name[name].namespace)
            await store.open()
            folded[name] = (await restore(stages_by_name[name], log, store, told)).folded
        return folded
    finally:
        await redis.aclose()
        await log.close()


async def snapshot(redis_url: str, stage: str, at_ms: int, policy: Policy) -> dict[str, str]:
    """Key -> canonical text of everything that counts at `at_ms`: no stamps, no proofs, no expired members."""
    redis = Redis.from_url(redis_url, protocol=2)
    tag = namespace_of(stage).tag
    keep, soonest = policy.retention, at_ms + _SLACK_MS
    counting = _Counting(soonest - keep.sightings_days * DAY_MS, soonest - keep.victims_days * DAY_MS, soonest)
    texts: dict[str, str] = {}
    try:
        keys = [key async for key in redis.scan_iter(match=f"{{{tag}*", count=5000)]
        for start in range(0, len(keys), 2000):
            some = keys[start : start + 2000]
            pipe = redis.pipeline(transaction=False)
            for key in some:
                pipe.type(key)
            kinds = await pipe.execute()
            for key, kind in zip(some, kinds, strict=True):
                _READ[kind.decode()](pipe, key) if kind != b"none" else pipe.type(key)
            for key, kind, value in zip(some, kinds, await pipe.execute(), strict=True):
                if own := dues.READ.get((tag, key.partition(b"}")[2][:1])):
                    value_texts = own(key, value)
                elif b"=" in key.partition(b"}")[2][:2]:
                    value_texts = _drawer(key.decode(), value, counting)
                else:
                    value_texts = {key.decode(): _text(key.decode(), kind.decode(), value, counting)}
                # A name that stands twice is a difference: a rebuilt state has it once.
                texts |= {f"{name} twice" if name in texts else name: text for name, text in value_texts.items() if text}
        return texts
    finally:
        await redis.aclose()


def digest_of(texts: dict[str, str]) -> str:
    """One SHA-256 over a snapshot."""
    total = hashlib.sha256()
    for key in sorted(texts):
        total.update(f"{key}\x1f{texts[key]}\x1e".encode())
    return total.hexdigest()


async def digest(redis_url: str, stage: str, at_ms: int, policy: Policy) -> str:
    return digest_of(await snapshot(redis_url, stage, at_ms, policy))


_READ: dict[str, Any] = {
    "string": lambda pipe, key: pipe.get(key),
    "set": lambda pipe, key: pipe.smembers(key),
    "zset": lambda pipe, key: pipe.zrange(key, 0, -1, withscores=True),
    "hash": lambda pipe, key: pipe.hgetall(key),
}


class _Counting(NamedTuple):
    """Members from before `since` (of victims: `victims_since`), and those that expire by `until`, may be absent or present."""

    since: int
    victims_since: int
    until: int


def _text(key: str, kind: str, value: Any, counting: _Counting) -> str:
    concern = key.partition("}")[2]
    timed = concern if kind == "zset" else ""
    if concern == "lock" or value is None or kind == "none":
        return ""
    if concern == "m":
        marks = read_marks({name.decode(): number for name, number in value.items()})
        return _sorted((mark.encode(), number) for mark, number in marks.items() if mark.kind in OF_FACTS)
    if timed[:2] in ("s:", "f:"):
        value = [(member, score) for member, score in value if abs(score) % FAR > counting.since]
    if timed.startswith("v:"):
        value = [(member, score) for member, score in value if score > counting.victims_since]
    if timed.startswith("d:"):
        value = [(member, score) for member, score in value if score > counting.until]
    if timed.startswith("t:"):  # the index of project
        value = [(member.hex(), score) for member, score in value if score > counting.until]
    if timed[:2] == "g:":
        value = [(member, score) for member, score in value if score + KEPT_MS > counting.until]
    if timed[:2] in ("i:", "u:"):
        value = [(member.hex(), score) for member, score in value if ends_of(member) > counting.until]
    if kind == "hash":
        return _sorted(value.items())
    if kind == "string":
        return str(value.decode("utf-8", "replace"))
    return _sorted((row,) if kind == "set" else row for row in value)


def _drawer(key: str, entries: dict[bytes, bytes], counting: _Counting) -> dict[str, str]:
    """A drawer's values by their names. Those that end by `until` may be gone or still there."""
    texts = {}
    bucket, _, rest = key.partition("}")
    concern, own = rest[0], bucket.startswith(f"{{{ASSESS.tag}")
    for raw, entry in entries.items():
        if raw == HEAD:
            continue
        name = named(raw)
        if concern == "k" and not own:
            revision, at, packed = case_entry(entry)
            case = orjson.dumps(orjson.loads(unpack(packed)), option=orjson.OPT_SORT_KEYS)
            texts[f"{key} {name}"] = f"{revision} {at}\n{case.decode()}"
        elif (value := taken(entry, counting.until)) is None:
            continue
        elif concern == "c":
            texts[f"{key} {name}"] = named(value)
        elif concern == "s":  # as the sorted set that it would be beside others
            if lone(value)[0] > counting.since:
                rows = [(member.encode(), float(score)) for member, score in lone_rows(value)]
                texts[f"{bucket}}}{concern}:{name}"] = _sorted(rows)
        elif concern == "v":
            at_ms, member = only(value)
            if at_ms > counting.victims_since:
                texts[f"{bucket}}}{concern}:{name}"] = _sorted([(member.encode(), float(at_ms))])
        elif concern == "y":
            texts[f"{key} {name}"] = value.hex()
        elif concern in "kt":  # a small set, as a sorted set would tell it: what is few live may be many in the rebuilt state
            if ended := [(member.hex(), float(ends)) for member, ends in linked(value) if ends > counting.until]:
                texts[f"{bucket}}}{concern}:{name}"] = _sorted(ended)
        else:
            texts[f"{key} {name}"] = unpack(value).decode("utf-8", "replace")
    return texts


def _sorted(rows: Iterable[tuple[Any, ...]]) -> str:
    return "\n".join(sorted("=".join(map(_readable, row)) for row in rows))


def _readable(raw: Any) -> str:
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else repr(raw)
