"""track: actions/s in one process: joins as the assess stage wrote them and officers' moves; then the loop with its orders.

The baseline reads the same records, calls Redis once a bucket and appends (`bare_stage.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from deploy.local.stack import Stack
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, SUBMITTED
from tests.bench.figures import AtLeast, Figure, Row, compare
from tests.bench.harness import Setting
from tests.bench.stage_rate import BARE, ends, fill, work_off, work_off_in_turns

SIGNALS, MOVES, LOOP = 30_000, 15_000, 14_000


def run(setting: Setting) -> list[Row]:
    rates: dict[str, list[float]] = {name: [] for name in ("actions", "loop", "bare actions", "bare loop")}
    shares = []
    with setting.stack("track", services=("kafka", "redis", "workers"), workers={"deliver": 0, "project": 0}) as stack:
        stack.stop_one("assess-0")
        stack.stop_one("track-0")
        for number in range(setting.runs):
            fill(stack, "signals", setting.size(SIGNALS, 600), number)
            before = asyncio.run(ends(stack, CASE_COMMANDS))
            work_off(stack, "assess-0", SUBMITTED, ASSESSED)
            joins = sum(asyncio.run(ends(stack, CASE_COMMANDS)).values()) - sum(before.values())
            moves = fill(stack, "moves", setting.size(MOVES, 300), number)
            shares.append(joins / (joins + moves))
            _work_off(stack, "actions", before, rates)
            before = asyncio.run(ends(stack, CASE_COMMANDS))
            loop = fill(stack, "loop", setting.size(LOOP, 700), number)
            _work_off(stack, "loop", before, rates)
            told = ", ".join(f"{name} {measured[-1]:,.0f}/s" for name, measured in rates.items())
            setting.said(f"track: run {number + 1}: {joins + moves} and {loop}: {told}")
    note = f"{min(shares):.0%} to {max(shares):.0%} are joins, the others officers' moves"
    whole = "a claim, a measure, a stop with its two answers, a clock that is asked for, an end; all clocks on"
    actions = Figure("track", "actions, one process", "actions/s", rates["actions"], note=note, absolute=AtLeast(2500))
    loops = Figure("track", "actions of the loop, one process", "actions/s", rates["loop"], note=whole, absolute=AtLeast(2000))
    return [
        *compare(actions, rates["bare actions"], BARE, AtLeast(0.01)),
        *compare(loops, rates["bare loop"], BARE, AtLeast(0.01)),
    ]


def _work_off(stack: Stack, name: str, before: Mapping[int, int], rates: dict[str, list[float]]) -> None:
    rate, bare = work_off_in_turns(stack, "track-0", CASE_COMMANDS, CASE_CHANGES, before)
    rates[name].append(rate)
    rates[f"bare {name}"].append(bare)
