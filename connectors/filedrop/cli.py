"""`liandong feed PATH --mapping m.yaml --institution bank-001`: a file or a folder, once or watched."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import httpx
import typer
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from connectors.feed import Totals
from connectors.filedrop.durable import CursorError
from connectors.filedrop.mapping import MappingError, MappingFile, load_mapping
from connectors.filedrop.run import FileDrop, files
from connectors.filedrop.show import Shown
from connectors.filedrop.source import FileSource
from connectors.gateway import HttpGateway, Stopped
from connectors.port import START
from schemas.signals import SignalIn

TIMEOUT = httpx.Timeout(60.0, connect=5.0)
DEFAULT_URL = "http://127.0.0.1:8000"


def register(app: typer.Typer) -> None:
    app.command("feed")(command)


def command(
    path: Annotated[Path, typer.Argument(exists=True, help="A file, or a folder.")],
    mapping: Annotated[
        Path,
        typer.Option("--mapping", "-m", exists=True, dir_okay=False, help="The mapping file (docs/connectors.md)."),
    ],
    institution: Annotated[str, typer.Option("--institution", "-i", help="Names the cursor and reject files.")],
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on while files grow and come; Ctrl-C ends.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Send nothing: say what is wrong with the rows.")] = False,
    url: Annotated[str, typer.Option(envvar="LIANDONG_URL", help="The gateway.")] = DEFAULT_URL,
    token_file: Annotated[
        Path | None, typer.Option(help="A file with the bearer token, read for each request. Else LIANDONG_TOKEN.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of cursors and rejects; default `.liandong` beside the file.")
    ] = None,
    batch: Annotated[int, typer.Option(min=1, max=5000, help="Rows a request.")] = 500,
) -> None:
    """Send the rows of CSV or NDJSON files as signals. A kill at any moment loses nothing and counts nothing twice."""
    console = Console(stderr=True)
    try:
        rules = load_mapping(mapping)
        if check:
            raise typer.Exit(_check(path, rules, Console()))
        with Shown(console) as shown:
            totals = asyncio.run(_run(path, rules, institution, url, _token(token_file), state, batch, watch, shown))
    except (MappingError, CursorError, Stopped) as error:
        console.print(f"[bold red]error[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise typer.Exit(2) from error
    if totals is not None:
        _say_totals(console, totals)


def _token(file: Path | None) -> Callable[[], str]:
    if file is not None:
        return lambda: file.read_text("utf-8").strip()
    found = os.environ.get("LIANDONG_TOKEN", "").strip()
    if not found:
        raise typer.BadParameter("give --token-file or set LIANDONG_TOKEN (local use: `liandong token bank-001`)")
    return lambda: found


async def _run(
    path: Path,
    mapping: MappingFile,
    institution: str,
    url: str,
    token: Callable[[], str],
    state: Path | None,
    batch: int,
    watch: bool,
    shown: Shown,
) -> Totals | None:
    async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as client:
        gateway = HttpGateway(client, token, told=shown.said)
        drop = FileDrop(gateway, mapping, institution, state=state, batch=batch, observer=shown, told=shown.said)
        if watch:
            stop = asyncio.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            await drop.watch(path, stop=stop)
            return None
        each = [await drop.feed(file) for file in files(path, mapping.files)]
        return Totals(*(sum(column) for column in zip(*each, strict=True))) if each else Totals()


def _say_totals(console: Console, totals: Totals) -> None:
    again = f" ({totals.replayed:,} of them were known already)" if totals.replayed else ""
    console.print(f"[green]{totals.accepted:,} accepted[/]{again}, {totals.rejected:,} rejected", highlight=False)
    if totals.rejected:
        console.print("see the .rejects.ndjson beside the cursor for each row and its reason", highlight=False)


def _check(path: Path, mapping: MappingFile, console: Console) -> int:
    """Reads everything, sends nothing. 1 when a row would be rejected."""
    good = bad = 0
    for file in files(path, mapping.files):
        for item in FileSource(file, mapping, settle_s=0).items(START):
            fault = item.fault
            if item.body is not None:
                try:
                    SignalIn.model_validate(item.body)
                except ValidationError as error:
                    first = error.errors(include_url=False)[0]
                    fault = f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
                if fault is None and good == 0:
                    console.print_json(data=dict(item.body))
            good, bad = good + (fault is None), bad + (fault is not None)
            if fault is not None and bad <= 20:
                console.print(f"{file.name}, row {item.number}: {fault}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"{good:,} rows would be sent, {bad:,} rejected", highlight=False)
    return 1 if bad else 0
