"""How far assess is behind, refreshed once a second: the gateway takes no more when it is over the limit.

Invariant: an unknown lag stops nobody; what is known is not older than a few seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.log import Log, LogUnavailable, Span
from gateway.metrics import METRICS
from schemas.topics import SUBMITTED
from stream_processors.state import progress
from stream_processors.state.keys import ASSESS, RESTORING

EVERY_S = 1.0
KNOWN_FOR_S = 10.0

logger = logging.getLogger("liandong.gateway")


class Lag:
    """`current`: submitted records that assess has not folded, None when it is not known."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._value: int | None = None
        self._at = float("-inf")

    @property
    def current(self) -> int | None:
        return self._value if self._clock() - self._at <= KNOWN_FOR_S else None

    def set(self, value: int) -> None:
        self._value, self._at = value, self._clock()
        METRICS.lag.set(value)


async def watch(lag: Lag, log: Log, redis: Redis) -> None:
    """Refreshes for ever."""
    while True:
        try:
            behind = await submitted_lag(redis, await log.span(SUBMITTED))
            if behind is not None:
                lag.set(behind)
        except (LogUnavailable, RedisError, OSError, TimeoutError) as error:
            logger.debug("lag unknown: %s", error)
        if lag.current is None:
            METRICS.lag.set(-1)
        await asyncio.sleep(EVERY_S)


async def submitted_lag(redis: Redis, span: Span) -> int | None:
    """Submitted records that assess has not folded. None while its state is rebuilt: its marks say nothing then."""
    stamp = await redis.hget(ASSESS.marks(0), "stamp")
    if not isinstance(stamp, bytes) or stamp.startswith(RESTORING.encode()):
        return None
    at = await progress.places(redis, ASSESS, "s", SUBMITTED.partitions)
    return progress.behind(span.ends, at, span.starts)
