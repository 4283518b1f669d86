"""A whole pipeline in memory: two workers a stage over one log and one Redis a stage, polled, killed, frozen by a test.

Whatever ends a worker (`Died`, LostState, LostLog) starts it again through the barrier, as the supervisor does. Any other
exception is the test's failure.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from schemas.common import from_ms
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, PARTITIONS, SUBMITTED, Topic
from stream_processors.agents.assess import Assess
from stream_processors.agents.base import Agent, AgentPorts
from stream_processors.agents.deliver import Deliver
from stream_processors.agents.intake import Intake
from stream_processors.agents.oversee import Oversee
from stream_processors.agents.project import Project
from stream_processors.agents.timekeeper import Timekeeper
from stream_processors.agents.track import Track
from stream_processors.agents.webhook import Webhook
from stream_processors.recovery.losses import LogLoss, find_losses, open_generations
from stream_processors.runtime.log import LostLog, Record, partition_of
from stream_processors.state.compression import unpack
from stream_processors.state.marks import OF_FACTS
from stream_processors.state.restore import restore
from stream_processors.state.store import LostState, read_marks
from stream_processors.topology import all_stages
from stream_processors.webhooks.policy import Hooks
from tests.support.builders import PLACES, POLICY, SEALER, TOKENIZER
from tests.support.clock import Clock
from tests.support.crashing import Died, Gate, GatedLog, GatedStore
from tests.support.hooks import Receivers
from tests.support.memory_log import MemoryLog
from tests.support.memory_store import FAR, MemoryRedis, MemoryStore

AGENTS: dict[str, type[Assess] | type[Track] | type[Timekeeper] | type[Deliver] | type[Oversee] | type[Project]] = {
    "assess": Assess,
    "track": Track,
    "timekeeper": Timekeeper,
    "deliver": Deliver,
    "oversee": Oversee,
    "project": Project,
}
ENDS = (Died, LostState, LostLog)
WORKERS = 2
TRIES = 6
BODY_LIMIT_BYTES = 16 << 10


@dataclass
class Worker:
    """One process. `at` is where its consumer reads on."""

    agent: Agent
    gate: Gate
    owned: frozenset[int]
    at: dict[tuple[str, int], int] = field(default_factory=dict)
    held: tuple[asyncio.Task[None], dict[tuple[str, int], list[Record]]] | None = None


class World:
    """`async with`-less: `await World().up()`; then `poll`, and in the end `settle`."""

    def __init__(self, *, policy: Any = POLICY, workers: int = WORKERS, institutions: Sequence[str] = ()) -> None:
        self.clock = Clock()
        self.log = MemoryLog(self.clock, institutions=institutions)
        self.stages = all_stages(institutions)
        self.redis = {name: MemoryRedis(self.clock) for name in self.stages}
        self.policy = policy
        self.receivers = Receivers(self.clock)
        self.owner = {name: [p % workers for p in range(PARTITIONS)] for name in self.stages}
        self.workers: dict[str, list[Worker]] = {name: [] for name in self.stages}
        self.frozen: dict[str, list[tuple[Gate, asyncio.Task[None]]]] = {name: [] for name in self.stages}
        self.ended: list[str] = []
        self._of_frozen: set[asyncio.Task[Any]] = set()
        self._count = workers

    async def up(self) -> World:
        for stage in self.stages:
            self.workers[stage] = [await self._started(stage, number) for number in range(self._count)]
        return self

    # the log

    def submit(self, key: bytes, value: bytes, topic: Topic) -> tuple[int, int]:
        """Appends as the gateway does: (partition, offset)."""
        partition = partition_of(key, topic.partitions)
        return partition, self.log.put(topic, partition, key, value)

    # the processes

    async def _started(self, stage: str, number: int) -> Worker:
        """The supervisor: starts it again until it stands. More than a few tries is a crash loop."""
        for _ in range(TRIES):
            gate = Gate()
            store = GatedStore(MemoryStore(self.redis[stage], self.stages[stage].namespace), gate)
            agent = self._agent(stage, GatedLog(self.log, gate), store)
            owned = frozenset(p for p, owner in enumerate(self.owner[stage]) if owner == number)
            worker = Worker(agent, gate, owned)
            try:
                await agent.start()
                await self._assign(worker)
                return worker
            except ENDS as error:
                last = error
                self.ended.append(f"{stage}: {type(error).__name__} at start: {error}")
                await self._bury()
        raise AssertionError(f"{stage}-{number} does not start any more: {last!r}") from last

    def _agent(self, stage: str, log: Any, store: Any) -> Agent:
        name, _, institution = stage.partition(" ")
        ports = AgentPorts(log, store, self.policy, SEALER)
        if name == "webhook":
            own = {"posts": self.receivers, "hooks": Hooks(), "now": lambda: from_ms(self.clock.ms)}
            return Webhook(ports, **own)
        if name != "intake":
            return AGENTS[name](ports)
        limits = {"body_limit_bytes": BODY_LIMIT_BYTES, "json_depth_limit": 16}
        return Intake(institution, ports, TOKENIZER, PLACES, **limits)

    async def _assign(self, worker: Worker) -> None:
        wanted = [(topic.name, p) for topic in worker.agent.stage.reads for p in worker.owned if p < topic.partitions]
        worker.at = dict(await worker.agent.assigned(wanted))

    async def _bury(self) -> None:
        """A killed process leaves no tasks behind; a frozen one stays."""
        kept = self._of_frozen | {asyncio.current_task()}
        left = [task for task in asyncio.all_tasks() if task not in kept]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def restart(self, stage: str, number: int) -> None:
        await self.resume(stage)
        self.workers[stage][number] = await self._started(stage, number)

    async def rebalance(self, stage: str, owner: list[int]) -> None:
        """New owners. All workers are told before any polls again, as after Faust's eager rebalance."""
        await self.resume(stage)
        self.owner[stage] = owner
        for worker in self.workers[stage]:
            await worker.agent.revoked()
        for number, worker in enumerate(self.workers[stage]):
            worker.owned = frozenset(p for p, one in enumerate(owner) if one == number)
            try:
                await self._assign(worker)
            except ENDS as error:
                self.ended.append(f"{stage}: {type(error).__name__} at assignment: {error}")
                await self._bury()
                await self.restart(stage, number)

    def batch(self, stage: str, worker: Worker, limit: int, rewind: int = 0) -> dict[tuple[str, int], list[Record]]:
        """What a fetch gives: up to `limit` records of each partition; `rewind` gives some a second time."""
        batch = {}
        for topic in self.stages[stage].reads:
            for p in sorted(p for p in worker.owned if p < topic.partitions):
                at = worker.at[topic.name, p]
                at_offset = self.log.generations.offset(topic.name, p, at)
                records = self.log.all(topic, p)[max(0, at_offset - rewind) : at_offset + limit]
                if records and records[-1].offset >= at:
                    batch[topic.name, p] = records
        return batch

    async def poll(
        self, stage: str, number: int, limit: int = 100, *, plan: tuple[str, int] | None = None, rewind: int = 0
    ) -> bool:
        """One poll of one worker; False when there was nothing. It may die or freeze by `plan` (see Gate)."""
        worker = self.workers[stage][number]
        batch = self.batch(stage, worker, limit, rewind)
        if not batch or worker.held:
            return False
        worker.gate.plan = plan
        others = asyncio.all_tasks()
        step = asyncio.create_task(worker.agent.step(batch))
        freezing = asyncio.create_task(worker.gate.frozen.wait())
        await asyncio.wait({step, freezing}, return_when=asyncio.FIRST_COMPLETED)
        if not step.done():
            self.frozen[stage].append((worker.gate, step))
            freezing.cancel()
            self._of_frozen |= asyncio.all_tasks() - others - {freezing}
            await self.restart(stage, number)
            return True
        freezing.cancel()
        worker.gate.plan = None
        await self._ended(stage, number, step, batch)
        return True

    async def _ended(self, stage: str, number: int, step: asyncio.Task[None], batch: dict[tuple[str, int], list[Record]]) -> None:
        worker, error = self.workers[stage][number], step.exception()
        if error is None:
            worker.at |= {at: records[-1].offset + 1 for at, records in batch.items()}
        elif isinstance(error, ENDS):
            self.ended.append(f"{stage}: {type(error).__name__}: {error}")
            await self._bury()
            await self.restart(stage, number)
        else:
            raise error

    async def hold(self, stage: str, number: int, limit: int, call: int) -> None:
        """Begins a poll that waits before its `call`-th call of a port, while others work: it is slow, not dead."""
        worker = self.workers[stage][number]
        batch = self.batch(stage, worker, limit)
        if not batch or worker.held:
            return
        worker.gate = worker.agent.log._gate = worker.agent.store._gate = Gate(("freeze", call))  # type: ignore[attr-defined]
        others = asyncio.all_tasks()
        step = asyncio.create_task(worker.agent.step(batch))
        freezing = asyncio.create_task(worker.gate.frozen.wait())
        await asyncio.wait({step, freezing}, return_when=asyncio.FIRST_COMPLETED)
        freezing.cancel()
        if step.done():
            worker.gate.plan = None
            await self._ended(stage, number, step, batch)
        else:
            worker.held = step, batch
            self._of_frozen |= asyncio.all_tasks() - others - {freezing}

    async def resume(self, stage: str) -> None:
        """The slow ones go on."""
        for number, worker in enumerate(self.workers[stage]):
            if worker.held:
                (step, batch), worker.held = worker.held, None
                worker.gate.thawed.set()
                await asyncio.wait({step})
                await self._ended(stage, number, step, batch)

    async def thaw(self, stage: str) -> None:
        """SIGCONT: the oldest frozen one goes on with what it believed, and ends sooner or later."""
        if self.frozen[stage]:
            gate, task = self.frozen[stage].pop(0)
            gate.thawed.set()
            try:
                await task
            except ENDS as error:
                self.ended.append(f"{stage}: {type(error).__name__} when thawed: {error}")

    async def kill_frozen(self, stage: str) -> None:
        found, self.frozen[stage] = self.frozen[stage], []
        for _, task in found:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def settle(self) -> None:
        """Everything frozen goes on, every worker starts anew, and all is read to the end."""
        for stage in self.stages:
            await self.resume(stage)
            while self.frozen[stage]:
                await self.thaw(stage)
        for stage in self.stages:
            for number in range(self._count):
                await self.restart(stage, number)
        await self.drain()

    async def drain(self, limit: int = 100) -> None:
        """Polls every stage until there is nothing left for any (assess reads what track writes), without any fault."""
        for _ in range(100):
            polled = [await self.poll(stage, number, limit) for stage in self.stages for number in range(self._count)]
            if not any(polled):
                return
        raise AssertionError(f"it does not come to an end: {self.ended[-3:]}")

    async def recover(self) -> list[LogLoss]:
        """What `liandong recover --yes` does while no worker runs; then all workers start."""
        await self._bury()
        for stage in self.stages:
            await self.kill_frozen(stage)
        marks = {name: await MemoryStore(redis, self.stages[name].namespace).marks() for name, redis in self.redis.items()}
        losses = await find_losses(self.log, self.stages, marks)
        await open_generations(self.log, losses, from_ms(self.clock.ms))
        for stage in self.stages:
            for number in range(self._count):
                self.workers[stage][number] = await self._started(stage, number)
        return losses

    # what is there

    async def afresh(self, stage: str) -> MemoryRedis:
        """An empty Redis after the barrier: the state that the log alone gives."""
        empty = MemoryRedis(self.clock)
        await restore(self.stages[stage], self.log, MemoryStore(empty, self.stages[stage].namespace))
        return empty


def content(redis: MemoryRedis, window_from_ms: int = 0) -> dict[str, Any]:
    """What counts of a state: marks of positions and all values; no stamps, no proofs, no sightings before the window."""
    import orjson

    redis.expire()
    found: dict[str, Any] = {}
    for number, bucket in enumerate(redis.buckets):
        found[f"{number}m"] = {mark.encode(): n for mark, n in read_marks(bucket.marks).items() if mark.kind in OF_FACTS}
        for key, value in bucket.values.items():
            if key[:2] in ("s:", "f:") and isinstance(value, dict):
                value = {member: score for member, score in value.items() if abs(score) % FAR > window_from_ms}
            if isinstance(value, dict) and "case" in value:
                value = {"rev": value["rev"], "case": orjson.loads(unpack(value["case"]))}
            if value:
                found[f"{number}{key}"] = value
    return found


def sources(records: Iterable[Record], topic: Topic, about: Topic | None = None) -> dict[tuple[int, int], list[Any]]:
    """Facts by their source (partition, offset), each with its envelopes in the log's order. `about` is the sources' topic: the
    signals for assess, unless their retractions are meant."""
    from schemas.codec import decode
    from schemas.envelope import Origin

    about = about or {ASSESSED.name: SUBMITTED, CASE_CHANGES.name: CASE_COMMANDS}.get(topic.name)
    found: dict[tuple[int, int], list[Any]] = {}
    for record in records:
        envelope = decode(topic, record.value)
        origin = Origin.parse(envelope.origin or "")
        if about is None or origin.topic == about.name:
            found.setdefault((origin.partition, origin.offset), []).append(envelope)
    return found
