"""The port to a stage's state, and its Redis side. Every call names what it believes (stamp, watermarks) and fails if that
differs; a connection never comes back silently, because a lost store could hide behind it."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import hiredis
import msgpack
from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import LockError, ResponseError

from stream_processors.state.compression import unpack
from stream_processors.state.effects import Arg
from stream_processors.state.keys import BUCKETS, Key, Namespace, TrackKey, bucket_of
from stream_processors.state.marks import STAMP, Mark, MarkKind, Marks, decode
from stream_processors.state.shared_hashes import case_entry, drawer, read_lua

RedisLike = Redis


class LostState(RuntimeError):
    """The state is not the one this process knows: emptied, rolled back, or moved by another owner. The process must end."""


class MarkMoved(LostState):
    """A watermark differs from the caller's: others project the same facts, own the partition, or the state went back."""


Check = Arg | tuple[int, int]
"""The value of a watermark, or the lowest and the highest value that it may have."""


class Write(NamedTuple):
    """One bucket's step: required watermarks, new watermarks, effects, another stamp. Atomic."""

    checks: Mapping[Mark, Check]
    sets: Mapping[Mark, Arg]
    args: Sequence[Arg] = ()
    stamp: str | None = None

    def list_sets(self) -> list[Arg]:
        parts: list[Arg] = [part for mark, value in self.sets.items() for part in (mark.encode(), value)]
        return parts if self.stamp is None else [*parts, STAMP, self.stamp]


class Store(Protocol):
    """A stage's buckets. `stamp` comes from `open_stamp`; each call fails with LostState if it is gone."""

    async def marks(self) -> list[Marks]: ...

    async def stamps(self) -> list[str | None]: ...

    async def set_stamp(self, stamp: str) -> None: ...

    async def clear(self) -> None:
        """Removes everything of the stage, stamps and watermarks last."""

    async def call(self, script: str, stamp: str, writes: Mapping[int, Write]) -> dict[int, list[Any]]:
        """Runs `claim`, `withdraw`, `observe`, `fold` or `ripe` for each bucket, in one round trip; answers by bucket."""

    async def cases(self, stamp: str, case_ids: Sequence[str]) -> list[bytes | None]:
        """The cases' JSON."""

    async def scores(self, stamp: str, keys: Sequence[Key]) -> list[dict[bytes, int]]:
        """The members of sorted sets, each with its score."""

    async def tell(self, channel: str, message: bytes) -> None:
        """Publishes a message to current listeners. Nothing of it is stored."""

    def lock(self) -> contextlib.AbstractAsyncContextManager[None]:
        """The restore lock: one restorer at a time (two would only be slower; the watermarks separate them)."""


SMALL = 512
"""Arguments of a call up to which all its buckets are one run of the script: to run it costs more than to do so little. A large
call is a run a bucket, between which Redis serves others. On a cluster, where a run sees one bucket, it would be 0."""


def packed(writes: Sequence[Write]) -> bytes:
    """The arguments of each bucket: checks, sets, its own arguments; False for those equal to the previous bucket's. In one
    string, because one Redis argument for each costs more than the work."""
    parts: list[Any] = []
    named: dict[int, list[Arg]] = {}  # most buckets of a call have the same checks: their names are written once
    before: Write | None = None
    for write in writes:
        if (checks := named.get(id(write.checks))) is None:
            checks = named[id(write.checks)] = [*_flatten_checks(write.checks)]
        parts.append(False if before and _are_same(write.checks, before.checks) else checks)
        is_set = before and before.stamp == write.stamp and _are_same(write.sets, before.sets)
        parts.append(False if is_set else write.list_sets())
        parts.append(write.args)
        before = write
    argument: bytes = msgpack.packb(parts, use_bin_type=False)
    return argument


def _are_same(marks: Mapping[Mark, Any], others: Mapping[Mark, Any]) -> bool:
    """Whether they are equal: mostly they are one object, and comparing entry by entry takes longer than sending them."""
    return marks is others or marks == others


def _flatten_checks(checks: Mapping[Mark, Check]) -> Iterator[Arg]:
    for mark, value in checks.items():
        yield from (mark.encode(), *value) if isinstance(value, tuple) else (mark.encode(), value, value)


def read_marks(names: Mapping[str, str | bytes]) -> Marks:
    """The positions among a bucket's entries by watermark name, without its stamp and proofs."""
    marks = {decode(name): value for name, value in names.items() if name != STAMP}
    return {mark: int(value) for mark, value in marks.items() if mark.kind is not MarkKind.PROOF}


class _Packed:
    """Pipelines packed by hiredis: redis-py's own packing of a small poll's commands costs a third of the poll's CPU."""

    def pack_commands(self, commands: Iterable[Iterable[Any]]) -> list[bytes]:
        return [b"".join(hiredis.pack_command(tuple(command)) for command in commands)]


class _Connection(_Packed, Connection):
    pass


class _SSLConnection(_Packed, SSLConnection):
    pass


_PACKED: dict[type[AbstractConnection], type[AbstractConnection]] = {Connection: _Connection, SSLConnection: _SSLConnection}


def connect(url: str) -> RedisLike:
    """A client without retries whose connections refuse to reconnect (raises LostState)."""
    connected: weakref.WeakSet[Any] = weakref.WeakSet()

    async def once(connection: Any) -> None:
        if connection in connected:
            raise LostState("the connection to Redis broke; the store may have another state now")
        await connection.on_connect()
        connected.add(connection)

    pool = ConnectionPool.from_url(
        url, protocol=2, retry=Retry(NoBackoff(), 0), redis_connect_func=once, socket_timeout=30, socket_connect_timeout=5
    )
    pool.connection_class = _PACKED.get(pool.connection_class, pool.connection_class)
    return Redis.from_pool(pool)


class RedisStore:
    """The store in Redis."""

    SCRIPTS: ClassVar[dict[str, tuple[str, ...]]] = {
        "claim": (),
        "withdraw": (),
        "observe": (),
        "fold": ("dues",),
        "ripe": ("dues",),
    }
    """Lua code that precedes each script, after the guard."""

    def __init__(self, redis: RedisLike, namespace: Namespace) -> None:
        self._redis = redis
        self._keys = namespace
        self._text = {
            name: "".join(map(read_lua, ("shared_hash", "guard", *before, name, "each"))) for name, before in self.SCRIPTS.items()
        }
        self._sha: dict[str, str] = {}
        self._lock_name = f"{{{namespace.tag}0}}lock"
        self.held: Callable[[bool], None] = lambda is_held: None  # hears whether another restorer has the lock
        self._heads = [(namespace.marks(b), f"{{{namespace.tag}{b}}}") for b in range(BUCKETS)]

    async def open(self) -> None:
        """Loads the scripts; call once before anything else."""
        for name, text in self._text.items():
            self._sha[name] = await self._redis.script_load(text)

    async def marks(self) -> list[Marks]:
        pipe = self._redis.pipeline(transaction=False)
        for key, _ in self._heads:
            pipe.hgetall(key)
        heads = await pipe.execute()
        return [read_marks({name.decode(): value for name, value in head.items()}) for head in heads]

    async def stamps(self) -> list[str | None]:
        pipe = self._redis.pipeline(transaction=False)
        for key, _ in self._heads:
            pipe.hget(key, STAMP)
        return [None if stamp is None else stamp.decode() for stamp in await pipe.execute()]

    async def set_stamp(self, stamp: str) -> None:
        pipe = self._redis.pipeline(transaction=False)
        for key, _ in self._heads:
            pipe.hset(key, STAMP, stamp)
        await pipe.execute()

    async def clear(self) -> None:
        marks = {key.encode() for key, _ in self._heads}
        retained = marks | {self._lock_name.encode()}
        own = tuple(prefix.encode() for _, prefix in self._heads)
        async for key in self._redis.scan_iter(match=f"{{{self._keys.tag}*", count=1000):
            if key.startswith(own) and key not in retained:
                await self._redis.unlink(key)
        await self._redis.unlink(*marks)

    async def call(self, script: str, stamp: str, writes: Mapping[int, Write]) -> dict[int, list[Any]]:
        if not writes:
            return {}
        is_small = sum(len(write.args) for write in writes.values()) <= SMALL
        pipe = self._redis.pipeline(transaction=False)
        for some in [list(writes)] if is_small else [[bucket] for bucket in writes]:
            heads = [key for bucket in some for key in self._heads[bucket]]
            argument = packed([writes[bucket] for bucket in some])
            pipe.execute_command("EVALSHA", self._sha[script], len(heads), *heads, stamp, argument)
        try:
            answers = await pipe.execute()
        except ResponseError as error:
            raise (MarkMoved if "STALE" in str(error) else LostState)(str(error)) from error
        # A script answers in one string: Redis writes every table within a table to the socket by a call of its own.
        bucket_answers = [answer for raw in answers for answer in msgpack.unpackb(raw, raw=True)]
        return dict(zip(writes, bucket_answers, strict=True))

    async def cases(self, stamp: str, case_ids: Sequence[str]) -> list[bytes | None]:
        pipe = self._redis.pipeline(transaction=False)
        for case_id in case_ids:
            bucket = bucket_of(case_id)
            pipe.hget(drawer(self._keys, bucket, TrackKey.CASES, case_id), case_id)
            pipe.hget(self._keys.marks(bucket), STAMP)  # after the case: emptied in between, it is missing here
        answers = await pipe.execute()
        if any(read_stamp is None or read_stamp.decode() != stamp for read_stamp in answers[1::2]):
            raise LostState("a stamp disappeared while cases were read")
        return [None if raw is None else unpack(case_entry(raw).case) for raw in answers[0::2]]

    async def scores(self, stamp: str, keys: Sequence[Key]) -> list[dict[bytes, int]]:
        pipe = self._redis.pipeline(transaction=False)
        for key in keys:
            marks, prefix = self._heads[key.bucket]
            pipe.zrange(prefix + key.text, 0, -1, withscores=True)
            pipe.hget(marks, STAMP)  # after the set: emptied in between, it is missing here
        answers = await pipe.execute()
        if any(read_stamp is None or read_stamp.decode() != stamp for read_stamp in answers[1::2]):
            raise LostState("a stamp disappeared while sets were read")
        return [{member: int(score) for member, score in members} for members in answers[0::2]]

    async def tell(self, channel: str, message: bytes) -> None:
        await self._redis.publish(channel, message)

    @contextlib.asynccontextmanager
    async def lock(self) -> AsyncIterator[None]:
        ttl_s = 5
        lock = self._redis.lock(self._lock_name, timeout=ttl_s, thread_local=False)
        while not await lock.acquire(blocking=False):
            self.held(True)
            if await self._redis.pttl(self._lock_name) > ttl_s * 1000:
                await self._redis.delete(self._lock_name)  # from before the clock was set back: its holder may be gone for good
            await asyncio.sleep(0.1)
        self.held(False)
        done = asyncio.Event()
        keeper = asyncio.create_task(_keep_lock(lock, ttl_s, done))
        try:
            yield
        finally:
            done.set()
            with contextlib.suppress(LockError):  # lost to its time-out: the next restorer has it, and the marks protect both
                await keeper
                await lock.release()


async def _keep_lock(lock: Any, ttl_s: int, done: asyncio.Event) -> None:
    """Renews the lock until it is done; never interrupted in a command, which would break the connection."""
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), ttl_s / 3)
        if done.is_set():
            return
        await lock.reacquire()
