"""assess: submitted to assessed, signals/s in one process: claims, sightings, score, route, facts and joins, all laws on."""

from __future__ import annotations

from deploy.local.process_specs import AGENTS
from schemas.topics import ASSESSED, SUBMITTED
from tests.bench.figures import AtLeast, Figure, Row
from tests.bench.harness import Setting
from tests.bench.stage_rate import fill, work_off

SIGNALS = 60_000


def run(setting: Setting) -> list[Row]:
    rates = []
    alone = dict.fromkeys(AGENTS, 0) | {"assess": 1}
    with setting.stack("assess", services=("kafka", "redis", "workers"), workers=alone) as stack:
        stack.stop_one("assess-0")
        for number in range(setting.runs):
            fill(stack, "signals", setting.size(SIGNALS, 600), number)
            rates.append(work_off(stack, "assess-0", SUBMITTED, ASSESSED))
            setting.said(f"assess: run {number + 1}: {rates[-1]:,.0f} signals/s")
    return [Figure("assess", "submitted to assessed, one process", "signals/s", rates, AtLeast(5000))]
