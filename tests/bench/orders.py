"""orders: from an order in the log to the institution that listens, 50 orders a second beside 200 signals a second.

The baseline is one bare poll loop behind a topic, beside as many signals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from deploy.local.stack import Stack
from deploy.verify.run import settings_of
from deploy.verify.wait_idle import wait_quiet
from tests.bench.figures import AtMost, Figure, Row, compare
from tests.bench.harness import Setting, child, stack_env
from tests.bench.latency import BareStage, chain
from tests.bench.stage_rate import fill

BARE = "a bare hop"
HOP: tuple[BareStage, ...] = (("hop", "bare.issued", ()),)
"""The way of an order that is measured: one topic, and a stage that writes what is looked at."""
ORDERS_A_SECOND, SIGNALS_A_SECOND, SECONDS, CASES, INSTITUTIONS = 50, 200, 30, 3000, 20


def run(setting: Setting) -> list[Row]:
    found: dict[str, list[float]] = {}
    note = ""
    with setting.stack("orders") as stack, chain(stack, HOP) as hop:
        fill(stack, "signals", setting.size(CASES, 300), 1)
        asyncio.run(wait_quiet(settings_of(stack), timeout_s=120))
        for number in range(setting.runs):
            told = _measure(stack, hop, setting.size(SECONDS, 3), number)
            note = str(told.pop("how"))
            for name, value in told.items():
                found.setdefault(name, []).append(float(value))
            values = ", ".join(f"{name} {float(one):.0f}" for name, one in told.items())
            setting.said(f"orders: run {number + 1} ({note}): {values}")
    beside = f"{ORDERS_A_SECOND}/s beside {SIGNALS_A_SECOND} signals/s"
    what = f"order issued to live at its institution, {beside}"
    p99 = Figure("orders", f"{what}, p99", "ms", found["issued p99"], note=note, absolute=AtMost(250))
    rows: list[Row] = [
        *compare(Figure("orders", f"{what}, p50", "ms", found["issued p50"]), found["bare p50"], BARE, AtMost(100)),
        *compare(p99, found["bare p99"], BARE, AtMost(100)),
    ]
    if "asked p50" in found:
        rows += [
            Figure("orders", "officer's action in the log to live at the institution, p50", "ms", found["asked p50"]),
            Figure("orders", "officer's action in the log to live at the institution, p99", "ms", found["asked p99"]),
        ]
    return [*rows, Figure("orders", "signals accepted meanwhile", "signals/s", found["signals"])]


def _measure(stack: Stack, hop: Mapping[str, str], seconds: int, number: int) -> dict[str, float | str]:
    asked = {
        "url": stack.gateway_url,
        "orders": ORDERS_A_SECOND,
        "signals": SIGNALS_A_SECOND,
        "seconds": seconds,
        "institutions": INSTITUTIONS,
        "number": number,
        "hop": hop,
    }
    told: dict[str, float | str] = child("tests.bench.orders_child", asked, env=stack_env(stack))
    return told
