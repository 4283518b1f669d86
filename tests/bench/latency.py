"""latency: from the POST's first byte to the case standing in the queue's view, at a steady rate, everything running."""

from __future__ import annotations

from typing import Any

from tests.bench.figures import AtMost, Figure, Row
from tests.bench.harness import Setting, child, stack_env

RATES = ((200, 4000), (1, 40))
"""Signals a second, and how many."""
WARM = 3000
"""As many before, at the highest rate: in the first seconds the broker's JVM compiles what it then runs, on the same cores."""


def run(setting: Setting) -> list[Row]:
    found: dict[tuple[int, str], list[float]] = {}
    with setting.stack("latency") as stack:
        url = stack.gateway_url
        measure(url, stack_env(stack), 200, setting.size(WARM, 20), 990)
        for number in range(setting.runs):
            for rate, full in RATES:
                told = measure(url, stack_env(stack), rate, setting.size(full, 4), number * 10 + rate)
                for name in ("p50", "p99"):
                    found.setdefault((rate, name), []).append(told[name])
                setting.said(f"latency: run {number + 1} at {rate}/s: p50 {told['p50']:.0f} ms, p99 {told['p99']:.0f} ms")
    limits = {"p50": AtMost(60), "p99": AtMost(250)}
    return [
        Figure("latency", f"POST to visible in the queue at {rate}/s, {name}", "ms", runs, limits[name])
        for (rate, name), runs in found.items()
    ]


def measure(url: str, env: dict[str, str], rate: int, count: int, seed: int) -> dict[str, float]:
    asked: dict[str, Any] = {"url": url, "rate": rate, "count": count, "seed": seed}
    told: dict[str, float] = child("tests.bench.latency_child", asked, env=env)
    return told
