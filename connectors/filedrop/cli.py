"""`liandong feed PATH --mapping m.yaml --institution bank-001`: a file or a folder, once or watched."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from connectors.filedrop import commands as perform

DEFAULT_URL = "http://127.0.0.1:8000"


def register(app: typer.Typer) -> None:
    app.command("feed")(command)


def command(
    path: Annotated[Path, typer.Argument(exists=True, help="File or folder to send.")],
    mapping: Annotated[
        Path, typer.Option("--mapping", "-m", exists=True, dir_okay=False, help="Mapping file (docs/guide/connectors.md).")
    ],
    institution: Annotated[str, typer.Option("--institution", "-i", help="Institution id, which names the cursors.")],
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Send files as they grow and arrive. Stop: Ctrl-C.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Report invalid rows without sending anything.")] = False,
    url: Annotated[str, typer.Option(envvar="LIANDONG_URL", help="URL of the gateway.")] = DEFAULT_URL,
    token_file: Annotated[
        Path | None, typer.Option(help="File with the bearer token, read before each request. Default: LIANDONG_TOKEN.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of cursors and rejects. Default: `.liandong` beside the file.")
    ] = None,
    settle: Annotated[
        float, typer.Option(min=0, max=86_400, help="Seconds without a change until a last row without a line end is sent.")
    ] = 2.0,
    batch: Annotated[int, typer.Option(min=1, max=5000, help="Rows per request.")] = 500,
) -> None:
    """Send the rows of CSV or NDJSON files as signals. A kill at any moment loses nothing and counts nothing twice."""
    if check:
        raise typer.Exit(perform.check(path, mapping))
    order = perform.FeedRequest(path, mapping, institution, url, _find_token(token_file), state, batch, watch, settle)
    raise typer.Exit(perform.perform(order))


def _find_token(file: Path | None) -> Callable[[], str]:
    if file is not None:
        return lambda: file.read_text("utf-8").strip()
    token = os.environ.get("LIANDONG_TOKEN", "").strip()
    if not token:
        raise typer.BadParameter("pass --token-file or set LIANDONG_TOKEN (local use: `liandong token bank-001`)")
    return lambda: token
