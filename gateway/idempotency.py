"""What the gateway remembers of references and keys, so that a sender's retry gets its receipt again.

This is not a fold and fails safe: a lost record only means that the signal is appended again and that assess, which
knows the same signal id, calls it a repeat.
Invariant: a record, once there, stands until it expires; a lock gives way to a record and to nothing else but its
time-out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol
from zlib import crc32

import orjson
from redis.exceptions import RedisError

from gateway.pipelining import Pipelining

BUCKETS = 16

# Takes the lock of every name that has neither lock nor record; gives what stands there else. One bucket, one slot.
_BEGIN = """
local held = {}
for i, key in ipairs(KEYS) do
  local standing = redis.call('GET', key)
  if standing and standing ~= ARGV[1] then
    held[i] = standing
  else
    redis.call('SET', key, ARGV[1], 'PX', ARGV[2])
    held[i] = false
  end
end
return held
"""

# Puts the records. A record that stands already is kept and given back.
_FINISH = """
local held = {}
for i, key in ipairs(KEYS) do
  local standing = redis.call('GET', key)
  if standing and string.sub(standing, 1, 1) == 'R' then
    held[i] = standing
  else
    redis.call('SET', key, ARGV[i + 1], 'EX', ARGV[1])
    held[i] = false
  end
end
return held
"""

# Frees what this owner locked.
_ABANDON = """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
return 0
"""


class StateUnavailable(RuntimeError):
    """Redis is away."""


class InFlight(NamedTuple):
    """Another request holds the lock."""


class Remembered(NamedTuple):
    """What was answered. `body` tells two bodies of one name apart."""

    body: str
    signal_id: str
    institution: str
    topic: str
    partition: int
    offset: int
    accepted_ms: int


class Idempotency(Protocol):
    """Names are signal ids and the ids of keys. Every call raises StateUnavailable when Redis is away."""

    async def begin(self, names: Sequence[str], owner: str) -> list[Remembered | InFlight | None]:
        """Locks each name for `owner` (None), or tells what stands there."""

    async def finish(self, records: Sequence[tuple[str, Remembered]]) -> list[Remembered]:
        """Remembers each; gives the record that stands, an earlier one if there is."""

    async def abandon(self, names: Sequence[str], owner: str) -> None:
        """Frees the locks of `owner`."""

    async def find(self, name: str) -> Remembered | None: ...

    async def keep(self, name: str, text: str) -> str:
        """Remembers a text under a name; gives the one that stands."""

    async def recall(self, name: str) -> str | None:
        """The text that `keep` remembered."""


class RedisIdempotency:
    """The memory in Redis, under `{gw<bucket>}`."""

    def __init__(self, redis: Pipelining, *, lock_ttl_s: float, receipt_ttl_s: int) -> None:
        self._redis = redis
        self._lock_ms = int(lock_ttl_s * 1000)
        self._receipt_s = receipt_ttl_s

    async def begin(self, names: Sequence[str], owner: str) -> list[Remembered | InFlight | None]:
        held = await self._each(_BEGIN, names, lambda indexes: ("L" + owner, self._lock_ms))
        return [None if one is None else _standing(one) for one in held]

    async def finish(self, records: Sequence[tuple[str, Remembered]]) -> list[Remembered]:
        raw = [_written(record) for _, record in records]
        held = await self._each(_FINISH, [name for name, _ in records], lambda at: (self._receipt_s, *(raw[i] for i in at)))
        standing = [None if one is None else _standing(one) for one in held]
        return [there if isinstance(there, Remembered) else record for there, (_, record) in zip(standing, records, strict=True)]

    async def abandon(self, names: Sequence[str], owner: str) -> None:
        await self._each(_ABANDON, names, lambda indexes: ("L" + owner,))

    async def find(self, name: str) -> Remembered | None:
        try:
            raw = await self._redis.execute("GET", _key(name))
        except RedisError as error:
            raise StateUnavailable(str(error)) from error
        there = None if raw is None else _standing(raw)
        return there if isinstance(there, Remembered) else None

    async def keep(self, name: str, text: str) -> str:
        key = _key(name)
        put = self._redis.execute("SET", key, text, "NX", "EX", self._receipt_s)
        got = self._redis.execute("GET", key)
        try:
            await put
            raw = await got
        except RedisError as error:
            got.cancel()
            raise StateUnavailable(str(error)) from error
        return text if raw is None else raw.decode()

    async def recall(self, name: str) -> str | None:
        try:
            raw = await self._redis.execute("GET", _key(name))
        except RedisError as error:
            raise StateUnavailable(str(error)) from error
        return None if raw is None else raw.decode()

    async def _each(self, script: str, names: Sequence[str], args: Any) -> list[bytes | None]:
        """Runs a script once a bucket; the answers in the order of the names."""
        if len(names) == 1:
            try:
                answer = await self._redis.execute("EVAL", script, 1, _key(names[0]), *args((0,)))
            except RedisError as error:
                raise StateUnavailable(str(error)) from error
            return [answer[0] if isinstance(answer, list) and answer else None]
        by_bucket: dict[int, list[int]] = {}
        for index, name in enumerate(names):
            by_bucket.setdefault(_bucket(name), []).append(index)
        calls = [
            (
                indexes,
                self._redis.execute("EVAL", script, len(indexes), *(_key(names[i]) for i in indexes), *args(indexes)),
            )
            for indexes in by_bucket.values()
        ]
        answers = await asyncio.gather(*(call for _, call in calls), return_exceptions=True)
        held: list[bytes | None] = [None] * len(names)
        for (indexes, _), answer in zip(calls, answers, strict=True):
            if isinstance(answer, BaseException):
                raise StateUnavailable(f"{type(answer).__name__}: {answer}") from answer
            if isinstance(answer, list):
                for n, index in enumerate(indexes):
                    held[index] = answer[n] if n < len(answer) else None
        return held


def _bucket(name: str) -> int:
    return crc32(name.encode()) % BUCKETS


def _key(name: str) -> str:
    return f"{{gw{_bucket(name)}}}{name}"


def _written(record: Remembered) -> bytes:
    return b"R" + orjson.dumps(tuple(record))


def _standing(raw: bytes) -> Remembered | InFlight:
    return Remembered(*orjson.loads(raw[1:])) if raw[:1] == b"R" else InFlight()
