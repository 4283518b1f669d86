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

from gateway.http.caller import Caller
from gateway.http.problems import later
from gateway.settings import GatewaySettings
from stream_processors.runtime.metrics import GATEWAY as METRICS
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
    """For a gateway that is_listening nothing: those who wait look again by and by."""

    async def begin(self) -> None:
        raise ConnectionError("no store to subscribe to")

    async def more(self) -> News:
        return []

    async def close(self) -> None:
        return


class InboxWaiter:
    """One waiter. `caller`: whose place it takes. `again`: names of redelivered notices."""

    def __init__(self, recipient: str, caller: str, notifier: InboxNotifier) -> None:
        self.recipient, self.caller, self._notifier = recipient, caller, notifier
        self.again: dict[str, None] = {}
        self._event = asyncio.Event()

    def listen(self) -> None:
        """Starts to listen; call it before reading."""
        self._event.clear()

    def notify(self, name: str = "") -> None:
        if name and len(self.again) < _MOST_REPLAYS:
            self.again[name] = None
        self._event.set()

    async def wait(self, longest_s: float) -> None:
        """Waits until there may be news since `listen`, or the time is over."""
        again_s = _AGAIN_S if self._notifier.is_listening else _AGAIN_WHILE_DEAF_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(longest_s, again_s))):
                await self._event.wait()


class InboxNotifier:
    def __init__(self, settings: GatewaySettings, make: MakeNews) -> None:
        self._settings, self._make = settings, make
        self._waiters: dict[str, set[InboxWaiter]] = {}
        self._count: Counter[str] = Counter()
        self._callers: Counter[str] = Counter()
        self._running: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self.draining = False

    @property
    def is_listening(self) -> bool:
        return self._ready.is_set()

    @contextlib.asynccontextmanager
    async def hold_waiter(self, recipient: str, caller: Caller) -> AsyncIterator[InboxWaiter]:
        """Problem if too many wait."""
        waiter = await self.join(recipient, caller)
        try:
            yield waiter
        finally:
            self.leave(waiter)

    async def join(self, recipient: str, caller: Caller) -> InboxWaiter:
        """Like `hold_waiter`, for callers that call `leave` themselves."""
        self._admit_waiter(recipient, who := f"{caller.role} {caller.subject}")
        waiter = InboxWaiter(recipient, who, self)
        self._waiters.setdefault(recipient, set()).add(waiter)
        self._count[recipient] += 1
        self._callers[who] += 1
        METRICS.inbox_waiting.set(self._count.total())
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run_source())
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RETRY_S):
                    await self._ready.wait()
        except BaseException:
            self.leave(waiter)
            raise
        return waiter

    def _admit_waiter(self, recipient: str, who: str) -> None:
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

    def leave(self, waiter: InboxWaiter) -> None:
        waiters = self._waiters.get(waiter.recipient, set())
        if waiter not in waiters:
            return
        waiters.discard(waiter)
        if not waiters:
            del self._waiters[waiter.recipient]
        self._count[waiter.recipient] -= 1
        self._callers[waiter.caller] -= 1
        self._count += Counter()  # those at zero go
        self._callers += Counter()
        METRICS.inbox_waiting.set(self._count.total())

    def drain(self) -> None:
        """Answers all waiters at once."""
        self.draining = True
        self._notify_all()

    async def close(self) -> None:
        self.drain()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait((self._running,))

    def _notify_all(self) -> None:
        for waiters in self._waiters.values():
            for waiter in waiters:
                waiter.notify()

    async def _run_source(self) -> None:
        """Listens while somebody waits, and a little longer."""
        while not self.draining:
            source = self._make()
            try:
                await source.begin()
                self._ready.set()
                self._notify_all()  # what was said before is not heard again
                await self._relay_news(source)
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

    async def _relay_news(self, source: NewsSource) -> None:
        quiet = 0.0
        clock = asyncio.get_running_loop().time
        since = clock()
        while quiet < self._settings.live_linger_s or self._waiters:
            for recipient, name in await source.more():
                for waiter in self._waiters.get(recipient, ()):
                    waiter.notify(name)
            since = clock() if self._waiters else since
            quiet = clock() - since
