"""The gateway's producer and its replacement after a failure: make before break.

An idempotent producer whose batch to a partition was not acknowledged in time may be stuck there permanently. It no longer serves
that partition; for the others it continues until another one replaces it, and records in progress keep their own time-out. It is
discarded at once only if no broker answers at all. Invariant: each record is given to one producer, once, and a failure in one
partition fails no record of another.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Protocol

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from stream_processors.runtime.metrics import GATEWAY as METRICS
from stream_processors.runtime.topic_check import WrongTopics

logger = logging.getLogger("liandong.gateway")

RECONNECT_S = 1.0
CONNECT_S = 3.0
"""aiokafka asks a random broker for a producer id. A frozen broker would block it; the next try may reach another one."""


class Producer(Protocol):
    """The used part of aiokafka's producer."""

    _message_accumulator: Any

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, topic: str, value: bytes, key: bytes, partition: int) -> Any: ...

    def create_batch(self) -> Any: ...

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> Any: ...


class Serving:
    """A producer in use. `barred`: partitions that it failed and no longer serves."""

    def __init__(self, producer: Any) -> None:
        self.producer = producer
        self.barred: set[TopicPartition] = set()
        self._users = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextlib.contextmanager
    def use(self) -> Iterator[None]:
        """Counts an append that waits for this producer."""
        self._users += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                self._idle.set()

    async def idle(self, timeout_s: float) -> None:
        """Waits until nobody uses it, or the time is over."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._idle.wait(), timeout_s)


class Producers:
    """`current` is the producer to use; None while there is none. `answers`: whether any broker does."""

    def __init__(
        self,
        make: Callable[[], Any],
        check: Callable[[Any], Awaitable[None]],
        answers: Callable[[], bool],
        timeout_s: float,
        look_first: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`look_first`: a slow check before each try; KafkaError if nothing may be appended yet."""
        self._look_first = look_first
        self._make, self._check, self._answers, self._timeout_s = make, check, answers, timeout_s
        self.current: Serving | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._ends: set[asyncio.Task[None]] = set()

    async def open(self, wait_s: float) -> None:
        """Begins to connect, and waits at most this long."""
        self._begin_connecting()
        assert self._connecting is not None
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.shield(self._connecting), wait_s)

    async def close(self) -> None:
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
        if self.current is not None:
            with contextlib.suppress(TimeoutError, KafkaError):
                await asyncio.wait_for(self.current.producer.stop(), self._timeout_s)
        if self._ends:
            await asyncio.wait(self._ends, timeout=2)

    def fail(self, serving: Serving, partitions: Iterable[TopicPartition], error: Exception) -> None:
        """Marks partitions that did not acknowledge in time, or at all: another producer replaces this one."""
        failed = set(partitions) - serving.barred
        if not failed:
            return
        names = ", ".join(sorted(f"{at.topic}/{at.partition}" for at in failed))
        logger.warning("broker did not acknowledge: %s: %s: %s", names, type(error).__name__, error)
        serving.barred |= failed
        if serving is not self.current:
            return
        if not self._answers():
            self.renew(error)
        self._begin_connecting()

    def renew(self, error: Exception) -> None:
        """Discards the producer at once; its users get the error."""
        if self.current is None:
            return
        before, self.current = self.current, None
        METRICS.producers_discarded.inc()
        self._end_later(throw_away(before.producer, error))
        self._begin_connecting()

    def _begin_connecting(self) -> None:
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._replace_producer())

    async def _replace_producer(self) -> None:
        """Tries until there is a producer that knows our topics, which replaces the previous one."""
        while True:
            producer = self._make()
            try:
                if self._look_first is not None:
                    await self._look_first()
                async with asyncio.timeout(CONNECT_S):
                    await producer.start()
                    await self._check(producer)
            except (KafkaError, OSError, WrongTopics) as error:
                logger.warning("producer not started yet: %s", error)
                await throw_away(producer, error)
                await asyncio.sleep(RECONNECT_S)
                continue
            except asyncio.CancelledError:
                await throw_away(producer, KafkaError("closing"))
                raise
            before, self.current = self.current, Serving(producer)
            if before is not None:
                METRICS.producers_discarded.inc()
                self._end_later(self._retire_serving(before))
            return

    async def _retire_serving(self, serving: Serving) -> None:
        await serving.idle(self._timeout_s)
        await throw_away(serving.producer, KafkaError("replaced"))

    def _end_later(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._ends.add(task)
        task.add_done_callback(self._ends.discard)


async def throw_away(producer: Any, error: Exception) -> None:
    """Ends a producer without waiting for unsent records. `stop` alone would wait for its batches."""
    producer._message_accumulator.fail_all(error)
    with contextlib.suppress(Exception):
        await asyncio.wait_for(producer.stop(), 5)
