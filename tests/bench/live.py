"""live: from the append of a case's change to its receipt by each of 200 live connections, 50 changes a second, one gateway.

The baseline is a bare fan-out with the same pause of a quarter of a second (`bare_fanout.py`). How often a client is told
is bounded absolutely: it is held back on purpose.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from deploy.local.stack import Stack
from deploy.verify.run import settings_of
from deploy.verify.wait_idle import wait_quiet
from tests.bench.figures import AtMost, Figure, Row, compare
from tests.bench.harness import Setting, background, child, stack_env
from tests.bench.stage_rate import fill

BARE = "a bare fan-out"
CLIENTS, CHANGES_A_SECOND, SECONDS, SIGNALS = 200, 50, 30, 3000


def run(setting: Setting) -> list[Row]:
    found: dict[str, list[float]] = {}
    topic = {"topic": "bare.changes"}
    with setting.stack("live") as stack, background("tests.bench.bare_fanout", topic, env=stack_env(stack)) as listening:
        fill(stack, "signals", setting.size(SIGNALS, 300), 1)
        asyncio.run(wait_quiet(settings_of(stack), timeout_s=120))
        for number in range(setting.runs):
            for prefix, target in (("", {"url": stack.gateway_url}), ("bare ", {**listening, **topic})):
                told = _measure(stack, target, setting.size(SECONDS, 3), number)
                for name, value in told.items():
                    found.setdefault(f"{prefix}{name}", []).append(value)
                setting.said(f"live: run {number + 1}: {prefix}p50 {told['p50']:.0f} ms, p99 {told['p99']:.0f} ms")
    what = f"change appended to received, {CLIENTS} clients, {CHANGES_A_SECOND}/s"
    note = "every client hears of every change; a newer state of the same case counts as received"
    p99 = Figure("live", f"{what}, p99", "ms", found["p99"], note=note, absolute=AtMost(1000))
    return [
        *compare(Figure("live", f"{what}, p50", "ms", found["p50"]), found["bare p50"], BARE, AtMost(100)),
        *compare(p99, found["bare p99"], BARE, AtMost(100)),
        Figure("live", f"{what}, most", "ms", found["most"]),
        Figure("live", "updates a second and client, most", "updates/s", found["rate"], AtMost(4.1)),
    ]


def _measure(stack: Stack, target: Mapping[str, Any], seconds: int, number: int) -> dict[str, float]:
    asked = {**target, "clients": CLIENTS, "rate": CHANGES_A_SECOND, "seconds": seconds, "number": number}
    told: dict[str, float] = child("tests.bench.live_child", asked, env=stack_env(stack))
    return told
