"""A small run of `make chaos`, in every `make test`: the points where most is at stake, and an emptied Redis."""

from __future__ import annotations

import random
import secrets

import pytest

from tests.chaos.faults import BREAKS, CRASH_POINTS
from tests.chaos.main import report
from tests.chaos.run import plan, run

SAMPLE = [
    "point:gateway.action_appended",
    "point:assess.recorded",
    "point:track.recorded",
    "flush",
    "point:deliver.issued",
    "poison",
]


@pytest.mark.chaos
@pytest.mark.timeout(900)
def test_what_was_acknowledged_survives_kills_a_flush_and_poison(tmp_path):
    seed = secrets.randbelow(10**9)
    print(f"seed {seed}: python -m tests.chaos --seed {seed} --only {','.join(SAMPLE)}")
    found = run(SAMPLE, seed=seed, told=print, profile="chaos-sample")
    assert report(found, len(SAMPLE), seed) == 0
    loop = found.loop
    assert found.acknowledged > 100, "the load was too small to prove anything"
    assert loop.asked["answers executed"] and loop.asked["dispose false_positive"], f"nothing was carried out: {loop.asked}"
    assert loop.figures["moments"] and loop.figures["notices read on"], f"no clock came due, or nobody read: {loop.figures}"


def test_a_full_run_holds_every_crash_point_and_every_break():
    steps = plan(200, random.Random(1))
    assert {f"point:{name}" for name in CRASH_POINTS} <= set(steps)
    assert set(BREAKS) <= set(steps)
    assert len(steps) == 200
