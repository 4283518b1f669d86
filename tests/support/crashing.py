"""Deaths in process: the named crash points raise instead of killing, and a port call can die, be cut in the middle, or freeze.

A frozen agent is what SIGSTOP makes: it stands between two steps while others take its partitions, and goes on later.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from schemas.topics import Topic
from stream_processors.agents import assess, deliver, intake, oversee, project, retract, timekeeper, track, webhook
from stream_processors.agents import webhook_sender as calls
from stream_processors.runtime.crash_points import POINTS
from stream_processors.runtime.log import Entry, Place, by_key, in_order
from stream_processors.state import restore
from stream_processors.state.store import Write
from tests.support.memory_log import MemoryLog
from tests.support.memory_store import MemoryStore

_MODULES = (intake, assess, retract, track, timekeeper, deliver, webhook, calls, oversee, project, restore)


class Died(Exception):
    """The process is gone. What it had in memory is lost, what it had written is not."""


@dataclass
class Crasher:
    """Stands in for `crash.point`: dies at the n-th passing of the armed point, once."""

    passed: Counter[str] = field(default_factory=Counter)
    hit: Counter[str] = field(default_factory=Counter)
    _armed: dict[str, int] = field(default_factory=dict)

    def arm(self, name: str, n: int = 1) -> None:
        assert name in POINTS, name
        self._armed[name] = n

    def disarm(self) -> None:
        self._armed.clear()

    def __call__(self, name: str) -> None:
        assert name in POINTS, name
        self.passed[name] += 1
        if name in self._armed:
            self._armed[name] -= 1
            if self._armed[name] == 0:
                del self._armed[name]
                self.hit[name] += 1
                raise Died(name)


@contextlib.contextmanager
def crashing() -> Iterator[Crasher]:
    """The agents' and the barrier's crash points raise `Died` while this is open."""
    crasher = Crasher()
    for module in _MODULES:
        module.point = crasher
    try:
        yield crasher
    finally:
        from stream_processors.runtime.crash_points import point

        for module in _MODULES:
            module.point = point


@dataclass
class Gate:
    """What happens to an agent's port calls. `plan`: (how, n): at the n-th call from now on.

    how: `cut` writes half of the call and dies; `after` dies when it is done; `freeze` waits before it is made.
    """

    plan: tuple[str, int] | None = None
    frozen: asyncio.Event = field(default_factory=asyncio.Event)
    thawed: asyncio.Event = field(default_factory=asyncio.Event)

    def due(self) -> str | None:
        if self.plan is None:
            return None
        how, n = self.plan
        self.plan = (how, n - 1) if n > 1 else None
        return how if n == 1 else None

    async def freeze(self) -> None:
        self.frozen.set()
        await self.thawed.wait()


class GatedLog:
    """A log whose appends pass the gate; all else goes through."""

    def __init__(self, log: MemoryLog, gate: Gate) -> None:
        self._log, self._gate = log, gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    async def append(self, topic: Topic, entries: Mapping[int, Sequence[Entry]]) -> dict[int, int]:
        how = self._gate.due()
        if how == "freeze":
            await self._gate.freeze()
        if how == "cut":
            flat = [(p, one) for p, found in entries.items() for one in found]
            for partition, (key, value) in flat[: (len(flat) + 1) // 2]:
                self._log.put(topic, partition, key, value)
            raise Died("in the middle of an append")
        bases = await self._log.append(topic, entries)
        if how == "after":
            raise Died("after an append")
        return bases

    async def append_keyed(self, topic: Topic, entries: Sequence[tuple[bytes, bytes]]) -> list[Place]:
        found = by_key(topic, entries)
        bases = await self.append(topic, found)
        return in_order(topic, entries, {p: range(bases[p], bases[p] + len(some)) for p, some in found.items()})


class GatedStore:
    """A store whose script calls pass the gate; all else goes through."""

    def __init__(self, store: MemoryStore, gate: Gate) -> None:
        self._store, self._gate = store, gate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def call(self, script: str, stamp: str, writes: Mapping[int, Write]) -> dict[int, list[Any]]:
        how = self._gate.due()
        if how == "freeze":
            await self._gate.freeze()
        if how == "cut":
            await self._store.call(script, stamp, dict(islice(writes.items(), (len(writes) + 1) // 2)))
            raise Died("in the middle of a pipeline")
        answers = await self._store.call(script, stamp, writes)
        if how == "after":
            raise Died("after a pipeline")
        return answers
