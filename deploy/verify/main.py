"""`liandong verify`: compares the live state with the log, and the senders' ledgers with the receipts."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from aiokafka.errors import KafkaError
from redis.exceptions import RedisError
from rich.console import Console
from rich.markup import escape

from deploy.local.errors import LauncherError
from deploy.local.stack import Stack
from deploy.verify.run import LEDGERS, verify
from deploy.verify.wait_idle import NotQuiet

Verification = Callable[[Stack, Sequence[Path], Console], Coroutine[Any, Any, bool]]
Profile = Annotated[str, typer.Option("--profile", "-p", help="Which system.")]
Ledgers = Annotated[
    list[Path] | None, typer.Option("--ledger", "-l", help="Ledger of a sender. Repeatable. Default: the ledgers of the demo.")
]
Timeout = Annotated[float, typer.Option(help="Seconds to wait until the stages are idle.")]


def register(app: typer.Typer) -> None:
    app.command("verify")(command)


def command(profile: Profile = "demo", ledger: Ledgers = None, timeout: Timeout = 120.0) -> None:
    """Rebuild the state from the log in an empty Redis and compare; find the receipts of all acknowledged ledger entries. Exit
    code 1 if something differs."""
    run_verification(profile, ledger, lambda stack, paths, console: verify(stack, paths, timeout, console))


def run_verification(profile: str, ledgers: Sequence[Path] | None, verification: Verification) -> None:
    """Runs a verification of a profile and ends the process: 0 right, 1 something differs, 2 it could not be done."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 110)
    stack = Stack(profile, external=True)
    try:
        paths = ledgers or sorted((stack.places.root / LEDGERS).glob("*.ndjson"))
        is_right = asyncio.run(verification(stack, paths, console))
    except (LauncherError, NotQuiet) as error:
        console.print(f"[bold red]error[/] {escape(str(error))}")
        raise typer.Exit(2) from error
    except (KafkaError, RedisError, OSError) as error:
        console.print(f"[bold red]error[/] Kafka or Redis of profile {profile} does not respond: {escape(str(error))}")
        console.print(f"  liandong status --profile {profile} shows the processes, liandong up --profile {profile} starts them")
        raise typer.Exit(2) from error
    raise typer.Exit(0 if is_right else 1)
