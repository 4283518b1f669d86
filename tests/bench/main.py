"""`python -m tests.bench NAME|all`: takes the figures and says whether each is what it must be.

Invariant: exit code 0 only when every figure was taken and is ok.
"""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from importlib import import_module
from typing import Annotated

import psutil
import typer
from rich.console import Console
from rich.table import Table

from tests.bench.figures import Figure, NotRun, Row
from tests.bench.harness import DURABILITY, MIX, Setting

BENCHES: tuple[str, ...] = (
    "transport",
    "peers",
    "assess",
    "track",
    "ingest",
    "latency",
    "rebuild",
    "memory",
    "decisions",
    "live",
    "orders",
    "search",
    "clocks",
    "scorecards",
    "trail",
    "stacks",
)
"""Each is a module here with `run(setting) -> list[Row]`."""


app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command()
def command(
    name: Annotated[str, typer.Argument(help=f"all, or one of: {', '.join(BENCHES)}.")] = "all",
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line per figure instead of a table.")] = False,
    runs: Annotated[int, typer.Option(min=1, help="How often each figure is taken; the median counts.")] = 5,
    scale: Annotated[float, typer.Option(min=0.001, max=10, help="Size of the work; figures are quoted for 1.")] = 1.0,
) -> None:
    """Measure: rates, latency, rebuild, memory. Exit code 1 when a figure is not what it must be or was not taken."""
    if name != "all" and name not in BENCHES:
        raise typer.BadParameter(f"there is no bench {name}; there are {', '.join(BENCHES)}")
    out, err = Console(highlight=False), Console(stderr=True, highlight=False)
    setting = Setting(runs, scale, lambda line: err.print(line, style="dim", soft_wrap=True))
    err.print(f"{machine()}\n{DURABILITY}\n{MIX}", soft_wrap=True)
    table = _table()
    rows: list[Row] = []
    for one in BENCHES if name == "all" else (name,):
        for row in take(one, setting):
            rows.append(row)
            if as_json:
                out.print(json.dumps(row.as_json(), ensure_ascii=False), soft_wrap=True, markup=False)
            else:
                table.add_row(*_cells(row))
    if not as_json:
        out.print(table)
    raise typer.Exit(0 if all(row.ok for row in rows) else 1)


def take(name: str, setting: Setting) -> list[Row]:
    """The rows of one bench; one that breaks is told as not run, so that the others still are."""
    run: Callable[[Setting], list[Row]] = import_module(f"tests.bench.{name}").run
    try:
        return run(setting)
    except Exception as error:
        return [NotRun(name, "all", f"{type(error).__name__}: {error}")]


def machine() -> str:
    load = os.getloadavg()[0]
    gib = psutil.virtual_memory().total / 2**30
    kind = f"Python {platform.python_version()} on {platform.machine()}"
    return f"{kind}, {os.cpu_count()} cores, {gib:.0f} GiB, load {load:.1f} before"


def _table() -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("bench", "metric", "median", "unit", "target", "ok", "against"):
        table.add_column(heading, justify="right" if heading == "median" else "left")
    return table


def _cells(row: Row) -> list[str]:
    if isinstance(row, NotRun):
        return [row.bench, row.metric, "-", "", "", "[red]not run[/]", row.why]
    assert isinstance(row, Figure)
    said = row.as_json()
    beside = ", ".join(f"{name} {value:g}" for name, value in said.get("against", {}).items())
    ok = "" if row.target is None else "[green]yes[/]" if row.ok else "[red]NO[/]"
    return [row.bench, row.metric, f"{said['median']:,}", row.unit, str(row.target or ""), ok, beside]
