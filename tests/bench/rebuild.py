"""rebuild: facts/s from the log into an empty Redis, all stages, through the restore barrier itself, in one process.

The baseline reads the same records, each as often as a stage folds it, and does nothing with them (`bare_read.py`).
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from deploy.local.stack import Stack
from deploy.verify.run import settings_of
from deploy.verify.wait_idle import wait_quiet
from stream_processors.topology import all_stages
from tests.bench.figures import AtLeast, Figure, Row, compare
from tests.bench.harness import Setting, child, stack_env
from tests.bench.stage_rate import fill

SIGNALS = 60_000


def run(setting: Setting) -> list[Row]:
    rates, bare_rates = [], []
    folded = 0
    with setting.stack("rebuild", services=("kafka", "redis", "workers")) as stack:
        fill(stack, "signals", setting.size(SIGNALS, 600), 1)
        asyncio.run(wait_quiet(settings_of(stack), timeout_s=300))
        for name in stack.names():
            if name not in ("kafka", "redis"):
                stack.stop_one(name)
        for number in range(setting.runs):
            told = _rebuilt(stack)
            folded = sum(told["folded"].values())
            rates.append(folded / told["seconds"])
            bare_rates.append(_read(stack, folded))
            setting.said(f"rebuild: run {number + 1}: {folded} facts at {rates[-1]:,.0f}/s, read alone {bare_rates[-1]:,.0f}/s")
    note = f"{folded} facts: what assess, track and project fold (project folds both streams)"
    target = AtLeast(10_000)
    rate = Figure("rebuild", "facts from the log into an empty Redis", "facts/s", rates, note=note, absolute=target)
    return compare(rate, bare_rates, "reading them alone", AtLeast(0.01))


def _read(stack: Stack, folded: int) -> float:
    """Facts a second when they are read as often, and nothing is done with them."""
    topics = [(stream.topic.name, stream.topic.partitions) for stage in all_stages(()).values() for stream in stage.streams]
    told = child("tests.bench.bare_read", {"topics": topics}, env=stack_env(stack))
    if told["records"] < folded:
        raise RuntimeError(f"{told['records']} records were read, {folded} were folded")
    return float(told["records"] / told["seconds"])


def _rebuilt(stack: Stack) -> dict[str, Any]:
    with Stack(f"bench-fresh-{os.getpid()}", services=("redis",), bound=True, external=False) as fresh:
        try:
            told: dict[str, Any] = child("tests.bench.rebuild_child", {"redis_url": fresh.redis_url}, env=stack_env(stack))
            return told
        finally:
            fresh.down(wipe=True)
