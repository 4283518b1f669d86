"""What the bench of the peers says of itself: how many processes run, and ratios of medians."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.bench import peers
from deploy.bench.figures import Figure
from deploy.bench.setting import Setting

RATES = {"ours": [30.0, 28.0, 32.0], "ours-one": [18.0], "ks-eos": [20.0], "bytewax": [60.0], "faust": [3.0]}


def test_a_title_says_how_many_processes_and_the_targets_are_held_against_the_engines_own_medians() -> None:
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
    right = f"{name} --runs 1 --procs {processes}"
    script = f"""R="--runs ${{2:-3}}"; set -- "$1" $R; [ "$*" = "{right}" ] && echo '{json.dumps(row)}'"""
    (tmp_path / "run.sh").write_text(script)
    assert peers._rates(tmp_path, name, 1, {}, Setting(1, 1, lambda line: None)) == [7.0]
