"""The timekeeper over in-memory ports: what is due is asked for, once, by the broker's time, until it is decided."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from schemas.codec import decode
from schemas.deadlines import Deadlines
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, DEADLETTER
from stream_processors.domain.deadlines import in_flight as asking
from stream_processors.domain.deadlines.in_flight import NUDGE_AFTER_S
from stream_processors.runtime.crash_points import POINTS
from stream_processors.runtime.log import partition_of
from stream_processors.runtime.metrics import METRICS
from tests.support.crashing import crashing
from tests.support.ticking import Ticking, own_time
from tests.support.world import content

IN_PROCESS = [name for name in POINTS if name.startswith("timekeeper.")]
SHORT = Deadlines.model_validate(
    {
        "rules": [
            {
                "name": "block",
                "length": {"seconds": 20},
                "basis": "Art. 22",
                "warn_before": {"seconds": 5},
                "escalate": [{"to": "unit_head", "after": {"seconds": 10}}, {"to": "city", "after": {"seconds": 30}}],
            },
        ]
    }
)
STEPS = ["warn", "due", "escalate-1", "escalate-2"]


@pytest.fixture
async def day() -> AsyncIterator[Ticking]:
    with own_time(Ticking()) as made:
        yield await made.up()


def _gauge(name: str) -> float:
    return METRICS.registry.get_sample_value(f"liandong_{name}") or 0.0


async def _started(day: Ticking, *wishes: tuple[str, str]) -> None:
    for case_id, wish in wishes:
        await day.track.ask(case_id, wish)
    await day.track.work()
    for number in (0, 1):
        await day.fold(number)


async def test_every_step_of_a_clock_falls_due_once_and_within_a_second(day: Ticking) -> None:
    day.track.rules = SHORT
    await _started(day, ("case-1", "start block"))
    await day.run(60)
    assert day.track.fired == {("case-1", "block", 1, step): 1 for step in STEPS}
    assert max(day.track.late_ms.values()) <= 1000
    assert day.index() == day.wanted() == {}


async def test_a_moment_is_asked_for_once_however_long_track_takes(day: Ticking) -> None:
    await _started(day, ("case-1", "start warn 1000"), ("case-2", "start warn 1000"))
    await day.run(1)
    before = day.asked()
    for _ in range(300):
        day.pass_s(0.2)
        for number in (0, 1):
            await day.tick(number)
    asked = day.asked() - before
    assert 2 <= asked <= 2 + 2 * 60 / NUDGE_AFTER_S, "each once; and a sign of life now and then, for the log may have lost it"
    await day.run(1)
    assert set(day.track.fired.values()) == {1} and len(day.track.fired) == 2


async def test_a_clock_that_ends_before_its_time_is_never_asked_for(day: Ticking) -> None:
    await _started(day, ("case-1", "start warn 5000"), ("case-2", "start warn 5000"), ("case-2", "start block 9000"))
    await day.run(2)
    before = day.asked()
    await _started(day, ("case-1", "stop warn"), ("case-2", "cancel"))
    await day.run(20)
    assert not day.track.fired and day.asked() == before


async def test_of_a_case_with_several_clocks_only_what_has_come_is_asked_for(day: Ticking) -> None:
    await _started(day, ("case-1", "start warn 1000"), ("case-1", "start block 30000"))
    await day.run(5)
    assert day.asked() - day.track.refused["not-due"] == 1 and day.track.refused["not-due"] <= 1
    assert [name for _, name, _, _ in day.track.fired] == ["warn"]


async def test_the_first_request_may_be_early_to_learn_the_time_and_is_refused(day: Ticking) -> None:
    """After a start nothing is known of the broker's time but by what it stamps."""
    await _started(day, ("case-1", "start warn 600000"))
    await day.run(10)
    assert day.track.refused == {"not-due": 1} and day.asked() == 1
    await day.run(600)
    assert day.track.fired == {("case-1", "warn", 1, "due"): 1}


async def test_a_worker_whose_machine_thinks_it_is_another_day_is_right_all_the_same(day: Ticking) -> None:
    await _started(day, ("case-1", "start warn 3000"))
    for days in (400, -900):
        day.mono_ms += days * 86_400_000  # its wall clock is never read; this is the clock of the next process
        await day.world.restart("timekeeper", 0)
        await day.world.restart("timekeeper", 1)
    await day.run(2.4)
    assert not day.track.fired
    await day.run(2)
    ((_, late_ms),) = day.track.late_ms.items()
    assert 0 <= late_ms <= 1000


@pytest.mark.parametrize("hours", [3, -3])
async def test_a_broker_whose_clock_is_set_is_followed(day: Ticking, hours: int) -> None:
    await _started(day, ("case-1", "start warn 3600000"), ("case-2", "start warn 2000"))
    await day.run(3)
    assert len(day.track.fired) == 1
    day.world.clock.forward(hours * 3600)
    await day.track.ask("case-3", "start warn 1000")
    await day.run(3600 * (1 if hours > 0 else 4) + 700, every_s=20)
    assert day.track.fired["case-1", "warn", 1, "due"] == day.track.fired["case-3", "warn", 1, "due"] == 1
    assert set(day.track.fired.values()) == {1}


async def test_a_burst_of_many_cases_with_many_clocks_is_asked_for_a_part_a_tick(day: Ticking) -> None:
    wishes = [(f"case-{n:024x}", f"start {name} 1000") for n in range(1500) for name in ("warn", "block")]
    await _started(day, *wishes)
    await day.run(1)
    ticks = 0
    while sum(day.track.fired.values()) < 3000:
        await day.run(0.2)
        ticks += 1
        assert ticks < 20
    assert max(day.track.fired.values()) == 1
    assert day.asked() - day.track.refused["not-due"] == 3000


async def test_a_worker_that_takes_over_does_not_ask_for_much_that_is_asked_for_already(
    day: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "FEW", 0)
    await _started(day, *((f"case-{n}", "start warn 1000") for n in range(40)))
    await day.run(1)
    day.pass_s(0.4)
    for number in (0, 1):
        await day.tick(number)
        await day.world.restart("timekeeper", number)
        await day.tick(number)
    asked = day.asked()
    await day.run(2)
    assert day.asked() == asked and len(day.track.fired) == 40


async def test_each_worker_asks_for_its_own_partitions_alone(day: Ticking) -> None:
    await _started(day, *((f"case-{n}", "start warn 1000") for n in range(40)))
    await day.run(1)
    day.pass_s(1)
    await day.tick(0)
    own = {partition_of(f"case-{n}".encode(), 8) % 2 for n in range(40)}
    assert own == {0, 1}
    due = [r for r in day.world.log.all(CASE_COMMANDS) if r.timestamp_ms >= day.world.clock.ms]
    assert due and all(record.partition % 2 == 0 for record in due)


async def test_what_the_log_lost_is_asked_for_again(day: Ticking) -> None:
    """A broker that came back without its newest records: the requests are gone, nobody answers them."""
    await _started(day, *((f"case-{n}", "start warn 1000") for n in range(20)))
    await day.run(1)
    ends = await day.world.log.ends(CASE_COMMANDS)
    day.pass_s(0.4)
    for number in (0, 1):
        await day.tick(number)
    for p, end in ends.items():
        del day.world.log._records[CASE_COMMANDS.name][p][end:]
    await day.run(NUDGE_AFTER_S + 4)
    assert len(day.track.fired) == 20 and set(day.track.fired.values()) == {1}


async def test_what_is_no_change_is_put_aside_and_nothing_of_it_is_indexed(day: Ticking) -> None:
    day.world.log.put(CASE_CHANGES, 2, b"k", b"no change")
    await _started(day, ("case-1", "start warn 1000"))
    letters = [decode(DEADLETTER, record.value).data for record in day.world.log.all(DEADLETTER)]
    assert [(one.stage, one.partition) for one in letters] == [("timekeeper", 2)]
    assert day.index() == day.wanted()


async def test_the_metrics_tell_how_many_are_open_how_many_due_and_how_late(day: Ticking) -> None:
    await _started(day, ("case-1", "start warn 1000"), ("case-1", "start block 7200000"))
    await day.run(0.8)
    number = partition_of(b"case-1", 8) % 2
    await day.tick(number)
    assert (_gauge("open_clocks"), _gauge("due_cases"), _gauge("oldest_due_seconds")) == (2, 0, 0)
    day.pass_s(11)
    await day.tick(number)
    assert (_gauge("open_clocks"), _gauge("due_cases"), _gauge("oldest_due_seconds")) == (2, 1, 10.8)


@pytest.mark.parametrize("name", IN_PROCESS)
@pytest.mark.parametrize("nth", [1, 2, 3])
async def test_a_death_at_a_crash_point_changes_nothing_in_the_end(day: Ticking, name: str, nth: int) -> None:
    with crashing() as crasher:
        crasher.arm(name, nth)
        for n in range(6):
            await day.track.ask(f"case-{n}", f"start warn {500 * n}")
            await day.run(0.4)
        await day.run(10)
        assert crasher.hit[name] == 1
    await _all_is_whole(day, 6)


@pytest.mark.parametrize("how", ["cut", "after"])
@pytest.mark.parametrize("call", [1, 2])
async def test_an_end_in_the_middle_of_a_tick_s_call_changes_nothing_in_the_end(day: Ticking, how: str, call: int) -> None:
    """The look for what is due, and the append."""
    await _started(day, *((f"case-{n}", "start warn 1000") for n in range(30)))
    await day.run(2)
    await _started(day, *((f"late-{n}", "start warn 0") for n in range(30)))
    for number in (0, 1):
        await day.tick(number, (how, call))
    assert len(day.world.ended) == 2
    await day.run(10)
    await _all_is_whole(day, 60)


@pytest.mark.parametrize("buckets", [1, 7, 16])
@pytest.mark.parametrize("how", ["flush", "roll_back"])
async def test_a_lost_redis_is_rebuilt_and_nothing_falls_due_twice_or_not_at_all(day: Ticking, buckets: int, how: str) -> None:
    redis = day.world.redis["timekeeper"]
    copy = redis.copy()
    await _started(day, *((f"case-{n}", f"start warn {n * 100}") for n in range(40)))
    await day.run(2)
    redis.flush(range(buckets)) if how == "flush" else redis.roll_back(copy, range(buckets))
    await day.run(8)
    assert day.world.ended
    await _all_is_whole(day, 40)


async def _all_is_whole(day: Ticking, count: int) -> None:
    assert len(day.track.fired) == count and set(day.track.fired.values()) == {1}
    assert day.index() == day.wanted() == {}
    assert content(day.world.redis["timekeeper"]) == content(await day.world.afresh("timekeeper"))
