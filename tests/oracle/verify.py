"""Verifies a system as `liandong verify` does, and holds it against what its senders' ledgers demand: `make verify`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.local.stack import Stack
from deploy.verify.ledger import read_ledger
from deploy.verify.run import SHOWN, conclude, places_of, settings_of, verify_state
from stream_processors.runtime.settings import Settings
from tests.oracle.compare import Difference, Live, differences, maybe_confirmed, read_live, signal_ids
from tests.oracle.expectations import Expected, expect


async def verify(
    stack: Stack, ledgers: Sequence[Path], partial: bool, undisturbed: bool, timeout_s: float, console: Console
) -> bool:
    """Whether everything agrees; says what it finds. `partial`: others sent, too; `undisturbed`: nothing was killed."""
    settings = settings_of(stack)
    is_right = await verify_state(settings, timeout_s, console)
    if ledgers:
        is_right = await _judge(settings, ledgers, partial, undisturbed, console) and is_right
    return conclude(console, is_right)


async def _judge(settings: Settings, ledgers: Sequence[Path], partial: bool, undisturbed: bool, console: Console) -> bool:
    entries = [entry for path in ledgers for entry in read_ledger(path, places_of(settings.keyring()))]
    with console.status("computing what must be there from the ledger"):
        expected = expect(entries, settings.policy_file, undisturbed=undisturbed)
        live = await read_live(settings.redis_url, signal_ids(expected))
        if confirmed := maybe_confirmed(expected, live):
            expected = expect(entries, settings.policy_file, undisturbed=undisturbed, confirmed=confirmed)
    wrong = differences(expected, live, partial=partial)
    console.print(_table(expected, len(entries), len(live.cases), wrong, partial))
    if wrong and (others := other_policies(live, settings.policy().label)):
        start = f"  {', '.join(others)} decided some of the signals, the ledger is judged by the present one: differences in"
        console.print(f"{start} scores, queues and cases may come from that", style="yellow", markup=False)
    for difference in wrong[:SHOWN]:
        console.print(f"  [red]✗[/] {escape(str(difference))}", soft_wrap=True)
    return not wrong


def other_policies(live: Live, present: str) -> list[str]:
    """Labels of the policies that receipts name, without the present one."""
    return sorted({receipt.policy for receipt in live.receipts.values() if receipt.policy} - {present})


def _table(expected: Expected, entries: int, cases: int, wrong: list[Difference], partial: bool) -> Table:
    sure = sum(signal.identity.sure for signal in expected.signals)
    exact = sum(signal.score[0] == signal.score[1] for signal in expected.signals)
    must = sum(bool(case.must) for case in expected.cases.values())
    table = Table(title="sender's ledger and live views" + (" (partial)" if partial else ""), title_justify="left")
    for column in ("lines sent", "signals acknowledged", "score determined", "cases demanded", "cases there", "differences"):
        table.add_column(column)
    verdict = f"[red]{len(wrong)}[/]" if wrong else "[green]0[/]"
    table.add_row(f"{entries:,}", f"{sure:,}", f"{exact:,}", f"{must:,}", f"{cases:,}", verdict)
    return table
