"""Any day on which the broker loses what it acknowledged: appends, losses, records that take the lost ones' places, workers that
go on until they notice, a Redis that is emptied, recoveries.

Whatever happens, after a recovery each record that stands in the log is decided, each signal joins its case once, no position was
given twice, and the state that the log gives is the live one.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from schemas.codec import decode
from schemas.topics import (
    APPRAISAL_CHANGES,
    APPRAISAL_COMMANDS,
    ASSESSED,
    CASE_CHANGES,
    CASE_COMMANDS,
    DELIVERIES,
    NOTIFICATIONS,
    RETRACTIONS,
    SUBMITTED,
    Topic,
)
from stream_processors.runtime.log import DamagedLog
from stream_processors.state.restore import OtherLog
from tests.support.builders import account, retraction, retraction_record, submission, submitted
from tests.support.memory_store import MemoryRedis
from tests.support.world import World, content, sources

FACTOR = int(os.environ.get("LIANDONG_HYPOTHESIS_FACTOR", "1"))
TOPICS = (
    SUBMITTED,
    RETRACTIONS,
    ASSESSED,
    CASE_COMMANDS,
    CASE_CHANGES,
    NOTIFICATIONS,
    DELIVERIES,
    APPRAISAL_COMMANDS,
    APPRAISAL_CHANGES,
)
STAGES = ("assess", "track", "deliver", "timekeeper", "webhook", "project")
ACT = st.one_of(
    st.tuples(st.just("submit"), st.integers(0, 2), st.integers(1, 6)),
    st.tuples(st.just("submit"), st.integers(0, 2), st.integers(1, 6)),
    st.tuples(st.just("corroborate"), st.integers(0, 2), st.integers(3, 5), st.sampled_from((100_000, 4_000_000, 60_000_000))),
    st.tuples(st.just("corroborate"), st.integers(0, 2), st.integers(3, 5), st.sampled_from((100_000, 4_000_000, 60_000_000))),
    st.tuples(st.just("retract"), st.integers(0, 40)),
    st.tuples(st.just("poll"), st.sampled_from(STAGES), st.integers(1, 8)),
    st.tuples(st.just("drain")),
    st.tuples(st.just("lose"), st.sampled_from(TOPICS[:6]), st.integers(1, 6)),
    st.tuples(st.just("lose"), st.sampled_from(TOPICS), st.integers(1, 6)),
    st.tuples(st.just("cut all"), st.lists(st.integers(0, 5), min_size=len(TOPICS), max_size=len(TOPICS))),
    st.tuples(st.just("restart"), st.sampled_from(STAGES)),
    st.tuples(st.just("empty"), st.sampled_from((*STAGES, "all"))),
    st.tuples(st.just("recover")),
)


class Day:
    """One worker a stage. A stage that noticed a loss stands still until the recovery."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.number = 0
        self.stopped: set[str] = set()
        self.has_lost = False
        self.places: dict[tuple[str, int, int], bytes | None] = {}

    def submit(self, subject: int, n: int) -> None:
        for _ in range(n):
            self.number += 1
            self.world.clock.forward(1)
            amount = {"minor": 2_000_000 + self.number, "currency": "CNY"}
            one = submitted(f"bank-00{1 + self.number % 3}", f"r-{self.number}", indicators=[account(subject)], amount=amount)
            self.world.submit(*submission(one), SUBMITTED)

    def corroborate(self, subject: int, shared: int, minor: int) -> None:
        """Whether it is routed follows from what was decided before it in other partitions."""
        self.number += 1
        self.world.clock.forward(1)
        seen = [account(subject), account(shared)]
        amount = {"minor": minor + self.number, "currency": "CNY"}
        one = submitted(f"bank-00{1 + self.number % 3}", f"r-{self.number}", indicators=seen, amount=amount)
        self.world.submit(*submission(one), SUBMITTED)

    def retract(self, number: int) -> None:
        self.world.clock.forward(1)
        if 0 < number <= self.number:
            self.world.submit(*retraction_record(retraction(f"bank-00{1 + number % 3}", f"r-{number}")), RETRACTIONS)

    async def poll(self, stage: str, limit: int) -> bool:
        """Looks at the log as a worker does once a second, and then polls."""
        if stage in self.stopped:
            return False
        try:
            agent = self.world.workers[stage][0].agent
            if self.has_lost:
                await agent.check()
            self.world.clock.forward(1)
            return await self.world.poll(stage, 0, limit)
        except (DamagedLog, OtherLog):
            self.stopped.add(stage)
            return False

    async def restart(self, stage: str) -> None:
        if stage in self.stopped:
            return
        try:
            self.world.workers[stage][0] = await self.world._started(stage, 0)
        except (DamagedLog, OtherLog, AssertionError):
            assert self.has_lost, self.world.ended
            self.stopped.add(stage)

    async def empty(self, stage: str) -> None:
        for name in STAGES if stage == "all" else (stage,):
            self.world.redis[name] = MemoryRedis(self.world.clock)
            await self.restart(name)

    async def recover(self) -> None:
        self.world.clock.forward(1)
        event(f"{len(await self.world.recover())} losses")
        self.stopped.clear()
        self.has_lost = False

    async def drain(self) -> None:
        for _ in range(100):
            if not any([await self.poll(stage, 20) for stage in STAGES]):
                return
        raise AssertionError(f"it does not come to an end: {self.world.ended[-3:]}")

    async def settle(self) -> None:
        """A broker that loses something was away: all workers start anew. What cases ask for was issued before."""
        if not self.has_lost:
            while await self.poll("deliver", 20):
                pass

    def lose(self, topic: Topic, n: int) -> None:
        p = max(range(topic.partitions), key=lambda p: len(self.world.log.all(topic, p)))
        self.has_lost |= bool(self.world.log.lose_tail(topic, p, n))

    def cut_all(self, most: list[int]) -> None:
        for topic, n in zip(TOPICS, most, strict=True):
            for p in range(topic.partitions):
                self.has_lost |= bool(self.world.log.lose_tail(topic, p, n))

    async def act(self, what: str, *how: Any) -> None:
        if what == "submit":
            self.submit(*how)
        elif what == "corroborate":
            self.corroborate(*how)
        elif what == "retract":
            self.retract(*how)
        elif what == "poll":
            await self.poll(*how)
        elif what in ("lose", "cut all"):
            await self.settle()
            self.lose(*how) if what == "lose" else self.cut_all(*how)
            for stage in STAGES:
                await self.restart(stage)
        elif what == "drain":
            await self.drain()
        elif what == "restart":
            await self.restart(*how)
        elif what == "empty":
            await self.empty(*how)
        elif what == "recover":
            await self.recover()


def live_joins_of(world: World) -> set[str]:
    """The joins that count, were not taken back, and whose signals the log has not lost."""
    there = {(record.partition, record.offset) for record in world.log.all(SUBMITTED)}
    joined, gone = set(), set()
    for changes in sources(world.log.all(CASE_CHANGES), CASE_CHANGES, CASE_COMMANDS).values():
        change = changes[0].data
        if change.outcome != "applied":
            continue
        if change.kind == "retract":
            gone.add(change.action_id.removeprefix("retract-"))
        elif change.kind == "join":
            _, p, code = f":{change.origin}".rsplit(":", 2)
            if (int(p), (int(code) - 1) // 16) in there:
                joined.add(change.action_id.removeprefix("join-"))
    return joined - gone


def joins_of(world: World) -> Counter[str]:
    """How often each signal joined a case, by the changes that count."""
    joined: Counter[str] = Counter()
    for changes in sources(world.log.all(CASE_CHANGES), CASE_CHANGES, CASE_COMMANDS).values():
        change = changes[0].data
        joined.update([change.action_id] if change.kind == "join" and change.outcome == "applied" else [])
    return joined


async def check(world: World) -> None:
    for topic, about in ((ASSESSED, SUBMITTED), (ASSESSED, RETRACTIONS), (CASE_CHANGES, CASE_COMMANDS)):
        decided = sources(world.log.all(topic), topic, about).keys()
        there = {(record.partition, record.offset) for record in world.log.all(about)}
        assert there <= decided, f"{about.name}: without a fact: {sorted(there - decided)}"
    for stage in world.stages:
        assert content(world.redis[stage]) == content(await world.afresh(stage)), stage
    facts = [found[0].data for found in sources(world.log.all(ASSESSED), ASSESSED, SUBMITTED).values()]
    sent = {f"join-{fact.signal_id}-{route.queue}" for fact in facts for route in fact.routes if fact.outcome == "assessed"}
    joined = joins_of(world)
    assert set(joined.values()) <= {1}, "a signal counts twice"
    assert sent <= joined.keys(), f"never joined: {sent - joined.keys()}"
    named = {name.removeprefix("join-") for name in sent}
    assert live_joins_of(world) <= named, f"counts, and no fact says so: {live_joins_of(world) - named}"
    asked, told = Counter[str](), Counter[str]()
    for changes in sources(world.log.all(CASE_CHANGES), CASE_CHANGES, CASE_COMMANDS).values():
        asked.update(f"{one.recipient} {one.notice_id}" for one in changes[0].data.notices)
    for record in world.log.all(NOTIFICATIONS):
        notice = decode(NOTIFICATIONS, record.value).data.notice
        told[f"{notice.recipient} {notice.notice_id}"] += 1
    assert asked.keys() <= told.keys(), f"never issued: {asked.keys() - told.keys()}"


async def live(acts: list[tuple[Any, ...]]) -> None:
    day = Day(await World(workers=1).up())
    day.submit(0, 4)
    await day.drain()
    for act in acts:
        await day.act(*act)
    await day.recover()
    day.submit(0, 3)
    day.submit(1, 2)
    await day.drain()
    await check(day.world)


@settings(max_examples=40 * FACTOR, deadline=None)
@given(st.lists(ACT, max_size=14))
def test_after_a_recovery_all_that_stands_in_the_log_is_decided_once(acts: list[tuple[Any, ...]]) -> None:
    asyncio.run(live(acts))
