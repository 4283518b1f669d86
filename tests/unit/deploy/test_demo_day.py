"""The demo's day as files: the planted faults are faults, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.contract import START
from connectors.filedrop.commands import _find_fault
from connectors.filedrop.mapping import load_mapping
from connectors.filedrop.source import FileSource
from deploy.demo.day import Plan, make_day
from tests.support.builders import T0


@pytest.mark.parametrize("seed", range(3))
def test_exactly_the_rows_that_are_planted_as_bad_are_refused(tmp_path: Path, seed: int) -> None:
    day = make_day(Plan(seed, f"t{seed}", each=20, end=T0), tmp_path)
    refused = {}
    for drop in day.drops:
        items = list(FileSource(drop.path, load_mapping(drop.mapping), settle_s=0).items(START))
        assert len(items) == drop.rows
        refused[drop.institution] = sum(_find_fault(item) is not None for item in items)
    planted = dict.fromkeys(refused, 0)
    for report in day.reports:
        planted[report.institution] += report.expected == "reject"
    assert refused == planted and sum(planted.values()) == 6
