"""Submits commands: appends them to the log, and waits until the views show what became of them.

Invariant: the gateway decides nothing. A command counts once the broker acknowledged it; when that is not known the sender is
asked to retry. The views are only read after that, so views that are away make an outcome late, never wrong.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

from pydantic import BaseModel
from redis.exceptions import RedisError

from gateway.adapters.idempotency import StateUnavailable
from gateway.adapters.kafka import Position, RequestLog
from gateway.http.caller import Caller
from gateway.http.problems import Problem, later
from schemas.codec import encode
from schemas.topics import Topic
from stream_processors.runtime.log import KeyedEntry
from stream_processors.views.reading import Rebuilding

FIRST_PAUSE_S, LAST_PAUSE_S = 0.01, 0.05
"""Between two reads of the views: each pause is half as long again as the one before."""
SOURCE = "/gateway"

Outcome = TypeVar("Outcome")


class Command(NamedTuple):
    """A record to append. `id`: of its envelope; `subject`: the record's key, what the command is about."""

    id: str
    subject: str
    data: BaseModel


def entry_of(topic: Topic, command: Command, caller: Caller, at: datetime) -> KeyedEntry:
    """The command as it is written to the log, in the caller's name."""
    value = encode(topic, command.data, id=command.id, source=SOURCE, actor=caller.actor, time=at, subject=command.subject)
    return KeyedEntry(command.subject.encode(), value)


def unacknowledged(advice: str, retry_after_s: int) -> Problem:
    """The broker did not acknowledge: a record may be in the log or not. `advice`: what the sender does next."""
    return later("log-unavailable", f"the broker did not acknowledge; {advice}", retry_after_s)


@dataclass(frozen=True)
class Submitter:
    """Appends commands and awaits outcomes. `wait_s`: for how long an outcome is waited for."""

    log: RequestLog
    wait_s: float
    retry_after_s: int
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    async def append_one(self, topic: Topic, command: Command, caller: Caller, *, advice: str) -> None:
        """Problem when it is not known whether the command is in the log."""
        await self.append_all(topic, [command], caller, advice=advice)

    async def append_all(
        self, topic: Topic, commands: Sequence[Command], caller: Caller, *, advice: str, at: datetime | None = None
    ) -> None:
        """The same for several; it may be that some are in the log when others are not."""
        at = at or self.now()
        landed = await self.log.append(topic, [entry_of(topic, command, caller, at) for command in commands])
        if not all(isinstance(position, Position) for position in landed):
            raise unacknowledged(advice, self.retry_after_s)

    def deadline(self) -> float:
        """Until when (monotonic) the outcome of a command that is submitted now is waited for."""
        return time.monotonic() + self.wait_s

    async def await_outcome(
        self, read: Callable[[], Awaitable[Outcome | None]], accept: Callable[[Outcome], bool], deadline: float
    ) -> Outcome | None:
        """Reads until there is an outcome that is accepted; None when the deadline comes first. `read` may raise the problem that
        the outcome is."""
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                outcome = await read()
            except (Rebuilding, RedisError, StateUnavailable):
                outcome = None
            if outcome is not None and accept(outcome):
                return outcome
            if time.monotonic() + pause_s > deadline:
                return None
            await self.sleep(pause_s)
            pause_s = min(pause_s * 1.5, LAST_PAUSE_S)
