"""latency: from the POST's first byte to the case standing in the queue's view, at a steady rate, everything running.

The baseline is a chain of bare poll loops, a process each, with as many appends as a signal waits for; it runs beside, and idles
while the pipeline is measured, as the pipeline does while the chain is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from deploy.local.stack import Stack
from tests.bench import bare
from tests.bench.figures import AtMost, Figure, Row, compare
from tests.bench.harness import Setting, background, child, stack_env

RATES = ((200, 4000), (1, 40))
"""Signals a second, and how many."""
TARGETS = {
    200: {"p50": (AtMost(100), AtMost(60)), "p99": (AtMost(100), AtMost(250))},
    1: {"p50": (AtMost(100), AtMost(60)), "p99": (AtMost(100), AtMost(250))},
}
"""By rate: over the chain, and absolute on the machine of that day."""
WARM = 3000
"""As many before, at the highest rate: in the first seconds the broker's JVM compiles what it then runs, on the same cores."""


BARE = "a bare chain"
BareStage = tuple[str, str, tuple[str, ...]]
"""Its name, its source, its sinks."""
STAGES: tuple[BareStage, ...] = (
    ("assess", "bare.submitted", ("bare.assessed", "bare.actions")),
    ("track", "bare.actions", ("bare.changed",)),
    ("project", "bare.changed", ()),
)
"""The stages of the chain: the way of a signal in the pipeline, with as many appends one after the other."""


def run(setting: Setting) -> list[Row]:
    times: dict[tuple[int, str, str], list[float]] = {}
    with setting.stack("latency") as stack, chain(stack, STAGES) as request:
        env = stack_env(stack)
        pipeline = {"url": stack.gateway_url}
        for one in (pipeline, request):
            measure(one, env, 200, setting.size(WARM, 20), 990)
        for number in range(setting.runs):
            for rate, full in RATES:
                count, seed = setting.size(full, 4), number * 10 + rate
                before = measure(request, env, rate, count // 2, seed)
                told = measure(pipeline, env, rate, count, seed)
                after = measure(request, env, rate, count // 2, seed + 500)
                for part in ("p50", "p99"):
                    times.setdefault((rate, part, ""), []).append(told[part])
                    times.setdefault((rate, part, "bare "), []).append((before[part] + after[part]) / 2)
                words = ", ".join(f"{part} {told[part]:.0f}, bare {before[part]:.0f} and {after[part]:.0f} ms" for part in told)
                setting.said(f"latency: run {number + 1} at {rate}/s: {words}")
    rows: list[Row] = []
    for rate, _ in RATES:
        for part, (target, absolute) in TARGETS[rate].items():
            metric = f"POST to visible in the queue at {rate}/s, {part}"
            figure = Figure("latency", metric, "ms", times[rate, part, ""], absolute=absolute)
            rows += compare(figure, times[rate, part, "bare "], BARE, target)
    return rows


@contextmanager
def chain(stack: Stack, stages: Sequence[BareStage]) -> Iterator[dict[str, str]]:
    """Bare stages at work; what the child that measures must know of them."""
    asyncio.run(bare.make_topics(stack.kafka_bootstrap, [source for _, source, _ in stages]))
    with ExitStack() as running:
        for name, source, sinks in stages:
            request = {"source": source, "sinks": sinks, "name": name}
            running.enter_context(background("tests.bench.bare_stage", request, env=stack_env(stack)))
        yield {"topic": stages[0][1], "last": stages[-1][0]}


def measure(request: Mapping[str, str], env: dict[str, str], rate: int, count: int, seed: int) -> dict[str, float]:
    asked: dict[str, Any] = {**request, "rate": rate, "count": count, "seed": seed}
    told: dict[str, float] = child("tests.bench.latency_child", asked, env=env)
    return told
