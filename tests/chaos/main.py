"""`python -m tests.chaos`: breaks the system, then proves that nothing acknowledged is lost and nothing counts twice."""

from __future__ import annotations

import random
import secrets
import sys
from collections.abc import Iterable, Mapping

import typer

from tests.chaos.faults import BREAKS, CRASH_POINTS, NOT_RUN
from tests.chaos.invariants import Found

app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)


@app.command()
def command(
    kills: int = typer.Option(40, min=1, help="how many breaks: first every named one, then random kills"),
    seed: int = typer.Option(0, help="the same seed breaks the same things; 0: a new one"),
    only: str = typer.Option("", help="breaks to do, by name, separated by commas (point:NAME for a crash point)"),
    brokers: int = typer.Option(1, min=1, help="brokers; on several, with copies on each, the lost tails alone"),
) -> None:
    """Break the running system in every named way under load, then check the log, the cases and the rebuilt state."""
    from tests.chaos import losses
    from tests.chaos.run import plan, run

    seed = seed or secrets.randbelow(10**9)
    typer.echo(f"seed {seed}")
    usual = plan(kills, random.Random(seed)) if brokers == 1 else list(losses.BREAKS)
    steps = only.split(",") if only else usual
    known = set(losses.BREAKS)
    if brokers == 1:
        known |= set(BREAKS) | {f"point:{name}" for name in CRASH_POINTS}
    if unknown := [step for step in steps if step not in known]:
        raise typer.BadParameter(f"no such break: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    said: list[str] = []

    def tell(line: str) -> None:
        said.append(line)
        typer.echo(line)

    found = run(steps, seed=seed, told=tell, brokers=brokers)
    not_run = [line for line in said if NOT_RUN in line]
    sys.exit(report(found, len(steps) - len(not_run), seed, not_run))


def report(found: Found, breaks: int, seed: int, not_run: Iterable[str] = ()) -> int:
    """Prints what was found, and which breaks could not be made; the exit code."""
    typer.echo(
        f"{breaks} breaks (seed {seed}): {found.acknowledged} acknowledged, {found.records} records in the log, "
        f"{found.facts} facts of which {found.echoes} echoes, {found.cases} cases; {dict(found.outcomes)}"
    )
    typer.echo(f"the loop: {_told(found.loop.figures)}")
    typer.echo(f"  done: {_told(found.loop.asked)}")
    typer.echo(f"  orders: {_told(found.loop.orders)}")
    for line in found.wrong[:40]:
        typer.echo(f"  WRONG {line}")
    typer.echo(
        "nothing lost, nothing counted or carried out twice, the rebuilt state is the live one"
        if not found.wrong
        else f"{len(found.wrong)} violations"
    )
    for line in not_run:
        typer.echo(line)
    return 1 if found.wrong else 0


def _told(figures: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(figures.items()))
