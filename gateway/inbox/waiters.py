"""Waits for new notices of an inbox. One subscription for each process, while somebody waits.

Lost notifications are harmless: waiters re-check periodically. Invariant: a waiter that subscribes before reading is woken by
every later change. Memory is bounded, because new notices are in the views.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Protocol

from redis.asyncio import Redis

from gateway.metrics import METRICS
from gateway.problems import later
from gateway.security.auth import Caller
from gateway.settings import GatewaySettings
from stream_processors.views.inbox import CHANNEL, heard

logger = logging.getLogger("liandong.gateway")

_RETRY_S = 0.5
_AGAIN_S, _AGAIN_WHILE_DEAF_S = 5.0, 0.5
_MOST_REPLAYS = 1000
"""Redelivered notices that a slow waiter may have queued: a few requests of the largest size."""
News = Sequence[tuple[str, str]]
"""Recipients with new notices, each with the name of the redelivered notice or ""."""


class NewsSource(Protocol):
    """Any error ends it; its reader makes a new one."""

    async def begin(self) -> None: ...

    async def more(self) -> News:
        """Returns the news so far; empty after a second without any."""

    async def close(self) -> None: ...


MakeNews = Callable[[], NewsSource]


class RedisNews:
    """The news that `project` publishes once a notice is in its inbox."""

    def __init__(self, redis: Redis) -> None:
        self._channel: Any = redis.pubsub(ignore_subscribe_messages=True)

    async def begin(self) -> None:
        await self._channel.subscribe(CHANNEL)

    async def more(self) -> News:
        message = await self._channel.get_message(timeout=1.0)
        return heard(message["data"]) if message is not None else []

    async def close(self) -> None:
        await self._channel.aclose()


class NoNews:
    """For a gateway without a subscription: waiters re-check periodically."""

    async def begin(self) -> None:
        raise ConnectionError("no store to subscribe to")

    async def more(self) -> News:
        return []

    async def close(self) -> None:
        return


class Ear:
    """One waiter. `caller`: whose place it takes. `again`: names of redelivered notices."""

    def __init__(self, recipient: str, caller: str, bell: Bell) -> None:
        self.recipient, self.caller, self._bell = recipient, caller, bell
        self.again: dict[str, None] = {}
        self._event = asyncio.Event()

    def listen(self) -> None:
        """Starts to listen; call it before reading."""
        self._event.clear()

    def ring(self, name: str = "") -> None:
        if name and len(self.again) < _MOST_REPLAYS:
            self.again[name] = None
        self._event.set()

    async def wait(self, longest_s: float) -> None:
        """Waits until there may be news since `listen`, or the time is over."""
        again_s = _AGAIN_S if self._bell.hears else _AGAIN_WHILE_DEAF_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(longest_s, again_s))):
                await self._event.wait()


class Bell:
    def __init__(self, settings: GatewaySettings, make: MakeNews) -> None:
        self._settings, self._make = settings, make
        self._ears: dict[str, set[Ear]] = {}
        self._count: Counter[str] = Counter()
        self._callers: Counter[str] = Counter()
        self._running: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self.draining = False

    @property
    def hears(self) -> bool:
        return self._ready.is_set()

    @contextlib.asynccontextmanager
    async def ear(self, recipient: str, caller: Caller) -> AsyncIterator[Ear]:
        """Problem if too many wait."""
        ear = await self.join(recipient, caller)
        try:
            yield ear
        finally:
            self.leave(ear)

    async def join(self, recipient: str, caller: Caller) -> Ear:
        """Like `ear`, for callers that call `leave` themselves."""
        self._admit(recipient, who := f"{caller.role} {caller.subject}")
        ear = Ear(recipient, who, self)
        self._ears.setdefault(recipient, set()).add(ear)
        self._count[recipient] += 1
        self._callers[who] += 1
        METRICS.inbox_waiting.set(self._count.total())
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_S):
                    await self._ready.wait()
        except BaseException:
            self.leave(ear)
            raise
        return ear

    def _admit(self, recipient: str, who: str) -> None:
        """Problem if too many wait: in all, for this inbox, or of this caller. Any unit may have an inbox (of a letter or a
        dissuasion), even without a route in the policy, so a caller that may read many must not take all places with names.
        """
        limits = self._settings
        if self.draining or self._count.total() >= limits.inbox_waiting_limit:
            raise later("overloaded", "this gateway has reached its limit of waiting requests", limits.retry_after_s)
        if self._count[recipient] >= limits.inbox_waiting_per_recipient_limit:
            detail = f"{limits.inbox_waiting_per_recipient_limit} requests already wait for this inbox; close one"
            raise later("too-many-streams", detail, limits.retry_after_s)
        if self._callers[who] >= limits.inbox_waiting_per_caller_limit:
            detail = f"{limits.inbox_waiting_per_caller_limit} of your requests already wait; close one"
            raise later("too-many-streams", detail, limits.retry_after_s)

    def leave(self, ear: Ear) -> None:
        ears = self._ears.get(ear.recipient, set())
        if ear not in ears:
            return
        ears.discard(ear)
        if not ears:
            del self._ears[ear.recipient]
        self._count[ear.recipient] -= 1
        self._callers[ear.caller] -= 1
        self._count += Counter()  # those at zero go
        self._callers += Counter()
        METRICS.inbox_waiting.set(self._count.total())

    def drain(self) -> None:
        """Answers all waiters at once."""
        self.draining = True
        self._ring_all()

    async def close(self) -> None:
        self.drain()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,))

    def _ring_all(self) -> None:
        for ears in self._ears.values():
            for ear in ears:
                ear.ring()

    async def _run(self) -> None:
        """Listens while somebody waits, and a little longer."""
        while not self.draining:
            source = self._make()
            try:
                await source.begin()
                self._ready.set()
                self._ring_all()  # what was said before is not heard again
                await self._relay(source)
                return
            except asyncio.CancelledError:
                raise
            except Exception as error:  # whatever it was: those who wait look more often meanwhile
                logger.warning("subscription to inbox changes interrupted: %s: %s", type(error).__name__, error)
            finally:
                self._ready.clear()
                with contextlib.suppress(Exception):
                    await source.close()
            await asyncio.sleep(_RETRY_S)

    async def _relay(self, source: NewsSource) -> None:
        quiet = 0.0
        clock = asyncio.get_running_loop().time
        since = clock()
        while quiet < self._settings.live_linger_s or self._ears:
            for recipient, name in await source.more():
                for ear in self._ears.get(recipient, ()):
                    ear.ring(name)
            since = clock() if self._ears else since
            quiet = clock() - since
