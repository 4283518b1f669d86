"""A timekeeper's world in memory: two workers of it, a small track, the broker's clock and the machine's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from schemas.topics import CASE_COMMANDS
from stream_processors.agents.timekeeper import Timekeeper
from stream_processors.domain.deadlines.due_index import Moment, moments
from stream_processors.state.deadline_index import indexed
from tests.support.fake_track import FakeTrack
from tests.support.world import ENDS, World


class Ticking:
    """`pass_s` lets the time pass everywhere; `world.clock` alone is the broker's, which a test may set."""

    def __init__(self) -> None:
        self.world = World()
        self.track = FakeTrack(self.world.log)
        self.mono_ms = 1000

    async def up(self) -> Ticking:
        await self.world.up()
        return self

    def pass_s(self, seconds: float) -> None:
        self.world.clock.forward(seconds)
        self.mono_ms += int(seconds * 1000)

    async def fold(self, number: int, limit: int = 100, **how: Any) -> bool:
        return await self.world.poll("timekeeper", number, limit, **how)

    async def tick(self, number: int, plan: tuple[str, int] | None = None) -> None:
        worker = self.world.workers["timekeeper"][number]
        worker.gate.plan = plan
        try:
            await worker.agent.tick()
        except ENDS as error:
            self.world.ended.append(f"timekeeper: {type(error).__name__} in a tick: {error}")
            await self.world.restart("timekeeper", number)
        else:
            worker.gate.plan = None

    async def run(self, seconds: float, every_s: float = 0.2) -> None:
        """All at work, nothing goes wrong."""
        for _ in range(round(seconds / every_s)):
            for number in (0, 1):
                await self.tick(number)
            await self.track.work()
            for number in (0, 1):
                while await self.fold(number):
                    pass
            self.pass_s(every_s)

    def asked(self) -> int:
        return sum(b'"deadline_due"' in (record.value or b"") for record in self.world.log.all(CASE_COMMANDS))

    def index(self) -> dict[str, tuple[Moment, ...]]:
        """What the index in Redis holds, by case."""
        found = {}
        for bucket in self.world.redis["timekeeper"].buckets:
            for key, entry in bucket.values.items():
                if isinstance(key, bytes):
                    case = indexed(entry[4:10] + key[2:], entry)
                    found[case.case_id] = case.moments
        return found

    def wanted(self) -> dict[str, tuple[Moment, ...]]:
        """What it must hold when all is folded."""
        return {name: coming for name, case in self.track.cases.items() if (coming := moments(case.deadlines))}


@contextmanager
def own_time(ticking: Ticking) -> Iterator[Ticking]:
    """Every timekeeper reads the machine's clock of this world meanwhile."""
    before = Timekeeper.monotonic_ms
    Timekeeper.monotonic_ms = staticmethod(lambda: ticking.mono_ms)  # type: ignore[method-assign]
    try:
        yield ticking
    finally:
        Timekeeper.monotonic_ms = staticmethod(before)  # type: ignore[method-assign]
