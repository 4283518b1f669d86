"""The work of `liandong verify`: waits until the stages are idle, rebuilds the state, compares, and prints the findings."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from redis.asyncio import Redis
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.local.stack import Stack
from deploy.verify.ledger import LedgerEntry, PlaceOf, read_ledger
from deploy.verify.wait_idle import wait_quiet
from schemas.security import Keyring, PlaceCipher
from stream_processors.recovery.rebuild import digest_of, rebuild, snapshot
from stream_processors.runtime.settings import SHIPPED_POLICY, Settings
from stream_processors.topology import all_stages
from stream_processors.views.api import Views
from stream_processors.views.receipts import Receipt

SHOWN = 10
ATTEMPTS = 4
_AT_ONCE = 16
"""Receipts that are read side by side."""
LEDGERS = "ledgers"
"""The folder of a profile with the ledgers of the demo's senders."""


class StageDigest(NamedTuple):
    """One stage: digests of both, the number of keys, and the differing keys with both texts (None: missing)."""

    stage: str
    live: str
    fresh: str
    keys: int
    folded: int
    differing: list[tuple[str, str | None, str | None]]

    @property
    def same(self) -> bool:
        return self.live == self.fresh


def settings_of(stack: Stack) -> Settings:
    """The settings of the stack's own processes."""
    return Settings(
        policy_file=Path(stack.env.get("LIANDONG_POLICY_FILE", SHIPPED_POLICY)),
        kafka_bootstrap=stack.kafka_bootstrap,
        redis_url=stack.redis_url,
        home=stack.places.home,
        profile=stack.profile,
        keys_file=stack.places.keys,
        raw_institutions=stack.raw_institutions,
    )


async def verify(stack: Stack, ledgers: Sequence[Path], timeout_s: float, console: Console) -> bool:
    """Whether the live state equals the log's, and every acknowledged signal of the ledgers has its receipt. The test oracle
    judges the scores, queues and cases (tests/oracle)."""
    settings = settings_of(stack)
    is_same = await verify_state(settings, timeout_s, console)
    entries = [entry for path in ledgers for entry in read_ledger(path, places_of(settings.keyring()))]
    missing = await find_missing(settings, entries)
    if entries:
        console.print(f"{len(entries):,} lines in the ledgers of the senders, {len(missing):,} acknowledged without a receipt")
    for entry in missing[:SHOWN]:
        console.print(f"  [red]✗[/] {escape(f'{entry.who}/{entry.reference}: acknowledged, but without a receipt')}")
    return conclude(console, is_same and not missing)


def places_of(keyring: Keyring) -> PlaceOf:
    """Opens the receipts of a ledger that were made with these keys."""
    cipher = PlaceCipher(keyring)
    return lambda receipt: cipher.open(receipt)[1:3]


async def read_receipts(views: Views, signal_ids: Iterable[str]) -> dict[str, Receipt]:
    """Returns the receipts of these signals by signal id, without those that have none."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def read(signal_id: str) -> Receipt | None:
        async with gate:
            return await views.receipt(signal_id)

    receipts = await asyncio.gather(*map(read, signal_ids))
    return {receipt.signal_id: receipt for receipt in receipts if receipt is not None}


def conclude(console: Console, is_right: bool) -> bool:
    console.print("[bold green]verified[/]" if is_right else "[bold red]not verified[/]")
    return is_right


async def verify_state(settings: Settings, timeout_s: float, console: Console) -> bool:
    """Whether the live state of each stage equals the log's; prints the differences."""
    digests = await _compare_states(settings, timeout_s, console)
    console.print(_tabulate_digests(digests))
    for digest in digests:
        _show_keys(digest, console)
    return all(digest.same for digest in digests)


async def find_missing(settings: Settings, entries: Sequence[LedgerEntry]) -> list[LedgerEntry]:
    """Returns the acknowledged signals that are missing in the views."""
    acknowledged = [entry for entry in entries if entry.fate == "accepted" and not entry.retracts]
    signals = {entry.signal_id: entry for entry in acknowledged if entry.signal_id}
    redis = Redis.from_url(settings.redis_url, protocol=2)
    try:
        receipts = await read_receipts(Views(redis), signals)
    finally:
        await redis.aclose()
    return [entry for name, entry in signals.items() if name not in receipts]


async def _compare_states(settings: Settings, timeout_s: float, console: Console) -> list[StageDigest]:
    """Compares the live state with the rebuilt one. If they differ and the log grew meanwhile (an idle timekeeper asks for the
    broker's time by a request, which track answers), they are states of two moments, and it compares once more."""
    with console.status("waiting until the stages are idle"):
        ends = await wait_quiet(settings, timeout_s=timeout_s)
    for attempts in reversed(range(ATTEMPTS)):
        with console.status("rebuilding the state from the log in an empty Redis"):
            digests = await compare_with_rebuilt(settings)
        if not attempts or all(digest.same for digest in digests):
            break
        before, ends = ends, await wait_quiet(settings, timeout_s=timeout_s)
        if ends == before:
            break
    return digests


async def compare_with_rebuilt(settings: Settings, say: Callable[[str], None] = lambda line: None) -> list[StageDigest]:
    """The live state must be idle. The temporary Redis ends with this call."""
    temporary = Stack(f"verify-{os.getpid()}", services=("redis",), redis_fsync="no", bound=True, external=False)
    try:
        temporary.up()
        folded = await rebuild(settings, temporary.redis_url, told=say)
        at_ms, policy = time.time_ns() // 1_000_000, settings.policy()
        digests = []
        for stage in all_stages(settings.raw_institutions):
            live = await snapshot(settings.redis_url, stage, at_ms, policy)
            fresh = await snapshot(temporary.redis_url, stage, at_ms, policy)
            differing = [
                (key, live.get(key), fresh.get(key)) for key in sorted({*live, *fresh}) if live.get(key) != fresh.get(key)
            ]
            digests.append(StageDigest(stage, digest_of(live), digest_of(fresh), len(live), folded[stage], differing))
        return digests
    finally:
        temporary.down(wipe=True)


def _tabulate_digests(digests: list[StageDigest]) -> Table:
    table = Table(title="live state and state rebuilt from the log", title_justify="left")
    for column in ("stage", "keys", "facts folded", "live", "rebuilt", ""):
        table.add_column(column)
    for digest in digests:
        verdict = "[green]same[/]" if digest.same else f"[red]{len(digest.differing)} keys differ[/]"
        table.add_row(digest.stage, f"{digest.keys:,}", f"{digest.folded:,}", digest.live[:16], digest.fresh[:16], verdict)
    return table


def _show_keys(digest: StageDigest, console: Console) -> None:
    for key, live, fresh in digest.differing[:SHOWN]:
        console.print(f"  [red]✗[/] {digest.stage} {escape(key)}", soft_wrap=True)
        old, new = set((live or "").splitlines()), set((fresh or "").splitlines())
        for name, lines in (("live only", old - new), ("rebuilt only", new - old)):
            for line in sorted(lines)[:3]:
                console.print(f"      {name}: {escape(line[:300])}", soft_wrap=True)
