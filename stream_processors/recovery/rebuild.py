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
from stream_processors.state import keys
from stream_processors.state.compression import unpack
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
    tag = keys.namespace_of(stage).tag
    keep, soonest = policy.retention, at_ms + _SLACK_MS
    counting = _Counting(soonest - keep.sightings_days * DAY_MS, soonest - keep.victims_days * DAY_MS, soonest)
    texts: dict[str, str] = {}
    try:
        key_names = [key async for key in redis.scan_iter(match=f"{{{tag}*", count=5000)]
        for start in range(0, len(key_names), 2000):
            some = key_names[start : start + 2000]
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
                    value_texts = _describe_entries(key.decode(), value, counting)
                else:
                    value_texts = {key.decode(): _describe_value(key.decode(), kind.decode(), value, counting)}
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


def _describe_value(key: str, kind: str, value: Any, counting: _Counting) -> str:
    tag, concern = _read_place(key)
    if concern == "lock" or value is None or kind == "none":
        return ""
    if concern == "m":
        marks = read_marks({name.decode(): number for name, number in value.items()})
        return _join_sorted((mark.encode(), number) for mark, number in marks.items() if mark.kind in OF_FACTS)
    place = (tag, concern) if kind == "zset" else None
    if place in ((keys.ASSESS.tag, keys.AssessKey.SIGHTINGS), (keys.ASSESS.tag, keys.AssessKey.TRANSFERS)):
        value = [(member, score) for member, score in value if abs(score) % FAR > counting.since]
    if place == (keys.ASSESS.tag, keys.AssessKey.VICTIMS):
        value = [(member, score) for member, score in value if score > counting.victims_since]
    if place in ((keys.ASSESS.tag, keys.AssessKey.CONFIRMED), (keys.PROJECT.tag, keys.ProjectKey.CASE_INDEX)):
        value = [(member.hex(), score) for member, score in value if score > counting.until]
    if place == (keys.PROJECT.tag, keys.ProjectKey.OF_CASE):
        value = [(member, score) for member, score in value if score + KEPT_MS > counting.until]
    if place in ((keys.PROJECT.tag, keys.ProjectKey.NOTICES), (keys.PROJECT.tag, keys.ProjectKey.UNRECEIVED)):
        value = [(member.hex(), score) for member, score in value if ends_of(member) > counting.until]
    if kind == "hash":
        return _join_sorted(value.items())
    if kind == "string":
        return str(value.decode("utf-8", "replace"))
    return _join_sorted((row,) if kind == "set" else row for row in value)


_CASES = (
    (keys.TRACK.tag, keys.TrackKey.CASES),
    (keys.OVERSEE.tag, keys.OverseeKey.RECORDS),
    (keys.PROJECT.tag, keys.ProjectKey.CASES),
)
_SMALL_SETS = ((keys.ASSESS.tag, keys.AssessKey.CASE_QUEUES), (keys.PROJECT.tag, keys.ProjectKey.CASE_INDEX))


def _read_place(key: str) -> tuple[str, str]:
    """The namespace's tag and the concern."""
    head, _, rest = key.removeprefix("{").partition("}")
    return head.rstrip("0123456789"), rest.replace("=", ":").partition(":")[0]


def _describe_entries(key: str, entries: dict[bytes, bytes], counting: _Counting) -> dict[str, str]:
    """A drawer's values by their names. Those that end by `until` may be gone or still there."""
    texts = {}
    bucket, place = key.partition("}")[0], _read_place(key)
    for raw, entry in entries.items():
        if raw == HEAD:
            continue
        name = named(raw)
        if place in _CASES:
            revision, at, packed = case_entry(entry)
            case = orjson.dumps(orjson.loads(unpack(packed)), option=orjson.OPT_SORT_KEYS)
            texts[f"{key} {name}"] = f"{revision} {at}\n{case.decode()}"
        elif (value := taken(entry, counting.until)) is None:
            continue
        elif place == (keys.ASSESS.tag, keys.AssessKey.CONTENTS):
            texts[f"{key} {name}"] = named(value)
        elif place == (keys.ASSESS.tag, keys.AssessKey.SIGHTINGS):  # as the sorted set that it would be beside others
            if lone(value)[0] > counting.since:
                rows = [(member.encode(), float(score)) for member, score in lone_rows(value)]
                texts[f"{bucket}}}{place[1]}:{name}"] = _join_sorted(rows)
        elif place == (keys.ASSESS.tag, keys.AssessKey.VICTIMS):
            at_ms, member = only(value)
            if at_ms > counting.victims_since:
                texts[f"{bucket}}}{place[1]}:{name}"] = _join_sorted([(member.encode(), float(at_ms))])
        elif place == (keys.PROJECT.tag, keys.ProjectKey.DELIVERIES):
            texts[f"{key} {name}"] = value.hex()
        elif place in _SMALL_SETS:  # as sorted sets would tell them: what is few live may be many in the rebuilt state
            if ended := [(member.hex(), float(ends)) for member, ends in linked(value) if ends > counting.until]:
                texts[f"{bucket}}}{place[1]}:{name}"] = _join_sorted(ended)
        else:
            texts[f"{key} {name}"] = unpack(value).decode("utf-8", "replace")
    return texts


def _join_sorted(rows: Iterable[tuple[Any, ...]]) -> str:
    return "\n".join(sorted("=".join(map(_make_readable, row)) for row in rows))


def _make_readable(raw: Any) -> str:
    return raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else repr(raw)
