"""`liandong demo`: starts everything, feeds a generated day through the file drop connector, checks that the planted schemes
reached their queues, says what it found, and leaves the system running.

Invariant: exit code 0 means that every planted scheme is in its queue; 1 that one is not, or that something did not work.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.demo.run import Wish, play
from deploy.demo.schemes import SCHEME_NAMES


def register(app: typer.Typer) -> None:
    app.command("demo")(command)


def command(
    seed: Annotated[int | None, typer.Option(help="The day's seed; default: a new one.")] = None,
    profile: Annotated[str, typer.Option("--profile", "-p", help="Its own data, logs and ports.")] = "demo",
    amlsim: Annotated[Path | None, typer.Option(help="Folder of AMLSim's samples; default ../shared/data/amlsim.")] = None,
    aml_rows: Annotated[int, typer.Option(min=0, help="AMLSim's transactions of laundering accounts to feed.")] = 6000,
    each: Annotated[int, typer.Option(min=1, help="Ordinary reports of each institution.")] = 150,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until all is in the queues.")] = 120.0,
    sabotage: Annotated[str | None, typer.Option(hidden=True, help="Leave out the rows of this scheme.")] = None,
) -> None:
    """Start everything, feed a day with planted schemes, show what came of it; leave it running."""
    if sabotage is not None and sabotage not in SCHEME_NAMES:
        raise typer.BadParameter(f"there is no scheme {sabotage}; there are {', '.join(SCHEME_NAMES)}")
    raise typer.Exit(play(Wish(seed, profile, amlsim, aml_rows, each, timeout, sabotage)))
