"""clocks: with a million open clocks, how late those that fall due are asked for and fired, how long a burst takes, what a tick
costs while the open ones grow, and what an open clock costs in Redis.

The open ones, due in one to thirty days, are put in through the timekeeper's own fold, not through all of Kafka. Those that fall
due are real cases: facts in `cases.changed` as track writes them, with a time of our choosing; track is down meanwhile and starts
from them. From then on nothing is the bench's: timekeeper and track run as ever, and the times are the broker's.

The baseline is a sorted set that a loop looks at as often as a timekeeper ticks, and a bare poll loop behind its topic
(`bare_timer.py`, `bare_stage.py`).
"""

from __future__ import annotations

import time
import urllib.request
from typing import Any

from redis import Redis

from deploy.local.process_specs import AGENTS
from deploy.local.stack import Stack
from tests.bench.figures import AtMost, Figure, Row, compare
from tests.bench.harness import Setting, background, child, stack_env

LEVELS = (10_000, 100_000, 1_000_000)
RATE, SECONDS, BURST = 500, 20, 50_000
IDLE_S = 5.0
SETTLES_S = 45.0
"""From the facts being written to the first that is due: track starts meanwhile."""
MANY = 4
"""Deadlines of a case that has several."""
BARE = "a bare timer and stage"
LATEST = {"asked": AtMost(100), "fired": AtMost(100)}
ALL = {"asked": AtMost(100), "fired": AtMost(100)}
"""Over the bare ones: the latest of a steady rate, and the last of a burst."""
TIMEKEEPER, TRACK = "timekeeper-0", "track-0"
OTHERS = {agent: 0 for agent in AGENTS if f"{agent}-0" not in (TIMEKEEPER, TRACK)}


def run(setting: Setting) -> list[Row]:
    """Once, whatever `runs` says: it takes minutes."""
    rows: list[Row] = []
    with setting.stack("clocks", services=("kafka", "redis", "workers"), workers=OTHERS) as stack:
        stack.stop_one(TRACK)
        redis = Redis.from_url(stack.redis_url)
        opened, before, ticks = 0, _used(redis), []
        for full in LEVELS:
            level = setting.size(full, 100)
            _child(stack, {"what": "open", "first": opened, "count": level - opened, "clocks": 1})
            opened = level
            idle = _ticks(stack, IDLE_S)
            setting.said(f"clocks: {level} open, a tick with nothing due {idle:.2f} ms")
            ticks.append(idle)
            rows.append(Figure("clocks", f"a tick with nothing due, {level} open", "ms", [idle]))
            if full == LEVELS[-1]:
                rows.append(Figure("clocks", "Redis, a case with one clock", "bytes", [(_used(redis) - before) / level]))
            rows += _steady(setting, stack, level)
        rows += _burst(setting, stack, opened)
        rows.append(_several(setting, stack, redis))
        flat = f"a tick with nothing due, {opened} open, over {setting.size(LEVELS[0], 100)} open"
        rows.append(Figure("clocks", flat, "x", [ticks[-1] / ticks[0]], AtMost(1.5)))
        redis.close()
    return rows


def _steady(setting: Setting, stack: Stack, level: int) -> list[Row]:
    """500 a second fall due; at the highest level for longer, which is what is judged."""
    highest = level == setting.size(LEVELS[-1], 100)
    count = RATE * setting.size(SECONDS if highest else SECONDS // 4, 2)
    told = _due(stack, count, RATE)
    bare = _bare_due(stack, count, RATE) if highest else {}
    what = f"{RATE} due/s, {level} open"
    rows: list[Row] = [Figure("clocks", f"a tick, {what}", "ms", [told["tick_ms"]])]
    for name, said in (("asked", "due to DEADLINE_DUE in the log"), ("fired", "due to fired by track")):
        rows.append(Figure("clocks", f"{said}, {what}, p99", "ms", [told[f"{name}_p99"]]))
        absolute = AtMost(1000) if highest else None
        latest = Figure("clocks", f"{said}, {what}, latest", "ms", [told[f"{name}_most"]], absolute=absolute)
        rows += compare(latest, [bare[f"{name}_most"]], BARE, LATEST[name]) if highest else [latest]
    setting.said(
        f"clocks: {what}: fired {told['fired_p99']:.0f} ms after due at p99, a tick {told['tick_ms']:.2f} ms; bare {bare}"
    )
    return rows


def _burst(setting: Setting, stack: Stack, level: int) -> list[Row]:
    count = setting.size(BURST, 200)
    told, bare = _due(stack, count, 0), _bare_due(stack, count, 0)
    what = f"{count} due at once, {level} open"
    rows: list[Row] = []
    for name, metric in (("asked", "all asked for"), ("fired", "all fired by track")):
        seconds, bare_s = told[f"{name}_most"] / 1000, bare[f"{name}_most"] / 1000
        setting.said(f"clocks: {what}: {metric} in {seconds:.1f} s, bare in {bare_s:.1f} s")
        figure = Figure("clocks", f"{what}: {metric}", "s", [seconds], absolute=AtMost(30))
        rows += compare(figure, [bare_s], BARE, ALL[name])
    return [
        *rows,
        Figure("clocks", f"a tick, {what}", "ms", [told["tick_ms"]]),
        Figure("clocks", f"{what}: requests made twice", "requests", [told["twice"]], AtMost(0)),
    ]


def _bare_due(stack: Stack, count: int, rate: int) -> dict[str, float]:
    """The same of the bare timer and the bare stage after it."""
    env = stack_env(stack)
    hop = {"source": "bare.due", "sinks": ["bare.fired"], "name": "clocks"}
    with background("tests.bench.bare_timer", {"sink": "bare.due"}, env=env), background("tests.bench.bare_stage", hop, env=env):
        told: dict[str, float] = child("tests.bench.bare_lateness", {"count": count, "rate": rate}, env=env)
    return told


def _several(setting: Setting, stack: Stack, redis: Redis) -> Row:
    count, before = setting.size(LEVELS[1], 100), _used(redis)
    _child(stack, {"what": "open", "first": 1 << 40, "count": count, "clocks": MANY})
    return Figure("clocks", f"Redis, a case with {MANY} clocks", "bytes", [(_used(redis) - before) / count])


def _due(stack: Stack, count: int, rate: int) -> dict[str, float]:
    """Lets so many fall due, at this rate or (0) at once: how late they were asked for and fired, and the ticks meanwhile."""
    stack.stop_one(TRACK)
    began = time.time()
    written = _child(stack, {"what": "due", "count": count, "rate": rate, "in_s": SETTLES_S + count / 1000})
    stack.start_one(TRACK)
    if time.time() > written["first_ms"] / 1000 - 1:
        raise RuntimeError(f"the facts took {time.time() - began:.0f} s: they were due before all was ready")
    time.sleep(written["first_ms"] / 1000 - 0.3 - time.time())
    before = _spent(stack)
    told: dict[str, float] = _child(stack, {"what": "judge", **written, "count": count})
    return told | {"tick_ms": _mean_ms(before, _spent(stack))}


def _child(stack: Stack, asked: dict[str, Any]) -> Any:
    return child("tests.bench.clocks_child", asked, env=stack_env(stack))


def _ticks(stack: Stack, seconds: float) -> float:
    before = _spent(stack)
    time.sleep(seconds)
    return _mean_ms(before, _spent(stack))


def _spent(stack: Stack) -> tuple[float, float]:
    """Seconds in ticks, and how many there were."""
    with urllib.request.urlopen(stack.metrics_url(TIMEKEEPER), timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    told = dict(line.rsplit(" ", 1) for line in lines if line.startswith("liandong_tick_seconds_"))
    return float(told["liandong_tick_seconds_sum"]), float(told["liandong_tick_seconds_count"])


def _mean_ms(before: tuple[float, float], after: tuple[float, float]) -> float:
    return (after[0] - before[0]) / max(1.0, after[1] - before[1]) * 1000


def _used(redis: Redis) -> int:
    info: Any = redis.info("memory")
    return int(info["used_memory"])
