"""`python -m tests.bench compare --against COMMIT`: the fast benches on another commit and on this tree, in turns.

Each tree runs its own `tests.bench` in processes of its own, so that nothing of one is imported by the other and its modules may
have other names. Figures are matched by bench and metric; a ratio above 1 is an improvement, of rates as of times.
Invariant: exit code 0 only when every figure that both trees print was compared, and none is below the limit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Annotated, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from deploy.local.paths import cache_dir, project_root

FAST = ("ingest", "assess", "track", "latency", "rebuild")
"""`track` takes the loop as well."""
LEAST = 0.95
RATE, TIMES = "/s", ("ms", "s")

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


class Name(NamedTuple):
    bench: str
    metric: str


class Measured(NamedTuple):
    """`value`: the median that the tree printed."""

    value: float
    unit: str


Round = Mapping[Name, Measured]


class Comparison(NamedTuple):
    """Medians over the rounds, in the unit. `ratio`: how many times as good this tree is as the other."""

    name: Name
    unit: str
    theirs: float
    ours: float
    ratio: float


class TreeError(RuntimeError):
    """A tree did not take a bench; the message says which and why."""


def read_figures(lines: Iterable[str]) -> dict[Name, Measured]:
    """The rates and times among the printed figures. What is neither (a ratio, bytes, a count) says nothing of speed here.
    TreeError for a bench that could not be run."""
    figures: dict[Name, Measured] = {}
    for line in lines:
        if not line.startswith("{"):
            continue
        row = json.loads(line)
        if "not run" in row:
            raise TreeError(f"{row['bench']}: {row['not run']}")
        if row["unit"].endswith(RATE) or row["unit"] in TIMES:
            figures[Name(row["bench"], row["metric"])] = Measured(float(row["median"]), row["unit"])
    return figures


def compare_rounds(theirs: Sequence[Round], ours: Sequence[Round]) -> list[Comparison]:
    """Each figure that every round of both trees has, in the order of ours."""
    comparisons = []
    for name, measured in ours[0].items():
        if not all(name in one for one in (*theirs, *ours)):
            continue
        before, after = (median(one[name].value for one in rounds) for rounds in (theirs, ours))
        ratio = after / before if measured.unit.endswith(RATE) else before / after
        comparisons.append(Comparison(name, measured.unit, before, after, ratio))
    return comparisons


def list_unmatched(theirs: Sequence[Round], ours: Sequence[Round]) -> list[Name]:
    """The figures that only one of the trees prints: renamed, new or gone."""
    names = [{name for one in rounds for name in one} for rounds in (theirs, ours)]
    return sorted(names[0] ^ names[1])


@contextmanager
def checked_out(commit: str) -> Iterator[Path]:
    """A worktree of the commit; gone afterwards."""
    root = project_root()
    with tempfile.TemporaryDirectory(prefix="liandong-compare-") as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--detach", "--quiet", str(tree), commit], cwd=root, check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(tree)], cwd=root, check=True)


def run_bench(tree: Path, home: Path, bench: str, scale: float) -> dict[Name, Measured]:
    """One run of a bench by the tree's own code, with a home of its own. Whether it met its targets does not matter."""
    env = {**os.environ, "PYTHONPATH": str(tree), "LIANDONG_HOME": str(home), "LIANDONG_CACHE": str(cache_dir())}
    command = [sys.executable, "-m", "tests.bench", bench, "--json", "--runs", "1", "--scale", str(scale)]
    done = subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True)
    figures = read_figures(done.stdout.splitlines())
    if not figures:
        raise TreeError(f"{bench} in {tree} printed no figure:\n{done.stderr[-2000:]}")
    return figures


@app.command()
def command(
    against: Annotated[str, typer.Option(help="The commit to compare with.")],
    benches: Annotated[list[str] | None, typer.Argument(help=f"Default: {', '.join(FAST)}.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="How often each tree runs each bench; medians count.")] = 5,
    scale: Annotated[float, typer.Option(min=0.001, max=10, help="Size of the work.")] = 1.0,
    least: Annotated[float, typer.Option(help="The ratio below which a figure fails.")] = LEAST,
) -> None:
    """Run the fast benches on another commit and on this tree in turns. Exit code 1 when a figure got worse than the limit."""
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    theirs: list[dict[Name, Measured]] = [{} for _ in range(rounds)]
    ours: list[dict[Name, Measured]] = [{} for _ in range(rounds)]
    with checked_out(against) as other, tempfile.TemporaryDirectory(prefix="liandong-home-") as homes:
        for bench in benches or FAST:
            for number in range(rounds):
                sides = [("theirs", other, theirs), ("ours", project_root(), ours)]
                for side, tree, results in sides if number % 2 else reversed(sides):  # neither tree is always the first
                    figures = run_bench(tree, Path(homes) / side, bench, scale)
                    results[number] |= figures
                    values = ", ".join(f"{one.value:,.4g} {one.unit}" for one in figures.values())
                    err.print(f"{bench}: round {number + 1}: {side}: {values}", style="dim", soft_wrap=True)
    comparisons = compare_rounds(theirs, ours)
    out.print(_tabulate(comparisons, against, least))
    for name in list_unmatched(theirs, ours):
        out.print(f"only one tree has: {name.bench}, {name.metric}", style="dim")
    raise typer.Exit(0 if comparisons and all(one.ratio >= least for one in comparisons) else 1)


def _tabulate(comparisons: Sequence[Comparison], against: str, least: float) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("bench", "metric", against, "here", "unit", "ratio", f">= {least:g}"):
        table.add_column(heading, justify="left" if heading in ("bench", "metric", "unit") else "right")
    for one in comparisons:
        verdict = "[green]yes[/]" if one.ratio >= least else "[red]NO[/]"
        table.add_row(*one.name, f"{one.theirs:,.4g}", f"{one.ours:,.4g}", one.unit, f"{one.ratio:.3f}", verdict)
    return table
