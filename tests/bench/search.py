"""search: how long a search by an indicator takes over the index of a million signals, and what the index costs a signal.

The index is filled through project's own fold, not through all of Kafka: two indicators a signal, every signal routed, a third of
them about subjects known before, one in a hundred with one indicator that all of these share. The baseline is twenty bare
calls to Redis, one after the other, as many callers at once, without HTTP.
"""

from __future__ import annotations

from typing import Any

from tests.bench.figures import AtMost, Figure, Row, compare
from tests.bench.harness import Setting, child, stack_env

BARE = "twenty bare calls to Redis"
SIGNALS, SEARCHES = 1_000_000, 1000


def run(setting: Setting) -> list[Row]:
    count = setting.size(SIGNALS, 2000)
    with setting.stack("search", services=("kafka", "redis", "gateway")) as stack:
        asked: dict[str, Any] = {
            "url": stack.gateway_url,
            "count": count,
            "searches": SEARCHES,
            "runs": setting.runs,
        }
        told = child("tests.bench.search_child", asked, env=stack_env(stack))
    setting.said(f"search: {count} signals folded in {told['filled_s']:.0f} s")
    what = f"search by an indicator, {count} signals"
    p99 = Figure("search", f"{what}, p99", "ms", told["p99"], absolute=AtMost(30))
    return [
        *compare(Figure("search", f"{what}, p50", "ms", told["p50"]), told["bare p50"], BARE, AtMost(100)),
        *compare(p99, told["bare p99"], BARE, AtMost(100)),
        Figure("search", f"an indicator of {told['shared']} signals, worst", "ms", told["worst_shared"]),
        Figure("search", "Redis, the index of a routed signal", "bytes", [told["bytes"]]),
    ]
