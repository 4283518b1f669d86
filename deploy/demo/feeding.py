"""Feeds the day's files through the file drop connector, all institutions concurrently, with every answer in a ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
import orjson

from connectors.contract import Observer
from connectors.engine import Totals
from connectors.filedrop.mapping import load_mapping
from connectors.filedrop.watcher import FileDrop
from connectors.gateway_client import HttpGateway
from deploy.demo.day import Drop
from deploy.verify.ledger import Ledger

TIMEOUT = httpx.Timeout(60.0, connect=5.0)


@dataclass(frozen=True)
class Fed:
    """The result for one file: totals, and the rejected rows from the reject file."""

    drop: Drop
    totals: Totals
    rejects: tuple[dict[str, str], ...]


async def feed_all(
    drops: tuple[Drop, ...],
    *,
    url: str,
    token: Callable[[str], str],
    ledger_file: Path,
    observer: Observer | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> list[Fed]:
    """Feeds the files of one institution in sequence, and institutions concurrently."""
    by_sender: dict[str, list[Drop]] = {}
    for drop in drops:
        by_sender.setdefault(drop.institution, []).append(drop)
    with Ledger(ledger_file) as ledger:
        async with httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as client:

            async def feed_own(who: str, own: list[Drop]) -> list[Fed]:
                gateway = HttpGateway(client, lambda: token(who), journal=ledger.journal(who), told=say)
                return [await _feed_drop(drop, gateway, observer, say) for drop in own]

            each = await asyncio.gather(*(feed_own(who, own) for who, own in by_sender.items()))
    return [fed for own in each for fed in own]


async def _feed_drop(drop: Drop, gateway: HttpGateway, observer: Observer | None, say: Callable[[str], None]) -> Fed:
    connector = FileDrop(gateway, load_mapping(drop.mapping), drop.institution, observer=observer, told=say)
    totals = await connector.feed(drop.path)
    file = connector.beside(drop.path, "rejects.ndjson")
    rejects = tuple(orjson.loads(line) for line in file.read_bytes().splitlines()) if file.exists() else ()
    return Fed(drop, totals, rejects)
