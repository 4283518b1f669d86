"""The timekeeper under any day: clocks started and ended, workers killed and moved, Redis lost, the broker's clock set.

Whatever happens, each moment is asked for once it is due and falls due once, never early, and the index is the one that the last
states of the cases give.
"""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.deadlines import Deadlines
from schemas.topics import CASE_CHANGES, CASE_COMMANDS, PARTITIONS
from stream_processors.runtime.crash_points import POINTS
from tests.support.crashing import Crasher, crashing
from tests.support.ticking import Ticking, own_time
from tests.support.world import content

RULES = Deadlines.model_validate(
    {
        "rules": [
            {
                "name": "block",
                "length": {"seconds": 20},
                "basis": "Art. 22",
                "warn_before": {"seconds": 5},
                "escalate": [{"to": "unit_head", "after": {"seconds": 10}}, {"to": "city", "after": {"seconds": 30}}],
            },
            {"name": "warn", "length": {"seconds": 2}, "basis": "Art. 22"},
        ]
    }
)
SPANS_MS = {
    ("block", "warn"): 15_000,
    ("block", "due"): 20_000,
    ("block", "escalate-1"): 30_000,
    ("block", "escalate-2"): 50_000,
    ("warn", "due"): 2_000,
}
"""From the start of each step, read off the rules by hand."""
CASES = [f"case-{n:024x}" for n in range(5)] + ["case-x"]
WISHES = ["start block", "start warn", "start block 700", "start warn 0", "stop block", "stop warn", "cancel"]
POINT = st.sampled_from([name for name in POINTS if name.startswith(("timekeeper.", "restore."))])
ACT = st.one_of(
    st.tuples(st.just("wish"), st.sampled_from(CASES), st.sampled_from(WISHES)),
    st.tuples(st.just("track"), st.integers(1, 5)),
    st.tuples(st.just("fold"), st.integers(0, 1), st.integers(1, 5)),
    st.tuples(st.just("again"), st.integers(0, 1), st.integers(1, 5)),
    st.tuples(st.just("tick"), st.integers(0, 1)),
    st.tuples(st.just("tick"), st.integers(0, 1)),
    st.tuples(st.just("cut"), st.integers(0, 1), st.sampled_from(["cut", "after"]), st.integers(1, 2)),
    st.tuples(st.just("pass"), st.sampled_from([0.2, 1, 4, 15])),
    st.tuples(st.just("set"), st.sampled_from([-3600, -20, -1, 1, 20, 3600])),
    st.tuples(st.just("mono"), st.integers(0, 10**12)),
    st.tuples(st.just("kill"), POINT, st.integers(1, 3)),
    st.tuples(st.just("restart"), st.integers(0, 1)),
    st.tuples(st.just("owners"), st.lists(st.integers(0, 1), min_size=PARTITIONS, max_size=PARTITIONS)),
    st.tuples(st.just("flush"), st.sets(st.integers(0, 15), min_size=1)),
    st.tuples(st.just("redelivery"), st.integers(0, PARTITIONS - 1), st.integers(0, 10**6)),
    st.tuples(st.just("poison"), st.integers(0, PARTITIONS - 1)),
)


async def _act(day: Ticking, crasher: Crasher, what: str, *how: Any) -> None:
    if what == "wish":
        await day.track.ask(*how)
    elif what == "track":
        await day.track.work(how[0])
    elif what == "fold":
        await day.fold(how[0], how[1])
    elif what == "again":
        await day.fold(how[0], how[1], rewind=3)
    elif what == "tick":
        await day.tick(how[0])
    elif what == "cut":
        await day.tick(how[0], (how[1], how[2]))
    elif what == "pass":
        day.pass_s(how[0])
    elif what == "set":
        day.world.clock.forward(how[0])
    elif what == "mono":  # another machine's: all workers start anew with it
        day.mono_ms = how[0]
        for number in (0, 1):
            await day.world.restart("timekeeper", number)
    elif what == "kill":
        crasher.arm(*how)
    elif what == "restart":
        await day.world.restart("timekeeper", how[0])
    elif what == "owners":
        await day.world.rebalance("timekeeper", how[0])
    elif what == "flush":
        day.world.redis["timekeeper"].flush(how[0])
    elif what == "redelivery":  # a track that lived on writes a fact a second time
        facts = [record for record in day.world.log.all(CASE_CHANGES, how[0]) if record.key]
        if facts:
            echo = facts[how[1] % len(facts)]
            day.world.log.put(CASE_CHANGES, how[0], echo.key, echo.value)
    else:
        day.world.log.put(CASE_CHANGES, how[0], None, b"nothing that anybody of ours wrote")


async def _day(acts: list[Any]) -> None:
    with own_time(Ticking()) as day, crashing() as crasher:
        await day.up()
        day.track.rules = RULES
        for act in acts:
            await _act(day, crasher, *act)
        crasher.disarm()
        for number in (0, 1):
            await day.world.restart("timekeeper", number)
        await day.run(2)
        assert day.index() == day.wanted(), "all is folded"
        day.pass_s(7300)  # past whatever the broker's clock was set by
        await day.run(20)
        await _all_fell_due_once(day)


async def _all_fell_due_once(day: Ticking) -> None:
    assert day.index() == day.wanted() == {}
    assert all(count == 1 for count in day.track.fired.values())
    assert all(late >= 0 for late in day.track.late_ms.values())
    for case_id, case in day.track.cases.items():
        for clock in case.deadlines:
            fell = {step for (of, name, run, step) in day.track.fired if (of, name, run) == (case_id, clock.name, clock.run)}
            if clock.state == "fired":
                wanted = {step for (name, step) in SPANS_MS if name == clock.name}
                assert fell >= wanted - ({"warn"} if clock.warn_at is None else set())
    redis, afresh = day.world.redis["timekeeper"], await day.world.afresh("timekeeper")
    assert content(redis) == content(afresh), "the index that was never lost is the rebuilt one"


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(ACT, max_size=40))
def test_each_moment_falls_due_once_never_early_and_none_is_forgotten(acts: list[Any]) -> None:
    asyncio.run(_day(acts))


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CASES), st.sampled_from(WISHES), st.integers(0, 9)), max_size=25))
def test_on_a_day_when_nothing_goes_wrong_nothing_is_asked_for_twice_and_all_within_a_second(wishes: list[Any]) -> None:
    async def day() -> None:
        with own_time(Ticking()) as calm:
            await calm.up()
            calm.track.rules = RULES
            for case_id, wish, pause in wishes:
                await calm.track.ask(case_id, wish)
                await calm.run(pause * 0.4, 0.4)
            await calm.run(55, 0.4)
            await _all_fell_due_once(calm)
            refused = dict(calm.track.refused)
            assert refused.pop("not-due", 0) <= 2, "but for those by which each worker asks the broker for its time"
            assert refused.keys() <= {"stale-run"}, "and for clocks that were ended while they were asked for"
            assert calm.asked() == sum(calm.track.fired.values()) + sum(calm.track.refused.values())
            assert all(late <= 1000 for late in calm.track.late_ms.values())
            assert len(calm.world.log.all(CASE_COMMANDS)) == len(wishes) + calm.asked()

    asyncio.run(day())
