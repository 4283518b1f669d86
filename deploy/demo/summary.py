"""The demo's result for a person: the sent signals, their outcomes and queues, and whether each planted scheme was found."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.demo.day import Day
from deploy.demo.feeding import Fed
from deploy.demo.verdicts import SEVERITIES, Queues, SchemeVerdict

_WIDTH = 110
_COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "dim"}


def console() -> Console:
    """Wide enough for the tables even without a terminal."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDTH)


@dataclass(frozen=True)
class Took:
    """Seconds of each part."""

    start_s: float
    feed_s: float
    settle_s: float


def show(
    out: Console,
    day: Day,
    fed: Sequence[Fed],
    outcomes: Counter[str],
    queues: Queues,
    verdicts: Sequence[SchemeVerdict],
    took: Took,
) -> None:
    out.print()
    out.print(_tabulate_sent(day, fed, outcomes))
    out.print(_tabulate_queues(queues))
    out.print(_tabulate_schemes(verdicts))
    if day.aml is None:
        out.print("[dim]AMLSim's transactions (../shared/data/amlsim) are not there: only the generated day was fed.[/]")
    else:
        out.print(_describe_aml(day, queues))
    speed = sum(fed_file.totals.rows for fed_file in fed) / max(took.feed_s, 0.001)
    out.print(
        f"started in {took.start_s:.1f} s, fed in {took.feed_s:.1f} s ({speed:,.0f} rows/s), "
        f"all in the queues {took.settle_s:.1f} s later"
    )
    out.print(f"[dim]run {day.run}, seed {day.seed} (`--seed {day.seed}` makes the same day again)[/]")


def _tabulate_sent(day: Day, fed: Sequence[Fed], outcomes: Counter[str]) -> Table:
    table = Table(title="sent by file drop", title_justify="left")
    for column in ("institution", "files"):
        table.add_column(column)
    for column in ("rows", "accepted", "of these known already", "rejected"):
        table.add_column(column, justify="right")
    for who in sorted({fed_file.drop.institution for fed_file in fed}):
        own = [fed_file for fed_file in fed if fed_file.drop.institution == who]
        sums = [sum(column) for column in zip(*(fed_file.totals for fed_file in own), strict=True)]
        files = ", ".join(fed_file.drop.path.name for fed_file in own)
        table.add_row(who, files, *(f"{n:,}" for n in (sum(fed_file.drop.rows for fed_file in own), *sums)))
    sums = [sum(column) for column in zip(*(fed_file.totals for fed_file in fed), strict=True)]
    rows = sum(fed_file.drop.rows for fed_file in fed)
    table.add_section()
    table.add_row("[bold]all[/]", f"{len(fed)} files", *(f"[bold]{n:,}[/]" for n in (rows, *sums)))
    outcome_counts = ", ".join(f"{n:,} {name}" for name, n in sorted(outcomes.items())) or "nothing"
    table.caption = f"what the stages made of them: {outcome_counts}"
    table.caption_justify = "left"
    return table


def _tabulate_queues(queues: Queues) -> Table:
    table = Table(title="open cases", title_justify="left")
    table.add_column("queue")
    for name in reversed(SEVERITIES):
        table.add_column(name, justify="right", style=_COLOURS[name])
    table.add_column("all", justify="right")
    for queue in sorted(queues.cases):
        counts = queues.severities(queue)
        table.add_row(queue, *(f"{counts[name]:,}" for name in reversed(SEVERITIES)), f"{counts.total():,}")
    return table


def _tabulate_schemes(verdicts: Sequence[SchemeVerdict]) -> Table:
    table = Table(title="planted schemes", title_justify="left")
    for column in ("", "scheme", "found"):
        table.add_column(column)
    for verdict in verdicts:
        mark = "[bold red]✗[/]" if verdict.wrong else "[bold green]✓[/]"
        lines = [escape(line) for line in verdict.outcome.split("; ") if line] + [
            f"[red]{escape(fault)}[/]" for fault in verdict.wrong[:4]
        ]
        table.add_row(mark, verdict.scheme.title, "\n".join(lines))
    return table


def _describe_aml(day: Day, queues: Queues) -> str:
    assert day.aml is not None
    subjects = {case["primary_subject"]["value"] for cases in queues.cases.values() for case in cases}
    with_case = len(day.aml.accounts & subjects)
    return (
        f"AMLSim (Apache-2.0, read in place): {day.aml.laundering:,} transactions of laundering accounts and {day.aml.others:,} "
        f"others; {with_case:,} of {len(day.aml.accounts):,} laundering accounts have a case"
    )
