"""`liandong up | down | status`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from deploy.local import process_specs as plan
from deploy.local import prometheus
from deploy.local.errors import LauncherError
from deploy.local.stack import Stack
from deploy.local.status import table
from deploy.local.store_access import mask_password

ProfileOption = Annotated[str, typer.Option("--profile", "-p", help="Profile with its own data, logs and ports.")]
errors = Console(stderr=True)


def register(app: typer.Typer) -> None:
    app.command("up")(up)
    app.command("down")(down)
    app.command("status")(status)


def up(
    profile: ProfileOption = "demo",
    workers: Annotated[list[str] | None, typer.Option("--workers", "-w", metavar="AGENT=N", help="Processes per stage.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until all processes are ready.")] = 120.0,
    monitor: Annotated[
        bool | None,
        typer.Option("--prometheus/--no-prometheus", help="Download and start Prometheus. Default: start it if it is installed."),
    ] = None,
) -> None:
    """Start Kafka, Redis, the workers and the gateway in the background, and return when all are ready."""
    with saying_why(), progress_shown() as (say, bar):
        program = prometheus.find_or_fetch(say) if monitor else prometheus.find() if monitor is None else None
        stack = Stack(
            profile,
            workers=_parse_counts(workers or []),
            ready_timeout_s=timeout,
            bound=False,
            external=True,
            monitor=program,
            say=say,
            progress=bar,
        ).up()
    addresses(stack)


def down(
    profile: ProfileOption = "demo",
    wipe: Annotated[bool, typer.Option("--wipe", help="Also remove the data, logs, keys and ports.")] = False,
) -> None:
    """Stop all processes of a profile in order. Data stays unless --wipe."""
    with saying_why():
        stack = Stack(profile, external=True)
        ran = bool(stack.names())
        with errors.status(f"stopping {profile}"):
            stack.down(wipe=wipe)
        errors.print(f"{profile} {'is down' if ran else 'was not running'}{', its data removed' if wipe else ''}")


def status(profile: ProfileOption = "demo", as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show the processes and their health. Exit code 0 if healthy."""
    with saying_why():
        stack = Stack(profile, external=True)
        state = stack.control.state()
        healthy = bool(state) and stack.is_healthy()
        if state is not None:
            state["processes"] = stack.conditions()
        if as_json:
            where = _list_addresses(stack) if state else {}
            report = {"profile": profile, "healthy": healthy, **where, **(state or {"processes": {}})}
            sys.stdout.write(json.dumps(report) + "\n")
        elif state is None:
            errors.print(f"{profile} is not running; start it with [bold]liandong up[/]")
        else:
            Console().print(table(f"{profile}, since {state['started_at']}", state["processes"]))
            if trouble := state.get("trouble"):
                errors.print(f"[red]the supervisor cannot write[/]: {escape(trouble)}; it will retry")
            if not healthy:
                errors.print(f"[red]not healthy[/]: see the logs in {escape(str(stack.places.logs))}")
    raise typer.Exit(0 if healthy else 1)


def addresses(stack: Stack) -> None:
    """Prints the addresses of the running services."""
    out = Console(highlight=False)
    out.print(f"[bold green]Liandong is up[/] (profile {stack.profile})")
    for label, address in (
        ("gateway", stack.gateway_url),
        ("API", f"{stack.gateway_url}/openapi.json"),
        ("Kafka", stack.kafka_bootstrap),
        ("Redis", mask_password(stack.redis_url)),
        *([("Prometheus", stack.prometheus_url)] if plan.PROMETHEUS in stack.names() else []),
        ("logs", str(stack.places.logs)),
    ):
        out.print(f"  {label:<10} {escape(address)}", soft_wrap=True)


def _list_addresses(stack: Stack) -> dict[str, str]:
    where = {
        "gateway_url": stack.gateway_url,
        "kafka": stack.kafka_bootstrap,
        "redis": mask_password(stack.redis_url),
        "redis_access": str(stack.places.store_access),
    }
    return where | ({"prometheus_url": stack.prometheus_url} if plan.PROMETHEUS in stack.names() else {})


@contextmanager
def saying_why() -> Iterator[None]:
    """Turns a LauncherError into a message and exit code 1, without a traceback."""
    try:
        yield
    except LauncherError as error:
        errors.print(f"[bold red]error[/] {escape(str(error))}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from error


@contextmanager
def progress_shown() -> Iterator[tuple[Any, Any]]:
    """Returns (say, progress) for a Stack: one line for each step, and a bar during downloads."""
    columns = (TextColumn("  {task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=errors, transient=True) as shown:
        tasks: dict[int, Any] = {}

        def bar(came: int, total: int) -> None:
            if total not in tasks:
                tasks[total] = shown.add_task("fetching from Maven", total=total)
            shown.update(tasks[total], completed=came)

        def say(line: str) -> None:
            shown.console.print(f"  {escape(line)}", style="dim", highlight=False, soft_wrap=True)

        yield say, bar


def _parse_counts(options: list[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for option in options:
        agent, _, count = option.partition("=")
        if agent not in plan.ALL_AGENTS or not count.isdigit():
            agents = ", ".join(plan.ALL_AGENTS)
            raise LauncherError(f"--workers {option} is not understood", f"use for example --workers assess=2; agents: {agents}")
        counts[agent] = int(count)
    return counts
