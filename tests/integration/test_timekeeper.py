"""Real timekeepers on a real Kafka and Redis: what is due falls due once, never early, whatever is killed, emptied or set.

The cases are the test's own (tests/support/fake_track.py), for their clocks are to fall due within seconds; the last test has the
real track.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml
from redis.asyncio import Redis

from deploy.local.process_specs import AGENTS
from deploy.local.stack import Stack
from schemas.cases.case import ActionKind, ActionOutcome
from schemas.codec import decode
from schemas.envelope import Origin
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, SUBMITTED
from stream_processors.progress import places
from stream_processors.recovery.rebuild import digest, rebuild
from stream_processors.runtime.crash_points import POINTS
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.settings import SHIPPED_POLICY, Settings
from stream_processors.state.marks import MarkStream, fact_mark
from stream_processors.topology import STAGES
from tests.chaos.faults import FAKETIME
from tests.support.builders import action_record, join
from tests.support.fake_track import FakeTrack

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="function"), pytest.mark.timeout(240)]
WORKERS = ("timekeeper-0", "timekeeper-1")
WAIT_S = 60
LATE_MS = 1500
"""A second, and something for a machine that runs other tests beside."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("timekeeper")
    workers = dict.fromkeys(AGENTS, 0) | {"timekeeper": 2}
    services = ("kafka", "redis", "workers")
    with Stack("timekeeper", home=home, services=services, workers=workers, backoff_max_s=0.5, kafka_heap_mb=256) as found:
        yield found


class Day:
    """The cases of one test, with names of their own; track goes on from where the log ends."""

    def __init__(self, stack: Stack, name: str) -> None:
        self.stack, self.name = stack, name
        self.settings = Settings(kafka_bootstrap=stack.kafka_bootstrap, redis_url=stack.redis_url, keys_file=stack.places.keys)
        self.log = KafkaLog(self.settings, "test")
        self.track = FakeTrack(self.log)
        self.redis = Redis.from_url(stack.redis_url, protocol=2)
        self._cases = 0

    async def open(self) -> None:
        await self.log.open()
        self.track.at.update(await self.log.ends(CASE_COMMANDS))

    async def start(self, count: int, *, ms: int, step_ms: int = 0) -> None:
        for n in range(count):
            self._cases += 1
            await self.track.ask(f"case-{self.name}-{self._cases}", f"start warn {ms + n * step_ms}")
        await self.track.work()

    async def until_fired(self, count: int) -> None:
        deadline = time.monotonic() + WAIT_S
        while len(self.track.fired) < count:
            assert time.monotonic() < deadline, f"{len(self.track.fired)} of {count} fell due; {self.track.refused}"
            await self.track.work()
            await asyncio.sleep(0.02)
        assert set(self.track.fired.values()) == {1} and len(self.track.fired) == count
        assert min(self.track.late_ms.values()) >= 0

    async def at_rest(self) -> None:
        """Every answer is in the index."""
        stage, deadline = STAGES["timekeeper"], time.monotonic() + WAIT_S
        while await places(
            self.redis, stage.namespace, fact_mark(0, MarkStream.CASES), CASE_CHANGES.partitions
        ) != await self.log.ends(CASE_CHANGES):
            assert time.monotonic() < deadline
            await self.track.work()
            await asyncio.sleep(0.05)

    async def digest(self, redis_url: str) -> str:
        return await digest(redis_url, "timekeeper", int(time.time() * 1000), self.settings.policy())


@pytest.fixture
async def day(stack: Stack, request: pytest.FixtureRequest) -> AsyncIterator[Day]:
    made = Day(stack, request.node.name.partition("[")[0][-12:] + str(time.time_ns() // 1_000_000 % 10**7))
    await made.open()
    try:
        yield made
    finally:
        await made.log.close()
        await made.redis.aclose()


async def test_clocks_fall_due_once_and_within_a_second_with_two_workers_at_work(day: Day) -> None:
    await day.start(200, ms=4000, step_ms=20)
    await day.until_fired(200)
    assert max(day.track.late_ms.values()) <= LATE_MS
    assert day.track.refused.total() <= len(WORKERS), "but for those that ask the broker for its time"


@pytest.mark.parametrize("name", [name for name in POINTS if name.startswith("timekeeper.")])
async def test_a_timekeeper_that_is_killed_between_two_steps_is_whole_again(
    day: Day, stack: Stack, name: str, tmp_path: Path
) -> None:
    latch = tmp_path / "hit"
    for worker in WORKERS:
        await asyncio.to_thread(stack.stop_one, worker, grace_s=0)
    await asyncio.to_thread(stack.start_one, WORKERS[0], env={"LIANDONG_CRASH": f"{name}@2@{latch}"})
    await day.start(40, ms=4000, step_ms=50)
    await day.start(10, ms=7000)
    await day.until_fired(50)
    assert latch.exists(), f"{name} was not passed"
    await asyncio.to_thread(stack.start_one, WORKERS[1])


async def test_an_emptied_redis_is_rebuilt_to_the_same_index_and_what_was_to_fall_due_does(day: Day, stack: Stack) -> None:
    await day.start(60, ms=8000, step_ms=100)
    await day.start(30, ms=600_000)
    await day.at_rest()
    await day.redis.flushdb()
    await day.until_fired(60)
    await day.at_rest()
    apart = stack.redis_url.removesuffix("/0") + "/1"
    assert (await rebuild(day.settings, apart, ["timekeeper"]))["timekeeper"] > 0
    assert await day.digest(apart) == await day.digest(stack.redis_url)


@pytest.mark.parametrize("shift", ["+3h", "-3h"])
async def test_a_timekeeper_whose_machine_has_another_time_goes_by_the_broker_s(day: Day, stack: Stack, shift: str) -> None:
    """The log is at rest when it starts: nothing but its own question tells it the time."""
    library = next((path for path in FAKETIME if path.exists()), None)
    if library is None:
        pytest.skip("NOT TESTED: a shifted clock needs libfaketime (Debian: apt-get install libfaketime)")
    await day.start(20, ms=12_000)
    await day.at_rest()
    env = {"LD_PRELOAD": str(library), "FAKETIME": shift, "FAKETIME_DONT_FAKE_MONOTONIC": "1"}
    for name in WORKERS:
        await asyncio.to_thread(stack.stop_one, name, grace_s=0)
        await asyncio.to_thread(stack.start_one, name, env=env)
    await day.until_fired(20)
    on_time = [late for late in day.track.late_ms.values() if late <= LATE_MS]
    assert len(on_time) >= 8, "of one of the two; the other may be at its start still"
    for name in WORKERS:
        await asyncio.to_thread(stack.restart, name, env=dict.fromkeys(env, ""))


async def test_a_case_that_nobody_acknowledges_is_told_of_by_the_real_track(day: Day, stack: Stack, tmp_path: Path) -> None:
    """The last one: track decides from here on."""
    policy = yaml.safe_load(SHIPPED_POLICY.read_text("utf-8"))
    short = {"name": "acknowledge", "length": {"seconds": 4}, "basis": "a test", "warn_before": {"seconds": 2}}
    escalate = [{"to": "unit_head", "after": {"seconds": 2}}]
    rules = [one for one in policy["deadlines"]["rules"] if one["name"] != "acknowledge"]
    policy["deadlines"]["rules"] = [*rules, {**short, "escalate": escalate}]
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(policy, allow_unicode=True), "utf-8")
    before = await day.log.ends(CASE_CHANGES)
    await asyncio.to_thread(stack.start_one, "track-0", env={"LIANDONG_POLICY_FILE": str(file)})
    joins = [join(f"case-{day.name}-{n}", f"join-{n}", signal_id=f"sig-{n}") for n in range(20)]
    for n, one in enumerate(joins):
        await day.log.append_keyed(CASE_COMMANDS, [action_record(one, Origin(SUBMITTED.name, 0, n))])

    async def told() -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for p, end in (await day.log.ends(CASE_CHANGES)).items():
            async for records in day.log.read(CASE_CHANGES, p, before[p], end):
                for change in (decode(CASE_CHANGES, record.value).data for record in records):
                    if change.kind is ActionKind.DEADLINE_DUE and change.outcome is ActionOutcome.APPLIED:
                        says = [one.template for one in change.notifications]
                        found.setdefault(change.case_id, []).append(says[0] if says else "nobody")
        return found

    deadline = time.monotonic() + WAIT_S
    while sum(map(len, (found := await told()).values())) < 60:
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.3)
    assert found == {one.case_id: ["deadline_approaching", "deadline_passed", "deadline_escalated"] for one in joins}
