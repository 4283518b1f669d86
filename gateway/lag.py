"""How far assess is behind, refreshed once a second: the gateway takes no more when it is over the limit.

Invariant: an unknown lag stops nobody; what is known is not older than a few seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError

from gateway.log import Log, LogUnavailable
from gateway.metrics import METRICS
from schemas.topics import SUBMITTED
from stream_processors.state.keys import ASSESS, BUCKETS

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


async def watch(lag: Lag, log: Log, behind: Callable[[dict[int, int]], Awaitable[int]]) -> None:
    """Refreshes for ever. `behind(ends)` is how many records before these ends are not folded."""
    while True:
        try:
            lag.set(await behind(await log.ends(SUBMITTED)))
        except (LogUnavailable, RedisError, OSError, TimeoutError) as error:
            logger.debug("lag unknown: %s", error)
        if lag.current is None:
            METRICS.lag.set(-1)
        await asyncio.sleep(EVERY_S)


async def submitted_lag(redis: Redis, ends: dict[int, int]) -> int:
    """Submitted records before `ends` that assess has not folded, by the lowest mark of each partition."""
    pipe = redis.pipeline(transaction=False)
    marks = [f"s{partition}" for partition in ends]
    for bucket in range(BUCKETS):
        pipe.hmget(ASSESS.marks(bucket), marks)
    found = await pipe.execute()
    behind = 0
    for n, end in enumerate(ends.values()):
        behind += max(0, end - min(int(row[n] or 0) for row in found))
    return behind
