"""rebuild: facts/s from the log into an empty Redis, all stages, through the restore barrier itself, in one process.

The baseline reads the same records, each as often as a stage folds it, and does nothing with them (`bare_read.py`).
"""

from __future__ import annotations

import asyncio
import os

from deploy.local.stack import Stack
from deploy.verify.run import settings_of
from deploy.verify.wait_idle import wait_quiet
from stream_processors.topology import all_stages
from tests.bench.figures import AtLeast, Figure, Row, compare
from tests.bench.harness import Setting, child, in_turns, stack_env
from tests.bench.stage_rate import fill

SIGNALS = 60_000


def run(setting: Setting) -> list[Row]:
    rates, bare_rates = [], []
    folded: list[int] = []
    with setting.stack("rebuild", services=("kafka", "redis", "workers")) as stack:
        fill(stack, "signals", setting.size(SIGNALS, 600), 1)
        asyncio.run(wait_quiet(settings_of(stack), timeout_s=300))
        for name in stack.names():
            if name not in ("kafka", "redis"):
                stack.stop_one(name)
        for number in range(setting.runs):
            rate, bare = in_turns(lambda: _rebuild(stack, folded), lambda: _read(stack))
            rates.append(rate)
            bare_rates.append(bare)
            setting.said(f"rebuild: run {number + 1}: {folded[-1]} facts at {rate:,.0f}/s, read alone {bare:,.0f}/s")
    note = f"{folded[-1]} facts: what assess, track and project fold (project folds both streams)"
    target = AtLeast(10_000)
    figure = Figure("rebuild", "facts from the log into an empty Redis", "facts/s", rates, note=note, absolute=target)
    return compare(figure, bare_rates, "reading them alone", AtLeast(0.01))


def _read(stack: Stack) -> float:
    """Facts a second when they are read as often, and nothing is done with them."""
    topics = [(stream.topic.name, stream.topic.partitions) for stage in all_stages(()).values() for stream in stage.streams]
    told = child("tests.bench.bare_read", {"topics": topics}, env=stack_env(stack))
    return float(told["records"] / told["seconds"])


def _rebuild(stack: Stack, folded: list[int]) -> float:
    """Facts a second into a Redis of its own; how many goes to `folded`."""
    with Stack(f"bench-fresh-{os.getpid()}", services=("redis",), bound=True, external=False) as fresh:
        try:
            told = child("tests.bench.rebuild_child", {"redis_url": fresh.redis_url}, env=stack_env(stack))
        finally:
            fresh.down(wipe=True)
    folded.append(sum(told["folded"].values()))
    return folded[-1] / float(told["seconds"])
