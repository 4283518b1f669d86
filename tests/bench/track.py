"""track: actions/s in one process: joins as the assess stage wrote them and officers' moves; then the loop with its orders."""

from __future__ import annotations

import asyncio

from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, SUBMITTED
from tests.bench.figures import AtLeast, Figure, Row
from tests.bench.harness import Setting
from tests.bench.stage_rate import ends, fill, work_off

SIGNALS, MOVES, LOOP = 30_000, 15_000, 14_000


def run(setting: Setting) -> list[Row]:
    rates, shares, loops = [], [], []
    with setting.stack("track", services=("kafka", "redis", "workers"), workers={"deliver": 0, "project": 0}) as stack:
        stack.stop_one("assess-0")
        stack.stop_one("track-0")
        for number in range(setting.runs):
            fill(stack, "signals", setting.size(SIGNALS, 600), number)
            before = sum(asyncio.run(ends(stack, CASE_COMMANDS)).values())
            work_off(stack, "assess-0", SUBMITTED, ASSESSED)
            joins = sum(asyncio.run(ends(stack, CASE_COMMANDS)).values()) - before
            moves = fill(stack, "moves", setting.size(MOVES, 300), number)
            shares.append(joins / (joins + moves))
            rates.append(work_off(stack, "track-0", CASE_COMMANDS, CASE_CHANGES))
            loop = fill(stack, "loop", setting.size(LOOP, 700), number)
            loops.append(work_off(stack, "track-0", CASE_COMMANDS, CASE_CHANGES))
            said = f"{rates[-1]:,.0f} actions/s of {joins + moves}, {loops[-1]:,.0f} actions/s of {loop} of the loop"
            setting.said(f"track: run {number + 1}: {said}")
    note = f"{min(shares):.0%} to {max(shares):.0%} are joins, the others officers' moves"
    whole = "a claim, a measure, a stop with its two answers, a clock that is asked for, an end; all clocks on"
    return [
        Figure("track", "actions, one process", "actions/s", rates, AtLeast(2500), note=note),
        Figure("track", "actions of the loop, one process", "actions/s", loops, AtLeast(2000), note=whole),
    ]
