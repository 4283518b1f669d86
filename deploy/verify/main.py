"""`liandong verify`: is the live state what the log says, and is the log's result what the senders' ledgers demand?"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.local.errors import LauncherError
from deploy.local.stack import Stack
from deploy.verify.compare import Difference, differences, read_live, signal_ids
from deploy.verify.ledger import read_ledger
from deploy.verify.oracle import Expected, expect
from deploy.verify.quiet import NotQuiet, wait_quiet
from deploy.verify.rebuilt import StageDigest, compare_with_rebuilt
from stream_processors.settings import Settings

SHOWN = 10
LEDGERS = "ledgers"
"""The folder of a profile where the demo keeps its senders' ledgers."""


def register(app: typer.Typer) -> None:
    app.command("verify")(command)


def settings_of(stack: Stack) -> Settings:
    """The settings that the stack's own processes have."""
    return Settings(
        kafka_bootstrap=stack.kafka_bootstrap,
        redis_url=stack.redis_url,
        home=stack.places.home,
        profile=stack.profile,
        keys_file=stack.places.keys,
    )


def command(
    profile: Annotated[str, typer.Option("--profile", "-p", help="Which system.")] = "demo",
    ledger: Annotated[
        list[Path] | None, typer.Option("--ledger", "-l", help="A sender's ledger; repeat for several. Default: the demo's.")
    ] = None,
    partial: Annotated[bool, typer.Option(help="Others sent too: do not look at upper bounds.")] = False,
    undisturbed: Annotated[bool, typer.Option(help="Nothing was killed: the narrowest bounds.")] = False,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until the stages are at rest.")] = 120.0,
) -> None:
    """Fold the log into a fresh Redis and compare; compare with the ledgers. Exit code 1 when something differs."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    stack = Stack(profile, external=True)
    try:
        own = sorted((stack.places.root / LEDGERS).glob("*.ndjson"))
        ok = asyncio.run(verify(stack, ledger or own, partial or not ledger, undisturbed, timeout, console))
    except (LauncherError, NotQuiet) as error:
        console.print(f"[bold red]error[/] {escape(str(error))}")
        raise typer.Exit(2) from error
    raise typer.Exit(0 if ok else 1)


async def verify(stack: Stack, ledgers: list[Path], partial: bool, undisturbed: bool, timeout_s: float, console: Console) -> bool:
    """Whether everything agrees; says what it finds."""
    settings = settings_of(stack)
    with console.status("waiting until the stages are at rest"):
        await wait_quiet(settings, timeout_s=timeout_s)
    with console.status("folding the log into a fresh Redis"):
        digests = await compare_with_rebuilt(settings)
    console.print(_digests(digests))
    for one in digests:
        _show_keys(one, console)
    ok = all(one.same for one in digests)
    if ledgers:
        entries = [entry for path in ledgers for entry in read_ledger(path)]
        with console.status("computing what must be there from the ledger"):
            expected = expect(entries, settings.policy_file, undisturbed=undisturbed)
            live = await read_live(settings.redis_url, signal_ids(expected))
        found = differences(expected, live, partial=partial)
        console.print(_oracle(expected, len(entries), len(live.cases), found, partial))
        for difference in found[:SHOWN]:
            console.print(f"  [red]✗[/] {escape(str(difference))}", soft_wrap=True)
        ok = ok and not found
    console.print("[bold green]verified[/]" if ok else "[bold red]not verified[/]")
    return ok


def _digests(digests: list[StageDigest]) -> Table:
    table = Table(title="live state and state rebuilt from the log", title_justify="left")
    for column in ("stage", "keys", "facts folded", "live", "rebuilt", ""):
        table.add_column(column)
    for one in digests:
        verdict = "[green]same[/]" if one.same else f"[red]{len(one.differing)} keys differ[/]"
        table.add_row(one.stage, f"{one.keys:,}", f"{one.folded:,}", one.live[:16], one.fresh[:16], verdict)
    return table


def _show_keys(one: StageDigest, console: Console) -> None:
    for key, live, fresh in one.differing[:SHOWN]:
        console.print(f"  [red]✗[/] {one.stage} {escape(key)}", soft_wrap=True)
        old, new = set((live or "").splitlines()), set((fresh or "").splitlines())
        for name, lines in (("live only", old - new), ("rebuilt only", new - old)):
            for line in sorted(lines)[:3]:
                console.print(f"      {name}: {escape(line[:300])}", soft_wrap=True)


def _oracle(expected: Expected, entries: int, cases: int, found: list[Difference], partial: bool) -> Table:
    sure = sum(one.identity.sure for one in expected.signals)
    exact = sum(one.score[0] == one.score[1] for one in expected.signals)
    must = sum(bool(one.must) for one in expected.cases.values())
    table = Table(title="sender's ledger and live views" + (" (partial)" if partial else ""), title_justify="left")
    for column in ("lines sent", "signals acknowledged", "score determined", "cases demanded", "cases there", "differences"):
        table.add_column(column)
    verdict = f"[red]{len(found)}[/]" if found else "[green]0[/]"
    table.add_row(f"{entries:,}", f"{sure:,}", f"{exact:,}", f"{must:,}", f"{cases:,}", verdict)
    return table
