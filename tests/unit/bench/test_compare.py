"""Two trees are compared by the figures that both print; a ratio above 1 is an improvement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.bench import compare
from tests.bench.compare import Measured, Name, TreeError, compare_rounds, list_unmatched, read_figures
from tests.bench.figures import AtLeast, Figure, NotRun

RATE, TIME = Name("assess", "one process"), Name("latency", "p50")


def test_rates_and_times_are_read_and_nothing_else() -> None:
    rows = [
        Figure("assess", "one process", "signals/s", [5000.0, 5400.0, 5200.0], AtLeast(5000)),
        Figure("assess", "one process, over a bare poll loop", "x", [0.2]),
        Figure("latency", "p50", "ms", [44.25]),
        Figure("memory", "Redis, a signal", "bytes", [1483]),
    ]
    lines = ["Python 3.11 on x86_64", *(json.dumps(row.as_json()) for row in rows), ""]
    assert read_figures(lines) == {RATE: Measured(5200, "signals/s"), TIME: Measured(44.25, "ms")}


def test_a_bench_that_was_not_run_is_an_error() -> None:
    with pytest.raises(TreeError, match="no broker"):
        read_figures([json.dumps(NotRun("assess", "all", "no broker").as_json())])


def rounds(rates: list[float], times: list[float]) -> list[dict[Name, Measured]]:
    return [{RATE: Measured(rate, "signals/s"), TIME: Measured(ms, "ms")} for rate, ms in zip(rates, times, strict=True)]


def test_medians_are_compared_and_more_is_better_for_a_rate_and_less_for_a_time() -> None:
    rate, time = compare_rounds(rounds([100, 50, 110], [40, 40, 400]), rounds([90, 120, 95], [50, 20, 50]))
    assert (rate.theirs, rate.ours, rate.ratio) == (100, 95, 0.95)
    assert (time.theirs, time.ours, time.ratio) == (40, 50, 0.8)


def test_a_figure_that_only_one_tree_has_is_told_and_not_compared() -> None:
    old, new = rounds([100], [40]), rounds([100], [40])
    old[0][Name("assess", "by its old name")] = Measured(1, "ms")
    new[0][Name("ingest", "new")] = Measured(1, "ms")
    assert [one.name for one in compare_rounds(old, new)] == [RATE, TIME]
    assert list_unmatched(old, new) == [("assess", "by its old name"), ("ingest", "new")]


@pytest.mark.parametrize(("ours", "code"), [(96.0, 0), (94.0, 1)])
def test_the_command_takes_turns_and_fails_below_the_limit(monkeypatch: pytest.MonkeyPatch, ours: float, code: int) -> None:
    order: list[str] = []

    def run_bench(tree: Path, home: Path, bench: str, scale: float) -> dict[Name, Measured]:
        order.append(home.name)
        return {RATE: Measured(ours if home.name == "ours" else 100.0, "signals/s")}

    monkeypatch.setattr(compare, "run_bench", run_bench)
    monkeypatch.setattr(compare, "checked_out", lambda commit: _Nothing())
    app = typer.Typer()
    app.command()(compare.command)
    done = CliRunner().invoke(app, ["--against", "abc", "--rounds", "2", "assess"])
    assert done.exit_code == code, done.output
    assert order == ["ours", "theirs", "theirs", "ours"]
    assert f"{ours / 100:.3f}" in done.output


class _Nothing:
    def __enter__(self) -> Path:
        return Path("/nowhere")

    def __exit__(self, *_: Any) -> None: ...
