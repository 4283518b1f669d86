"""The work of `liandong feed`: feed once, watch, or only check."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from pydantic import ValidationError
from rich.console import Console
from rich.markup import escape

from connectors.contract import START, FeedItem
from connectors.engine import Totals
from connectors.filedrop.checkpoint import CursorError
from connectors.filedrop.mapping import MappingError, MappingFile, load_mapping
from connectors.filedrop.progress import Shown
from connectors.filedrop.source import FileSource
from connectors.filedrop.watcher import FileDrop, files
from connectors.gateway_client import FeedStopped, HttpGateway
from schemas.signals.advisories import advice
from schemas.signals.submission import SignalIn

TIMEOUT = httpx.Timeout(60.0, connect=5.0)
_FAULTS_SHOWN = 20


@dataclass(frozen=True)
class FeedRequest:
    """The options of the command line."""

    path: Path
    mapping: Path
    institution: str
    url: str
    token: Callable[[], str]
    state: Path | None = None
    batch: int = 500
    watch: bool = False
    settle_s: float = 2.0


def perform(order: FeedRequest) -> int:
    """Returns the exit code: 0, or 2 if a person must look."""
    console = Console(stderr=True)
    try:
        with Shown(console) as shown:
            totals = asyncio.run(_feed_files(order, load_mapping(order.mapping), shown))
    except (MappingError, CursorError, FeedStopped) as error:
        return _print_error(console, error)
    if totals is not None:
        _say_totals(console, *totals)
    return 0


def check(path: Path, mapping_file: Path) -> int:
    """Reads everything and sends nothing. Returns 1 if a row would be rejected."""
    console = Console()
    try:
        return _check_rows(path, load_mapping(mapping_file), console)
    except MappingError as error:
        return _print_error(console, error)


async def _feed_files(order: FeedRequest, mapping: MappingFile, shown: Shown) -> tuple[Totals, int] | None:
    """Returns the totals of all files, and the number of accepted rows with an advisory; None for a watch, which has no end."""
    async with httpx.AsyncClient(base_url=order.url, timeout=TIMEOUT) as client:
        gateway = HttpGateway(client, order.token, told=shown.said)
        drop = FileDrop(
            gateway,
            mapping,
            order.institution,
            state=order.state,
            batch=order.batch,
            settle_s=order.settle_s,
            observer=shown,
            told=shown.said,
        )
        if order.watch:
            await _until_signal(asyncio.ensure_future(drop.watch(order.path)))
            return None
        paths = list(files(order.path, mapping.files))
        each = [await drop.feed(path) for path in paths]
        totals = Totals(*(sum(column) for column in zip(*each, strict=True))) if each else Totals()
        return totals, sum(drop.count_advised(path) for path in paths)


async def _until_signal(work: asyncio.Future[None]) -> None:
    """Ends the work at once: a restart continues from the cursor."""
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


def _print_error(console: Console, error: Exception) -> int:
    console.print(f"[bold red]error[/] {escape(str(error))}", highlight=False, soft_wrap=True)
    return 2


def _say_totals(console: Console, totals: Totals, advised: int) -> None:
    again = f" ({totals.replayed:,} of them already known)" if totals.replayed else ""
    odd = _with_advisories(advised)
    console.print(f"[green]{totals.accepted:,} accepted[/]{again}, {totals.rejected:,} rejected{odd}", highlight=False)
    if totals.rejected:
        console.print("the .rejects.ndjson file beside the cursor lists each row and its reason", highlight=False)
    if advised:
        console.print("the .advisories.ndjson file beside the cursor lists accepted rows with advisories", highlight=False)


def _check_rows(path: Path, mapping: MappingFile, console: Console) -> int:
    good = bad = odd = 0
    for file in files(path, mapping.files):
        for item in FileSource(file, mapping, settle_s=0).items(START):
            fault = _find_fault(item)
            advisories = advice(SignalIn.model_validate(item.body)) if fault is None else []
            if fault is None and good == 0 and item.body is not None:
                console.print_json(data=dict(item.body))
            good, bad, odd = good + (fault is None), bad + (fault is not None), odd + bool(advisories)
            if fault is not None and bad <= _FAULTS_SHOWN:
                _print_row(console, file, item, fault)
            for advisory in advisories if odd <= _FAULTS_SHOWN else ():
                _print_row(console, file, item, f"advisory {advisory.code} at {advisory.pointer}: {advisory.detail}")
    console.print(f"{good:,} rows would be sent, {bad:,} would be rejected{_with_advisories(odd)}", highlight=False)
    return 1 if bad else 0


def _print_row(console: Console, file: Path, item: FeedItem, line: str) -> None:
    console.print(f"{file.name}, row {item.number}: {line}", markup=False, highlight=False, soft_wrap=True)


def _with_advisories(count: int) -> str:
    return f"; {count:,} with an advisory" if count else ""


def _find_fault(item: FeedItem) -> str | None:
    """Returns the fault that the gateway would find in the row."""
    if item.body is None:
        return item.fault
    try:
        SignalIn.model_validate(item.body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
    return None
