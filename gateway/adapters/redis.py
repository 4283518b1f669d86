"""Sends Redis commands of concurrent requests together.

Invariant: each command's answer or error goes to its request, and no command waits longer than the pipelines before it. Commands
that arrive while two pipelines are in progress form the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

_IN_FLIGHT = 2
_COMMANDS = 2000


class Pipelining:
    """`execute("GET", key)` as one of many."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._waiting: list[tuple[Sequence[Any], asyncio.Future[Any]]] = []
        self._flights: set[asyncio.Task[None]] = set()

    def execute(self, *command: Any) -> asyncio.Future[Any]:
        """Returns the command's answer. RedisError if Redis is unavailable or refuses it."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        if not self._waiting and len(self._flights) < _IN_FLIGHT:
            loop.call_soon(self._send_batch)
        self._waiting.append((command, future))
        return future

    def _send_batch(self) -> None:
        if not self._waiting or len(self._flights) >= _IN_FLIGHT:
            return
        batch, self._waiting = self._waiting[:_COMMANDS], self._waiting[_COMMANDS:]
        flight = asyncio.create_task(self._run_pipeline(batch))
        self._flights.add(flight)
        flight.add_done_callback(self._finish_flight)

    def _finish_flight(self, flight: asyncio.Task[None]) -> None:
        self._flights.discard(flight)
        self._send_batch()

    async def _run_pipeline(self, batch: list[tuple[Sequence[Any], asyncio.Future[Any]]]) -> None:
        answers: list[Any]
        try:
            pipe = self._redis.pipeline(transaction=False)
            for command, _ in batch:
                pipe.execute_command(*command)
            answers = await pipe.execute(raise_on_error=False)
        except (RedisError, OSError, TimeoutError) as error:
            answers = [error] * len(batch)
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, BaseException):
                future.set_exception(answer if isinstance(answer, RedisError) else RedisError(str(answer)))
            else:
                future.set_result(answer)
