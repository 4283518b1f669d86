"""ingest: signals/s through one gateway process, one a request and 500 a request, answered after the broker's ack.

All validation, tokens, sealing and idempotency are on. The stages do not run beside the first two figures, which are the
gateway's own; the third has all of them at work on the same cores.
"""

from __future__ import annotations

from deploy.local.stack import Stack
from tests.bench.figures import AtLeast, Figure, Row
from tests.bench.harness import Setting, child

SINGLES, BATCHED, LINES = 8000, 40_000, 500
NO_LIMIT = {"LIANDONG_LAG_LIMIT": str(10**9)}


def run(setting: Setting) -> list[Row]:
    single: list[float] = []
    batch: list[float] = []
    beside: list[float] = []
    with setting.stack("ingest", services=("kafka", "redis", "gateway"), env=NO_LIMIT) as stack:
        load(stack, setting.size(2000, 50), 1, 8, 900)  # warm
        for number in range(setting.runs):
            single.append(load(stack, setting.size(SINGLES, 50), 1, 32, number))
            batch.append(load(stack, setting.size(BATCHED, 600), LINES, 4, 100 + number))
            setting.said(f"ingest: run {number + 1}: {single[-1]:,.0f} and {batch[-1]:,.0f} signals/s")
    with setting.stack("ingest", env=NO_LIMIT) as stack:
        for number in range(setting.runs):
            beside.append(load(stack, setting.size(BATCHED, 600), LINES, 4, 200 + number))
            setting.said(f"ingest: run {number + 1}, all stages at work: {beside[-1]:,.0f} signals/s")
    return [
        Figure("ingest", "one signal a request, 32 connections", "signals/s", single, AtLeast(1000)),
        Figure("ingest", f"NDJSON of {LINES}, 4 connections", "signals/s", batch, AtLeast(6000)),
        Figure("ingest", f"NDJSON of {LINES} with all stages on the same cores", "signals/s", beside),
    ]


def load(stack: Stack, count: int, lines: int, connections: int, seed: int) -> float:
    told = feed(stack, count=count, lines=lines, connections=connections, seed=seed, fresh=True)
    if told["accepted"] != count:
        raise RuntimeError(f"{told['accepted']} of {count} signals were accepted")
    return told["accepted"] / told["seconds"]


def feed(stack: Stack, *, timeout_s: float = 900, **wanted: int) -> dict[str, float]:
    """Signals accepted by the stack's gateway and the seconds that took; `wanted` as http_load has it."""
    asked = {"url": stack.gateway_url, "home": str(stack.places.home), "profile": stack.profile, **wanted}
    told: dict[str, float] = child("tests.bench.http_load", asked, timeout_s=timeout_s)
    return told
