"""A figure is judged by its median; what was not run is never ok; one bench that breaks does not hide the others."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from tests.bench import main
from tests.bench.figures import AtLeast, AtMost, Figure, NotRun, Row, compare
from tests.bench.harness import Setting


@pytest.mark.parametrize(
    ("runs", "target", "ok"),
    [
        ([4000, 5000, 9000], AtLeast(5000), True),
        ([4000, 4999, 9000], AtLeast(5000), False),
        ([59, 61, 10], AtMost(60), True),
        ([61, 61, 10], AtMost(60), False),
        ([1], None, True),
    ],
)
def test_the_median_counts(runs: list[float], target: AtLeast | AtMost | None, ok: bool):
    assert Figure("b", "m", "u", runs, target).ok is ok


def test_a_line_holds_what_was_measured_and_what_it_had_to_be():
    told = Figure("assess", "one process", "signals/s", [5100.4, 4800, 5300], AtLeast(5000), {"stock": 790.0}).as_json()
    assert told == {
        "bench": "assess",
        "metric": "one process",
        "unit": "signals/s",
        "median": 5100,
        "runs": [5100, 4800, 5300],
        "target": ">= 5000",
        "ok": True,
        "against": {"stock": 790},
    }


def test_a_ratio_is_of_one_round_and_judged_and_the_absolute_figure_stands_beside_it():
    """The second round fell into a slow phase of the machine."""
    rate = Figure("assess", "one process", "signals/s", [5000, 2000, 5200], note="n", absolute=AtLeast(9000))
    ratio, absolute = compare(rate, [10_000, 4000, 10_000], "a bare loop", AtLeast(0.5))
    assert (ratio.ok, absolute.ok) == (True, True)
    told = ratio.as_json()
    assert told["metric"] == "one process, over a bare loop"
    assert (told["unit"], told["runs"], told["target"]) == ("x", [0.5, 0.5, 0.52], ">= 0.5")
    assert told["against"] == {"a bare loop, signals/s": 10_000}
    assert absolute.as_json()["absolute"] == ">= 9000 on the machine of that day"
    assert absolute.as_json()["target"] is None
    with pytest.raises(ValueError):
        compare(rate, [10_000], "a bare loop", AtLeast(0.5))


def bench(rows: list[Row] | Exception, monkeypatch: pytest.MonkeyPatch) -> tuple[int, list[dict[str, object]]]:
    def run(setting: Setting) -> list[Row]:
        if isinstance(rows, Exception):
            raise rows
        return rows

    monkeypatch.setattr("tests.bench.assess.run", run)
    app = typer.Typer()
    app.command()(main.command)
    done = CliRunner().invoke(app, ["assess", "--json"])
    return done.exit_code, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_exit_code_0_says_that_every_figure_is_what_it_must_be(monkeypatch: pytest.MonkeyPatch):
    code, lines = bench([Figure("assess", "m", "u", [6000], AtLeast(5000))], monkeypatch)
    assert code == 0
    assert [line["ok"] for line in lines] == [True]


def test_exit_code_1_says_that_one_is_not(monkeypatch: pytest.MonkeyPatch):
    figures: list[Row] = [Figure("assess", "m", "u", [6000], AtLeast(5000)), Figure("assess", "n", "u", [1], AtLeast(2))]
    code, lines = bench(figures, monkeypatch)
    assert code == 1
    assert [line["ok"] for line in lines] == [True, False]


def test_what_cannot_run_says_why_and_is_not_ok(monkeypatch: pytest.MonkeyPatch):
    code, lines = bench([NotRun("assess", "m", "no JDK")], monkeypatch)
    assert code == 1
    assert lines == [{"bench": "assess", "metric": "m", "not run": "no JDK", "ok": False}]


def test_a_bench_that_breaks_says_what_broke(monkeypatch: pytest.MonkeyPatch):
    code, lines = bench(TimeoutError("the broker is away"), monkeypatch)
    assert code == 1
    assert lines[0]["not run"] == "TimeoutError: the broker is away"


def test_a_name_that_does_not_exist_is_refused_with_those_that_do():
    app = typer.Typer()
    app.command()(main.command)
    done = CliRunner().invoke(app, ["speed"])
    assert done.exit_code == 2
    assert "there is no bench speed" in done.output


@pytest.mark.parametrize("name", sorted(path.stem for path in Path(main.__file__).parent.glob("[a-z]*.py")))
def test_each_module_of_the_benches_can_be_imported(name: str):
    """Their children are started by name, and no test starts them all."""
    assert import_module(f"tests.bench.{name}")
