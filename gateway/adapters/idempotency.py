"""The gateway's memory of references and keys, so that a sender's retry gets its receipt again.

This is not a projection and fails safe: after the loss of a record the signal is appended again, and assess recognises the signal
id as a duplicate. Invariant: a record stays until it expires; a lock gives way only to a record or to its time-out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import msgpack
from redis.exceptions import RedisError

from gateway.adapters.redis import Pipelining
from schemas.topics import SUBMITTED
from stream_processors.state.keys import Concern, Namespace, bucket_of
from stream_processors.state.shared_hashes import drawer, long, read_lua, short, taken


def _read_script(name: str) -> str:
    """A script of ours after the one with the format of the entries. Without comments, because each call sends it."""
    text = read_lua("shared_hash") + (Path(__file__).parent / "lua" / f"{name}.lua").read_text("utf-8")
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--"))


_BEGIN, _FINISH, _ABANDON, _KEEP = map(_read_script, ("begin", "finish", "abandon", "keep"))


class StateUnavailable(RuntimeError):
    """Redis is unavailable."""


class InFlight(NamedTuple):
    """Another request holds the lock."""


class Remembered(NamedTuple):
    """An earlier answer. `body` distinguishes two bodies of one name."""

    body: str
    signal_id: str
    institution: str
    topic: str
    partition: int
    offset: int
    accepted_ms: int
    generation: int = 0


class Idempotency:
    """The memory in Redis, under `{gw<bucket>}`. Names are signal ids and the ids of keys. Every call may raise
    StateUnavailable."""

    def __init__(self, redis: Pipelining, *, lock_ttl_s: float, receipt_ttl_s: int) -> None:
        self._redis = redis
        self._lock_ms = int(lock_ttl_s * 1000)
        self._receipt_s = receipt_ttl_s

    async def begin(self, names: Sequence[str], owner: str) -> list[Remembered | InFlight | None]:
        """Locks each name for `owner` (None), or returns its current entry."""
        held = await self._run_each(_BEGIN, "L" + owner, self._lock_ms, names)
        return [None if entry is None else _read_entry(entry, name) for entry, name in zip(held, names, strict=True)]

    async def finish(self, records: Sequence[tuple[str, Remembered]]) -> list[Remembered]:
        """Stores each record; returns the valid one, an earlier one if it exists."""
        names = [name for name, _ in records]
        raw = [_pack_record(record, name) for name, record in records]
        held = await self._run_each(_FINISH, "", self._receipt_s * 1000, names, raw)
        existing = [None if entry is None else _read_entry(entry, name) for entry, name in zip(held, names, strict=True)]
        return [there if isinstance(there, Remembered) else record for there, (_, record) in zip(existing, records, strict=True)]

    async def abandon(self, names: Sequence[str], owner: str) -> None:
        """Frees the locks of `owner`."""
        await self._run_each(_ABANDON, "L" + owner, 0, names)

    async def find(self, name: str) -> Remembered | None:
        raw = await self._read_value(name)
        there = None if raw is None else _read_entry(raw, name)
        return there if isinstance(there, Remembered) else None

    async def keep(self, name: str, text: str) -> str:
        """Stores a text under a name; returns the valid one."""
        call = self._redis.execute("EVAL", _KEEP, 1, _key_of(name), text, self._receipt_s * 1000, short(name))
        try:
            raw: bytes = await call
        except RedisError as error:
            raise StateUnavailable(str(error)) from error
        return raw.decode()

    async def recall(self, name: str) -> str | None:
        """Returns the text that `keep` stored."""
        raw = await self._read_value(name)
        return None if raw is None else raw.decode()

    async def _read_value(self, name: str) -> bytes | None:
        try:
            entry = await self._redis.execute("HGET", _key_of(name), short(name))
        except RedisError as error:
            raise StateUnavailable(str(error)) from error
        return None if entry is None else taken(entry, int(time.time() * 1000))

    async def _run_each(
        self, script: str, argument: str, ttl_ms: int, names: Sequence[str], values: Sequence[bytes] = ()
    ) -> list[bytes | None]:
        """Runs a script once for each bucket; returns the answers in the order of the names."""
        by_bucket: dict[int, list[int]] = {}
        for index, name in enumerate(names):
            by_bucket.setdefault(bucket_of(name), []).append(index)
        calls = []
        for indexes in by_bucket.values():
            keys, fields = [_key_of(names[i]) for i in indexes], [short(names[i]) for i in indexes]
            to_write = [values[i] for i in indexes] if values else []
            calls.append((indexes, self._redis.execute("EVAL", script, len(keys), *keys, argument, ttl_ms, *fields, *to_write)))
        answers = await asyncio.gather(*(call for _, call in calls), return_exceptions=True)
        held: list[bytes | None] = [None] * len(names)
        for (indexes, _), answer in zip(calls, answers, strict=True):
            if isinstance(answer, BaseException):
                raise StateUnavailable(f"{type(answer).__name__}: {answer}") from answer
            for n, index in enumerate(indexes):
                held[index] = answer[n] if n < len(answer) else None
        return held


async def once(memory: Idempotency, name: str, append: Callable[[], Awaitable[None]]) -> None:
    """Appends a request unless the broker has it already, so that a refused request cannot succeed on retry. `append` raises if
    it is unknown whether the broker has it."""
    if await memory.recall(f"l{name}") is None:
        await append()
        await memory.keep(f"l{name}", "1")


class _MemoryKey(Concern):
    ENTRIES = "m"


_MEMORY = Namespace("gw")


def _key_of(name: str) -> str:
    return drawer(_MEMORY, bucket_of(name), _MemoryKey.ENTRIES, name)


def _pack_record(record: Remembered, name: str) -> bytes:
    """Omits members that follow from the name or the usual topic."""
    signal_id = "" if record.signal_id == name else record.signal_id
    topic = "" if record.topic == SUBMITTED.name else record.topic
    fields: tuple[str | int, ...] = record._replace(signal_id=signal_id, topic=topic)[1:]
    packed: bytes = msgpack.packb((short(record.body), *fields))
    return b"R" + packed


def _read_entry(raw: bytes, name: str) -> Remembered | InFlight:
    if raw[:1] != b"R":
        return InFlight()
    body, *others = msgpack.unpackb(raw[1:])
    record = Remembered(long(body) if isinstance(body, bytes) else body, *others)
    return record._replace(signal_id=record.signal_id or name, topic=record.topic or SUBMITTED.name)
