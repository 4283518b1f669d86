"""Any day on which the broker loses what it acknowledged: appends, losses, records that take the lost ones' places, workers that
go on until they notice, a Redis that is emptied, recoveries.

Whatever happens, after a recovery each record that stands in the log is decided, each signal joins its case once, no position was
given twice, and the state that the log gives is the live one.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
from hypothesis import event, given, settings
from hypothesis import strategies as st

from schemas.cases.case import CaseChange
from schemas.codec import decode
from schemas.signals.retraction import source_of_join
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
from stream_processors.state.compression import unpack
from stream_processors.state.restore import OtherLog
from tests.chaos.after_losses import find_half_lost
from tests.support.builders import POLICY, account, action_record, move, retraction, retraction_record, submission, submitted
from tests.support.memory_store import MemoryRedis
from tests.support.world import World, content, sources

FACTOR = int(os.environ.get("LIANDONG_HYPOTHESIS_FACTOR", "1"))
TOPICS = (
    *(SUBMITTED, RETRACTIONS, ASSESSED, CASE_COMMANDS, CASE_CHANGES, NOTIFICATIONS),
    *(DELIVERIES, APPRAISAL_COMMANDS, APPRAISAL_CHANGES),
)
LISTING_ALL = POLICY.model_copy(update={"case_signals_kept": 200})
STAGES = ("assess", "track", "deliver", "timekeeper", "webhook", "project")
ACT = st.one_of(
    st.tuples(st.just("submit"), st.integers(0, 2), st.integers(1, 6)),
    st.tuples(st.just("submit"), st.integers(0, 2), st.integers(1, 6)),
    st.tuples(st.just("corroborate"), st.integers(0, 2), st.integers(3, 5), st.sampled_from((100_000, 4_000_000, 60_000_000))),
    st.tuples(st.just("corroborate"), st.integers(0, 2), st.integers(3, 5), st.sampled_from((100_000, 4_000_000, 60_000_000))),
    st.tuples(st.just("retract"), st.integers(0, 40)),
    st.tuples(st.just("merge"), st.integers(0, 5), st.integers(0, 5)),
    st.tuples(st.just("split"), st.integers(0, 5), st.integers(1, 2)),
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

    def move(self, kind: str, number: int, other: int) -> None:
        """An officer takes a case and merges it into another of its queue, or splits signals off it."""
        cases = [case for _, case in sorted(cases_of(self.world, "project").items())]
        if not cases:
            return
        case = cases[number % len(cases)]
        own = [one["case_id"] for one in cases if one["queue"] == case["queue"]]
        more = {"into_case_id": own[other % len(own)]} if kind == "merge" else {"signals": _ids(case)[:other] or ("none",)}
        for what, fields in (("claim", {}), (kind, more)):
            self.number += 1
            self.world.clock.forward(1)
            whole = {"action_id": f"{what}-{self.number}", "case_id": case["case_id"], "queue": case["queue"], **fields}
            self.world.submit(*action_record(move(what, **whole)), CASE_COMMANDS)

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
        elif what in ("merge", "split"):
            self.move(what, *how)
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


def applied_of(world: World, kind: str) -> Iterator[CaseChange]:
    """The changes that count, without those by which a case sent on what another one does."""
    for changes in sources(world.log.all(CASE_CHANGES), CASE_CHANGES, CASE_COMMANDS).values():
        if changes[0].data.kind == kind and changes[0].data.outcome == "applied" and not changes[0].data.follow_ups:
            yield changes[0].data


def taken_back_of(world: World) -> set[str]:
    """Signals and queues of the retractions that cases saw. All else of a retraction may be lost."""
    return {str(change.action_id).removeprefix("retract-") for change in applied_of(world, "retract")}


def live_joins_of(world: World) -> set[str]:
    """The joins that count, were not taken back, and whose signals the log has not lost."""
    there = {(record.partition, record.offset) for record in world.log.all(SUBMITTED)}
    joined = set()
    for changes in sources(world.log.all(CASE_CHANGES), CASE_CHANGES, CASE_COMMANDS).values():
        change = changes[0].data
        source = source_of_join(change.origin) if change.kind == "join" and change.outcome == "applied" else None
        if source is not None and source[:2] in there:
            joined.add(change.action_id.removeprefix("join-"))
    return joined - taken_back_of(world)


def joins_of(world: World) -> Counter[str]:
    """How often each signal joined a case, by the changes that count."""
    return Counter(str(change.action_id) for change in applied_of(world, "join"))


def cases_of(world: World, stage: str = "track") -> dict[str, dict[str, Any]]:
    values = [value for bucket in world.redis[stage].buckets for value in bucket.values.values()]
    cases = [orjson.loads(unpack(value["case"])) for value in values if isinstance(value, dict) and "case" in value]
    return {case["case_id"]: case for case in cases}


def _ids(case: dict[str, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(signal["signal_id"] for signal in case["signals"]))


def check_counts(world: World) -> None:
    """Each signal counts once in each queue that it was routed to, wherever cases were merged or split. But for what was handed
    over where only that half is left."""
    listed: Counter[tuple[str, str]] = Counter()
    for case in cases_of(world).values():
        assert len(case["signals"]) == case["signal_count"]  # the policy of these days lists all
        listed.update((case["queue"], signal["signal_id"]) for signal in case["signals"])
    half_lost = find_half_lost(world.log.all(CASE_CHANGES), world.log.generations).values()
    beside = Counter(name for half in half_lost for name in half.names)
    twice = [about for about, n in listed.items() if n > 1 + beside[f"{about[1]}/1"]]
    assert not twice, f"counts in two cases: {twice}"
    facts = [found[0].data for found in sources(world.log.all(ASSESSED), ASSESSED, SUBMITTED).values()]
    undone = {
        one.signal_id
        for found in sources(world.log.all(ASSESSED), ASSESSED, RETRACTIONS).values()
        for one in found[0].data.retracted_contributions
    }
    alive = {
        (route.queue, fact.signal_id)
        for fact in facts
        for route in fact.routes
        if fact.outcome == "assessed" and fact.signal_id not in undone
    }
    nowhere = {(queue, name) for queue, name in alive - listed.keys() if f"{name}-{queue}" not in taken_back_of(world)}
    assert not nowhere, f"counts nowhere: {nowhere}"


async def check(world: World) -> None:
    check_counts(world)
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
        asked.update(f"{one.recipient} {one.notification_id}" for one in changes[0].data.notifications)
    for record in world.log.all(NOTIFICATIONS):
        notice = decode(NOTIFICATIONS, record.value).data.notification
        told[f"{notice.recipient} {notice.notification_id}"] += 1
    assert asked.keys() <= told.keys(), f"never issued: {asked.keys() - told.keys()}"


async def live(acts: list[tuple[Any, ...]]) -> None:
    day = Day(await World(workers=1, policy=LISTING_ALL).up())
    day.submit(0, 4)
    day.submit(1, 3)
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
