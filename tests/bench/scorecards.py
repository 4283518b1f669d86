"""scorecards: how long the card of a month takes, 200 institutions over a million facts, from the views through the HTTP route.

The facts are of one month: two thirds signals, the rest changes of cases with what they counted (duties that were kept, late or
missed, orders, measures, disposals). They go through project's own folds and scripts, as rows and not through Kafka; of their
effects those are kept that are the scorecards', so that the bytes are theirs. The gateway keeps no card meanwhile.
The baseline reads as many cells in one call, adds them up and writes them as JSON.
"""

from __future__ import annotations

from typing import Any

from tests.bench.figures import AtMost, Figure, Row, compare
from tests.bench.harness import Setting, child, stack_env

BARE = "a plain sum of as many cells"
FACTS, INSTITUTIONS, READS = 1_000_000, 200, 10


def run(setting: Setting) -> list[Row]:
    count = setting.size(FACTS, 2000)
    env = {"LIANDONG_SCORECARDS_KEPT_S": "0"}
    with setting.stack("scorecards", services=("kafka", "redis", "gateway"), env=env) as stack:
        asked: dict[str, Any] = {
            "url": stack.gateway_url,
            "count": count,
            "institutions": INSTITUTIONS,
            "reads": READS,
            "runs": setting.runs,
        }
        told = child("tests.bench.scorecards_child", asked, env=stack_env(stack))
    setting.said(f"scorecards: {count} facts folded in {told['folded_s']:.0f} s, a card of {told['card_bytes']} bytes")
    what = f"card of a month, {INSTITUTIONS} institutions, {count} facts"
    note = f"{told['cells']} cells"
    card = Figure("scorecards", f"{what}, over HTTP", "s", told["json_s"], note=note, absolute=AtMost(1.0))
    table = Figure("scorecards", f"{what}, as CSV", "s", told["csv_s"], absolute=AtMost(1.0))
    return [
        *compare(card, told["bare_s"], BARE, AtMost(100)),
        *compare(table, told["bare_s"], BARE, AtMost(100)),
        Figure("scorecards", "Redis, the scorecards of a fact", "bytes", [told["bytes"] / count]),
        Figure("scorecards", "Redis, all scorecards", "bytes", [told["bytes"]]),
    ]
