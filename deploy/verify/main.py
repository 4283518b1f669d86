"""`liandong verify`: compares the live state with the log, and the log's result with what the senders' ledgers demand."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError
from rich.console import Console
from rich.markup import escape

from deploy.local.errors import LauncherError
from deploy.local.stack import Stack
from deploy.verify.quiet import NotQuiet
from deploy.verify.run import LEDGERS, settings_of, verify

__all__ = ["register", "settings_of", "verify"]


def register(app: typer.Typer) -> None:
    app.command("verify")(command)


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
    except (KafkaError, RedisError, OSError) as error:
        console.print(f"[bold red]error[/] Kafka or Redis of profile {profile} does not answer: {escape(str(error))}")
        console.print(f"  liandong status --profile {profile} says what runs, liandong up --profile {profile} starts it")
        raise typer.Exit(2) from error
    raise typer.Exit(0 if ok else 1)
