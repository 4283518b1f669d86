"""Shared by the agents: the barrier, their positions in the log, and a lock so that no assignment interrupts a step.

Invariant: a step that fails ends the process before it completes (law 4); unexpected errors are never caught.
"""

from __future__ import annotations

import abc
import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas.policy import Policy
from schemas.security import Sealer
from schemas.topics import Topic
from stream_processors.agents.dead_letters import DeadLetters
from stream_processors.runtime.damage import check_undamaged, find_damage, lost_tails, sources_of
from stream_processors.runtime.log import Entry, Log, LostLog, Record
from stream_processors.runtime.metrics import METRICS
from stream_processors.state.keys import BUCKETS
from stream_processors.state.marks import OF_FACTS, Mark, Marks, MarkStream, fact_mark, source_mark
from stream_processors.state.restore import Restored, Tell, restore
from stream_processors.state.store import Check, LostState, Store, Write
from stream_processors.state.streams import Stage

Batch = Mapping[tuple[str, int], Sequence[Record]]
"""The records of one poll by (topic, partition)."""


class AgentPorts(NamedTuple):
    """The ports of every agent. `tell` receives sentences for the operator."""

    log: Log
    store: Store
    policy: Policy
    sealer: Sealer
    tell: Tell = lambda line: None


class StageAgent(Protocol):
    """The interface that the worker runs: one agent, or several side by side (group.py). `start` once; `assigned` at every
    assignment; `step` for every poll; `tick` every `tick_every_s` seconds, None: never."""

    stage: Stage
    log: Log
    policy: Policy
    tick_every_s: float | None

    async def start(self) -> Restored: ...

    async def assigned(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]: ...

    async def revoked(self) -> None: ...

    async def step(self, batch: Batch) -> None: ...

    async def tick(self) -> None: ...

    async def check(self) -> None: ...

    async def take_policy(self, policy: Policy) -> None: ...


class Agent(abc.ABC):
    """An agent with a state of its own: a StageAgent."""

    stage: Stage
    gapless = True
    """Whether a missing input record raises an alarm."""
    tick_every_s: float | None = None
    """Seconds between calls of `tick`; None: never."""

    def __init__(self, ports: AgentPorts) -> None:
        self.log: Log = ports.log
        self.store, self.policy, self._sealer, self._tell = ports.store, ports.policy, ports.sealer, ports.tell
        self._dead = DeadLetters(self.stage.name, ports.log, ports.sealer)
        self._busy = asyncio.Lock()
        self._stamp = ""
        self.marks: Marks = {}
        self._owned: frozenset[tuple[str, int]] = frozenset()
        self._next: dict[tuple[str, int], int] = {}

    @property
    def stamp(self) -> str:
        """The stamp that every call to the state must name."""
        return self._stamp

    async def start(self) -> Restored:
        """Passes the barrier before anything is assigned."""
        async with self._busy:
            return await self._restore_state()

    async def revoked(self) -> None:
        """Waits for the step in progress, so that the next owner finds it complete. Owns nothing until the next assignment."""
        async with self._busy:
            self._owned = frozenset()

    async def assigned(self, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Passes the barrier for newly owned partitions, and returns the positions to read from."""
        async with self._busy:
            await self._restore_state()
            check_undamaged(await find_damage(self.log, self.stage.reads, sources_of(self._raw_topics())))
            self._owned = self.workable(frozenset(partitions))
            self.marks = await self._own_marks()
            names = {topic.name: topic for topic in self.stage.reads}
            starts = {topic.name: await self.log.starts(topic) for topic in self.stage.reads}
            first = self.stage.reads[0].name
            await self._check_ends(self._list_places())
            await self._take_over([p for topic, p in sorted(self._owned) if topic == first])
            await self._check_ends(self._list_places())
            positions = {}
            for topic, p in self._owned:
                mark, start = self.marks.get(self.position_mark(names[topic], p), 0), starts[topic][p]
                if mark < start and mark > 0:
                    self._tell(f"{topic}/{p}: retention deleted the records {mark} to {start} before this stage read them")
                positions[topic, p] = max(self.log.generations.next_position(topic, p, mark), start)
            self._next = dict(positions)
            return positions

    async def step(self, batch: Batch) -> None:
        """Processes one poll to its end. Records before the watermark were projected already and are skipped."""
        async with self._busy:
            fresh = {at: new for at, records in batch.items() if at in self._owned and (new := self._drop_known(at, records))}
            if fresh:
                n = sum(len(records) for records in fresh.values())
                METRICS.polled.labels(self.stage.name).inc(n)
                METRICS.poll_records.labels(self.stage.name).observe(n)
                await self._process_poll(fresh)
                self._next |= {at: records[-1].offset + 1 for at, records in fresh.items()}

    async def take_policy(self, policy: Policy) -> None:
        """Uses another policy from the next poll on, never in the middle of a step."""
        async with self._busy:
            self.policy = policy
        METRICS.tell_policy(self.stage.name, policy)

    async def check(self) -> None:
        """Checks, while idle, that the state is still the one this process knows (LostState if not), that nobody else wrote facts
        into an own partition (LostLog; an idle owner would never project them), and that the log still contains everything read
        and written (DamagedLog)."""
        if await self.log.read_generations():
            raise LostLog("a new generation of the log was opened; this process has read by the positions of the previous one")
        await self._check_ends(self._list_places())
        own = self.stage.recorded
        ends = {} if own is None else await self.log.ends(own.topic)
        async with self._busy:
            checks = {mark: self.tolerated(mark) for mark in self._list_watched()}
            await self.store.call("fold", self._stamp, {bucket: Write(checks, {}) for bucket in range(BUCKETS)})
            if own is not None:
                for p in sorted({p for _, p in self._owned}):
                    if ends[p] > (mine := self.marks.get(own.fact_mark(p), 0)):
                        raise LostLog(f"{own.topic.name}/{p}: facts up to {ends[p]}, own up to {mine}: another owner is alive")

    async def tick(self) -> None:
        """Periodic work of an agent, beside its polls."""
        return

    def workable(self, owned: frozenset[tuple[str, int]]) -> frozenset[tuple[str, int]]:
        """The assigned partitions that may be worked on; records of the others wait in the log."""
        return owned

    def marks_behind(self, records: Iterable[Record], stream: MarkStream = MarkStream.OWN) -> Marks:
        """The watermarks after the facts of these records, the next ones of an input."""
        ends: dict[int, int] = {}
        counts: dict[int, int] = {}
        for record in records:
            p = record.partition
            ends[p], counts[p] = record.offset + 1, counts.get(p, 0) + 1
        sources = {source_mark(p, stream): end for p, end in ends.items()}
        return sources | {fact_mark(p): self.marks.get(fact_mark(p), 0) + n for p, n in counts.items()}

    def checks_before(self, behind: Mapping[Mark, int]) -> dict[Mark, Check]:
        """The checks of a live projection that moves the watermarks to those of `behind`. A worker at its barrier may have
        projected these facts already, fully or in part: then the watermarks are between here and there, and a repeated projection
        changes nothing. Anything else is another owner."""
        return {mark: (self.marks.get(mark, 0), end) for mark, end in behind.items()}

    def tolerated(self, mark: Mark) -> Check:
        """The values of an own watermark that raise no alarm while nothing is in progress."""
        return self.marks.get(mark, 0)

    def drifts(self, mark: Mark) -> bool:
        """Whether an own watermark may differ between buckets for a while; the lowest counts then."""
        return mark.kind not in OF_FACTS

    def _list_places(self) -> dict[tuple[str, int], int]:
        """The known ends of the owned partitions: the read inputs, and the own facts."""
        names = {topic.name: topic for topic in self.stage.reads}
        places = {(name, p): self.marks.get(self.position_mark(names[name], p), 0) for name, p in self._owned}
        if (own := self.stage.recorded) is not None:
            places |= {(own.topic.name, p): self.marks.get(own.fact_mark(p), 0) for p in {p for _, p in self._owned}}
        return places

    async def _check_ends(self, places: Mapping[tuple[str, int], int]) -> None:
        """DamagedLog if a partition ends before its known end. The ends are read after the positions."""
        topics = {topic.name: topic for topic in (*self.stage.reads, *self.stage.writes)}
        ends = {name: await self.log.ends(topics[name]) for name in dict.fromkeys(name for name, _ in places)}
        check_undamaged(lost_tails(self.stage.name, places, ends))

    def _raw_topics(self) -> list[tuple[Topic, Topic]]:
        """The topic of an institution that writes raw, and that of its receipts."""
        own = self.stage.recorded
        return [(topic, own.topic) for topic in self.stage.reads if topic.party is not None and own is not None]

    def _list_watched(self) -> list[Mark]:
        topics = {topic.name: topic for topic in self.stage.reads}
        return [self.position_mark(topics[name], p) for name, p in self._owned]

    async def _own_marks(self) -> Marks:
        """The watermarks of the owned partitions: after the barrier they are equal in every bucket (others' may be moving)."""
        buckets = await self.store.marks()
        owned = {p for _, p in self._owned}
        own = [{mark: n for mark, n in marks.items() if mark.partition in owned} for marks in buckets]
        firm = [{mark: n for mark, n in marks.items() if not self.drifts(mark)} for marks in own]
        if any(marks != firm[0] for marks in firm):
            raise LostState("the watermarks of an own partition differ between buckets: another worker writes to it")
        late = {mark: min(marks.get(mark, 0) for marks in own) for bucket in own for mark in bucket if self.drifts(mark)}
        return firm[0] | late

    async def _restore_state(self) -> Restored:
        began = time.perf_counter()
        await self.log.read_generations()
        restored = await restore(self.stage, self.log, self.store, self._tell)
        self._stamp = restored.stamp
        METRICS.restore_s.labels(self.stage.name).observe(time.perf_counter() - began)
        METRICS.restored.labels(self.stage.name).inc(restored.folded)
        return restored

    def _drop_known(self, at: tuple[str, int], records: Sequence[Record]) -> Sequence[Record]:
        place = self._next[at]
        fresh = records if records[0].offset >= place else [record for record in records if record.offset >= place]
        if self.gapless and fresh and fresh[0].offset > self.log.generations.next_position(*at, place):
            raise LostLog(f"{at[0]}/{at[1]}: expected offset {place}, the broker gave {fresh[0].offset}")
        return fresh

    async def append_facts(self, topic: Topic, facts: Iterable[tuple[Record, bytes | None, bytes]]) -> None:
        """Appends one fact for each record: the record, the fact's key and value. LostLog if they do not land after the own ones
        (law 2): then another owner is alive."""
        entries: dict[int, list[Entry]] = {}
        for record, key, value in facts:
            entries.setdefault(record.partition, []).append((key, value))
        for partition, offset in (await self.log.append(topic, entries)).items():
            expected = self.marks.get(fact_mark(partition), 0)
            if offset != expected:
                raise LostLog(f"{topic.name}/{partition}: facts landed at {offset}, not {expected}: another owner is alive")

    def position_mark(self, topic: Topic, partition: int) -> Mark:
        """The watermark of the next record to read of this input."""
        return self.stage.place_mark(topic, partition)

    async def _take_over(self, partitions: Sequence[int]) -> None:
        """The work that an owner must finish for its predecessor first."""
        return

    @abc.abstractmethod
    async def _process_poll(self, batch: Batch) -> None: ...
