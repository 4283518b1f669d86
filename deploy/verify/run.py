"""What `liandong verify` does: waits, folds anew, compares, says what it finds."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.local.stack import Stack
from deploy.receipt import places_of
from deploy.verify.compare import Difference, Live, differences, maybe_confirmed, read_live, signal_ids
from deploy.verify.ledger import read_ledger
from deploy.verify.oracle import Expected, expect
from deploy.verify.quiet import wait_quiet
from deploy.verify.rebuilt import StageDigest, compare_with_rebuilt
from stream_processors.settings import SHIPPED_POLICY, Settings

SHOWN = 10
ATTEMPTS = 4
LEDGERS = "ledgers"
"""The folder of a profile where the demo keeps its senders' ledgers."""


def settings_of(stack: Stack) -> Settings:
    """The settings that the stack's own processes have."""
    return Settings(
        policy_file=Path(stack.env.get("LIANDONG_POLICY_FILE", SHIPPED_POLICY)),
        kafka_bootstrap=stack.kafka_bootstrap,
        redis_url=stack.redis_url,
        home=stack.places.home,
        profile=stack.profile,
        keys_file=stack.places.keys,
        raw_institutions=stack.raw_institutions,
    )


async def verify(stack: Stack, ledgers: list[Path], partial: bool, undisturbed: bool, timeout_s: float, console: Console) -> bool:
    """Whether everything agrees; says what it finds."""
    settings = settings_of(stack)
    digests = await _compared(settings, timeout_s, console)
    console.print(_digests(digests))
    for one in digests:
        _show_keys(one, console)
    ok = all(one.same for one in digests)
    if ledgers:
        entries = [entry for path in ledgers for entry in read_ledger(path, places_of(settings.keyring()))]
        with console.status("computing what must be there from the ledger"):
            expected = expect(entries, settings.policy_file, undisturbed=undisturbed)
            live = await read_live(settings.redis_url, signal_ids(expected))
            if confirmed := maybe_confirmed(expected, live):
                expected = expect(entries, settings.policy_file, undisturbed=undisturbed, confirmed=confirmed)
        found = differences(expected, live, partial=partial)
        console.print(_oracle(expected, len(entries), len(live.cases), found, partial))
        if found and (others := other_policies(live, settings.policy().label)):
            said = f"  {', '.join(others)} decided some of the signals, the ledger is judged by the present one: differences in"
            console.print(f"{said} scores, queues and cases may come from that", style="yellow", markup=False)
        for difference in found[:SHOWN]:
            console.print(f"  [red]✗[/] {escape(str(difference))}", soft_wrap=True)
        ok = ok and not found
    console.print("[bold green]verified[/]" if ok else "[bold red]not verified[/]")
    return ok


async def _compared(settings: Settings, timeout_s: float, console: Console) -> list[StageDigest]:
    """The live state against the rebuilt one. Where they differ and the log grew meanwhile (an idle timekeeper asks for the
    broker's time by a request, which track answers), they are states of two moments: it is done once more."""
    with console.status("waiting until the stages are at rest"):
        ends = await wait_quiet(settings, timeout_s=timeout_s)
    for left in reversed(range(ATTEMPTS)):
        with console.status("folding the log into a fresh Redis"):
            digests = await compare_with_rebuilt(settings)
        if not left or all(one.same for one in digests):
            break
        before, ends = ends, await wait_quiet(settings, timeout_s=timeout_s)
        if ends == before:
            break
    return digests


def other_policies(live: Live, present: str) -> list[str]:
    """Labels of the policies that receipts name, without the present one."""
    return sorted({one.policy for one in live.receipts.values() if one.policy} - {present})


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
