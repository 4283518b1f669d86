"""Decides which failures are temporary, and how long a worker waits for them: at its start, at an assignment, while idle.

Invariant: only a failed look-up is waited for, a bounded number of times and for a bounded time. A forbidden result (another log,
another state, a topic below the table) ends the process at once, like any other unexpected error.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aiokafka.errors import KafkaError
from redis.exceptions import AuthenticationError, AuthorizationError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from stream_processors.runtime.kafka import describe_error, is_transient
from stream_processors.runtime.log import CannotLook
from stream_processors.runtime.waiting import KAFKA, REDIS, Waiting

Result = TypeVar("Result")

START_PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, *(10.0,) * 15)
"""Pauses before each further attempt to start: nearly three minutes in all, enough for a cluster that starts at the same time."""
IDLE_BOUND_S = 600.0
"""Time for which an idle worker stays although it cannot check that it still owns its state and facts."""

logger = logging.getLogger("liandong")


def find_cause(error: BaseException) -> str | None:
    """The cause to wait for after a failed start or look-up; None for errors that must end the process."""
    if isinstance(error, CannotLook) or (isinstance(error, KafkaError) and is_transient(error)):
        return KAFKA
    if isinstance(error, (AuthenticationError, AuthorizationError)):
        return None
    if isinstance(error, (RedisConnectionError, RedisTimeoutError)):
        return REDIS
    return None


_NAMES = {KAFKA: "Kafka does not respond as expected", REDIS: "Redis does not accept commands yet"}


async def keep_trying(
    work: Callable[[], Awaitable[Result]],
    waiting: Waiting,
    pauses_s: Sequence[float] = START_PAUSES_S,
    causes: tuple[str, ...] = (KAFKA, REDIS),
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Result:
    """Returns the work's result. Retries after each pause while it fails for one of the causes; raises its last error."""
    for pause_s in (*pauses_s, None):
        try:
            result = await work()
        except Exception as error:
            cause = find_cause(error)
            if cause is None or cause not in causes or pause_s is None:
                raise
            sentence = f"{_NAMES[cause]}: {describe_error(error)}"
            waiting.begin(cause, sentence)
            logger.warning("%s; retry in %.1f s", sentence, pause_s)
            await sleep(pause_s)
            continue
        waiting.end(*causes)
        return result
    raise AssertionError("the last attempt returns or raises")


async def look_if_possible(check: Callable[[], Awaitable[None]], waiting: Waiting, bound_s: float = IDLE_BOUND_S) -> None:
    """One check of an idle worker. If Kafka does not answer, it is logged and skipped; after the limit it is an error."""
    try:
        await check()
    except CannotLook as error:
        waiting.begin(KAFKA, f"{_NAMES[KAFKA]}: {error}")
        if waiting.since_s(KAFKA) > bound_s:
            raise
    else:
        waiting.end(KAFKA)
