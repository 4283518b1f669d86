"""trail: how long an officer waits for the money trail of a chain of mules, beside a town's signals.

The views are filled through project's own fold: chains of a victim and four mules, each account's case as full as the shipped
policy lets it be. Meanwhile signals come in as single POSTs at a fixed rate. The baseline is fifty bare calls to Redis, one
after the other, beside the same signals.
"""

from __future__ import annotations

from typing import Any

from tests.bench.figures import AtMost, Figure, Row, compare
from tests.bench.harness import Setting, child, stack_env

BARE = "fifty bare calls to Redis"
CHAINS, ASKED, SIGNALS_A_SECOND = 500, 400, 200


def run(setting: Setting) -> list[Row]:
    with setting.stack("trail", services=("kafka", "redis", "gateway")) as stack:
        asked: dict[str, Any] = {
            "url": stack.gateway_url,
            "chains": setting.size(CHAINS, 20),
            "asked": setting.size(ASKED, 40),
            "rate": SIGNALS_A_SECOND,
            "runs": setting.runs,
        }
        told = child("tests.bench.trail_child", asked, env=stack_env(stack))
    what = f"the trail of a chain of {told['hops']} hops, beside {SIGNALS_A_SECOND} signals/s"
    return [
        *compare(Figure("trail", f"{what}, p50", "ms", told["p50"]), told["bare p50"], BARE, AtMost(100)),
        *compare(Figure("trail", f"{what}, p99", "ms", told["p99"]), told["bare p99"], BARE, AtMost(100)),
        Figure("trail", "signals accepted meanwhile", "signals/s", told["accepted"]),
    ]
