"""ingest: signals/s through one gateway process, one a request and 500 a request, answered after the broker's ack.

All validation, tokens, sealing and idempotency are on. The stages do not run beside the first two figures, which are the
gateway's own; the third has all of them at work on the same cores. The baseline is an app on the same server that appends what
it was sent, in one process as well (`bare_gateway.py`), under the same load.
"""

from __future__ import annotations

from functools import partial

from deploy.local.stack import Stack
from tests.bench.figures import AtLeast, Figure, Row, compare
from tests.bench.harness import Setting, background, child, in_turns, stack_env

SINGLES, BATCHED, LINES = 8000, 40_000, 500
BARE, BARE_REPEAT = "a bare app", 2
"""The app gets the same batches several times: it is done with them too soon to be measured."""
NO_LIMIT = {"LIANDONG_LAG_LIMIT": str(10**9)}


def run(setting: Setting) -> list[Row]:
    rates: dict[str, list[float]] = {name: [] for name in ("single", "batch", "bare single", "bare batch", "beside")}
    with (
        setting.stack("ingest", services=("kafka", "redis", "gateway"), env=NO_LIMIT) as stack,
        background("tests.bench.bare_gateway", {}, env=stack_env(stack)) as listening,
    ):
        url, bare_url = stack.gateway_url, listening["url"]
        for warmed in (url, bare_url):
            load(stack, setting.size(2000, 50), 1, 8, 900, warmed)
        few, many = setting.size(SINGLES, 50), setting.size(BATCHED, 600)
        for number in range(setting.runs):
            single = partial(load, stack, few, 1, 32, number)
            batch = partial(load, stack, many, LINES, 4, 100 + number)
            pairs = {
                "single": in_turns(partial(single, url), partial(single, bare_url)),
                "batch": in_turns(partial(batch, url), partial(batch, bare_url, BARE_REPEAT)),
            }
            for name, (measured, bare) in pairs.items():
                rates[name].append(measured)
                rates[f"bare {name}"].append(bare)
                setting.said(f"ingest: run {number + 1}: {name} {measured:,.0f}/s, bare {bare:,.0f}/s")
    with setting.stack("ingest", env=NO_LIMIT) as stack:
        for number in range(setting.runs):
            rates["beside"].append(load(stack, setting.size(BATCHED, 600), LINES, 4, 200 + number, stack.gateway_url))
            setting.said(f"ingest: run {number + 1}, all stages at work: {rates['beside'][-1]:,.0f} signals/s")
    singles = Figure("ingest", "one signal a request, 32 connections", "signals/s", rates["single"], absolute=AtLeast(1000))
    batches = Figure("ingest", f"NDJSON of {LINES}, 4 connections", "signals/s", rates["batch"], absolute=AtLeast(6000))
    return [
        *compare(singles, rates["bare single"], BARE, AtLeast(0.1)),
        *compare(batches, rates["bare batch"], BARE, AtLeast(0.1)),
        Figure("ingest", f"NDJSON of {LINES} with all stages on the same cores", "signals/s", rates["beside"]),
    ]


def load(stack: Stack, count: int, lines: int, connections: int, seed: int, url: str, repeat: int = 1) -> float:
    asked = {
        "count": count,
        "lines": lines,
        "connections": connections,
        "seed": seed,
        "fresh": True,
        "duplicate_reference": repeat,
    }
    told = feed(stack, url=url, **asked)
    if told["accepted"] != count * repeat:
        raise RuntimeError(f"{told['accepted']} of {count * repeat} signals were accepted")
    return told["accepted"] / told["seconds"]


def feed(stack: Stack, *, timeout_s: float = 900, **wanted: int | str) -> dict[str, float]:
    """Signals accepted, by the gateway if `url` names no other, and the seconds that took; `wanted` as http_load has it."""
    asked = {"url": stack.gateway_url, "home": str(stack.places.home), "profile": stack.profile, **wanted}
    told: dict[str, float] = child("tests.bench.http_load", asked, timeout_s=timeout_s)
    return told
