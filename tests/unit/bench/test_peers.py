"""What the bench of the peers says of itself: how many processes run, and ratios of one round."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench import peers
from tests.bench.figures import Figure

RATES = {
    "ours": [30.0, 14.0, 32.0],
    "ours-one": [18.0, 9.0, 18.0],
    "ks-eos": [20.0, 10.0, 20.0],
    "bytewax": [60.0, 28.0, 60.0],
    "faust": [3.0],
}
"""The second round fell into a slow phase of the machine."""


def test_a_title_says_how_many_processes_and_a_ratio_is_of_one_round() -> None:
    rows = {row.metric: row for row in peers._rows(RATES) if isinstance(row, Figure)}
    over = rows["over Kafka Streams exactly_once_v2, two threads"]
    assert (over.median, over.ok) == (1.5, True)
    assert rows["over stock faust-streaming, take(500), one process"].median == 10
    assert rows["the peers' work: Liandong, two worker processes, all laws of the state"].median == 30
    assert rows["Liandong, one worker process, over stock faust-streaming, take(500), one process"].median == 6
    assert rows["over Bytewax with recovery, one worker"].median == 0.5


@pytest.mark.parametrize(("name", "processes"), [("ours", 2), ("ours-one", 1), ("ks-eos", 1)])
def test_an_engine_runs_with_the_processes_that_its_title_tells(tmp_path: Path, name: str, processes: int) -> None:
    row: dict[str, Any] = {"name": name, "run": 1, "correct": True, "rps": 7}
    right = f"{name} --runs 1 --warm 0 --procs {processes}"
    script = f"""R="--runs ${{2:-3}}"; set -- "$1" $R; [ "$*" = "{right}" ] && echo '{json.dumps(row)}'"""
    (tmp_path / "run.sh").write_text(script)
    assert peers._rate(tmp_path, name, {}) == 7.0
