"""assess: submitted to assessed, signals/s in one process: claims, sightings, score, route, facts and joins, all laws on.

The baseline reads the same records, calls Redis once a bucket and appends (`bare_stage.py`).
"""

from __future__ import annotations

import asyncio

from deploy.local.process_specs import AGENTS
from schemas.topics import ASSESSED, SUBMITTED
from tests.bench.figures import AtLeast, Figure, Row, compare
from tests.bench.harness import Setting
from tests.bench.stage_rate import BARE, ends, fill, work_off_in_turns

SIGNALS = 60_000


def run(setting: Setting) -> list[Row]:
    rates, bare_rates = [], []
    alone = dict.fromkeys(AGENTS, 0) | {"assess": 1}
    with setting.stack("assess", services=("kafka", "redis", "workers"), workers=alone) as stack:
        stack.stop_one("assess-0")
        for number in range(setting.runs):
            starts = asyncio.run(ends(stack, SUBMITTED))
            fill(stack, "signals", setting.size(SIGNALS, 600), number)
            rate, bare = work_off_in_turns(stack, "assess-0", SUBMITTED, ASSESSED, starts)
            rates.append(rate)
            bare_rates.append(bare)
            setting.said(f"assess: run {number + 1}: {rates[-1]:,.0f} signals/s, bare {bare_rates[-1]:,.0f}")
    figure = Figure("assess", "submitted to assessed, one process", "signals/s", rates, absolute=AtLeast(5000))
    return compare(figure, bare_rates, BARE, AtLeast(0.01))
