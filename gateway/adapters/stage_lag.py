"""Measures how far the stages are behind: assess once a second, because the gateway accepts nothing above the limit; all of them
every few seconds, for the metric.

Invariant: an unknown lag stops nobody; a known one is at most a few seconds old; an unknown one is never reported as a number.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from functools import partial

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.adapters.kafka import LogUnavailable, RequestLog
from schemas.topics import CASE_CHANGES, CASE_COMMANDS
from stream_processors import progress
from stream_processors.runtime.damage import Damage, lost_tails
from stream_processors.runtime.metrics import GATEWAY as METRICS

EVERY_S = 1.0
OTHERS_EVERY = 5
KNOWN_FOR_S = 10.0
LOOK_EVERY_S = 0.01

logger = logging.getLogger("liandong.gateway")


class Lag:
    """`current`: submitted records that assess has not projected, None if unknown."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._value: int | None = None
        self._at = float("-inf")

    @property
    def current(self) -> int | None:
        return self._value if self._clock() - self._at <= KNOWN_FOR_S else None

    def set(self, value: int) -> None:
        self._value, self._at = value, self._clock()


class NotCaughtUp(RuntimeError):
    """Earlier requests are not decided yet."""


WaitUntilCaughtUp = Callable[[], Awaitable[None]]


class CaughtUp:
    """Waits until every earlier request is decided and in the views. For callers who must know that something is *not* there
    although Redis may have been emptied: the gateway's memory is then lost, and the log is not."""

    def __init__(self, log: RequestLog, redis: Redis, *, wait_s: float) -> None:
        self._log, self._redis, self._wait_s = log, redis, wait_s

    async def __call__(self) -> None:
        """NotCaughtUp when it does not come to that in time, LogUnavailable when the broker does not answer."""
        deadline = time.monotonic() + self._wait_s
        for stage, topic in (("track", CASE_COMMANDS), ("project", CASE_CHANGES)):
            span = await self._log.span(topic)
            count = partial(self._log.generations.count, topic.name)
            while progress.behind(span.ends, await progress.read_place(self._redis, stage, topic), span.starts, count):
                if time.monotonic() > deadline:
                    raise NotCaughtUp("the stages have not decided earlier requests yet")
                await asyncio.sleep(LOOK_EVERY_S)


async def nothing_is_lost() -> None:
    """For a gateway whose state belongs to this process."""


async def watch(lag: Lag, log: RequestLog, redis: Redis) -> None:
    """Refreshes without end."""
    turn = 0
    while True:
        with contextlib.suppress(LogUnavailable):
            await log.follow_generations()
        for stage in progress.STAGE_NAMES:
            if stage == "assess" or turn % OTHERS_EVERY == 0:
                behind = await _read_lag(stage, log, redis)
                if stage == "assess" and behind is not None:
                    lag.set(behind)
                _set_metric(stage, behind)
        turn += 1
        await asyncio.sleep(EVERY_S)


async def _read_lag(stage: str, log: RequestLog, redis: Redis) -> int | None:
    try:
        return await stage_lag(stage, log, redis)
    except (LogUnavailable, RedisError, OSError, TimeoutError) as error:
        logger.debug("lag of %s unknown: %s", stage, error)
        return None


def _set_metric(stage: str, behind: int | None) -> None:
    if behind is not None:
        METRICS.lag.labels(stage).set(behind)
    else:
        with contextlib.suppress(KeyError):
            METRICS.lag.remove(stage)


async def stage_lag(stage: str, log: RequestLog, redis: Redis) -> int | None:
    """Returns the records that the stage has not projected. None during a rebuild, when watermarks have no meaning."""
    places = await progress.read_places(redis, stage)
    if places is None:
        return None
    total = 0
    damages: list[Damage] = []
    for topic, at in places.items():
        span = await log.span(topic)  # after the places, which only grow: what they are beyond is lost
        damages += lost_tails(stage, {(topic.name, p): place for p, place in at.items()}, {topic.name: span.ends})
        total += progress.behind(span.ends, at, span.starts, partial(log.generations.count, topic.name))
    log.report(stage, "; ".join(map(str, damages)) or None)
    return total
