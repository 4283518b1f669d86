"""`liandong demo`: starts everything, feeds a generated day through the file drop connector, checks that the planted schemes
reached their queues, says what it found, and leaves the system running.

Invariant: exit code 0 means that every planted scheme is in its queue; 1 that one is not, or that something did not work.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated

import httpx
import typer
from redis.asyncio import Redis
from rich.console import Console
from rich.markup import escape

from connectors.filedrop.show import Shown
from connectors.gateway import Stopped
from deploy.demo_data import summary
from deploy.demo_data.day import Day, Plan, make_day
from deploy.demo_data.feeding import TIMEOUT, Fed, feed_all
from deploy.demo_data.judge import Judge, Queues, Verdict
from deploy.demo_data.schemes import SCHEME_NAMES
from deploy.local.commands import addresses, progress_shown, saying_why
from deploy.local.places import project_root
from deploy.local.stack import Stack
from deploy.token import mint
from deploy.verify.ledger import read_ledger
from deploy.verify.main import LEDGERS, settings_of
from deploy.verify.quiet import NotQuiet, wait_quiet
from stream_processors.state.views import RedisViews


def register(app: typer.Typer) -> None:
    app.command("demo")(command)


def command(
    seed: Annotated[int | None, typer.Option(help="The day's seed; default: a new one.")] = None,
    profile: Annotated[str, typer.Option("--profile", "-p", help="Its own data, logs and ports.")] = "demo",
    amlsim: Annotated[Path | None, typer.Option(help="Folder of AMLSim's samples; default ../shared/data/amlsim.")] = None,
    aml_rows: Annotated[int, typer.Option(min=0, help="AMLSim's transactions of laundering accounts to feed.")] = 6000,
    each: Annotated[int, typer.Option(min=1, help="Ordinary reports of each institution.")] = 150,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until all is in the queues.")] = 120.0,
    sabotage: Annotated[str | None, typer.Option(hidden=True, help="Leave out the rows of this scheme.")] = None,
) -> None:
    """Start everything, feed a day with planted schemes, show what came of it; leave it running."""
    if sabotage is not None and sabotage not in SCHEME_NAMES:
        raise typer.BadParameter(f"there is no scheme {sabotage}; there are {', '.join(SCHEME_NAMES)}")
    out = summary.console()
    began = time.monotonic()
    with saying_why(), progress_shown() as (say, bar):
        stack = Stack(profile, bound=False, external=True, say=say, progress=bar).up()
    start_s = time.monotonic() - began
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    run = f"d{datetime.now(UTC):%m%d%H%M%S}{secrets.token_hex(2)}"
    folder = amlsim or Path(os.environ.get("LIANDONG_AMLSIM") or project_root().parent / "shared" / "data" / "amlsim")
    plan = Plan(seed, run, each, aml=folder if aml_rows else None, aml_laundering=aml_rows, aml_others=aml_rows // 4)
    day = make_day(plan, stack.places.root / "drop" / run, without=sabotage)
    out.print(f"the day is in {stack.places.root / 'drop' / run}", soft_wrap=True, style="dim")
    try:
        verdicts = asyncio.run(_play(stack, day, out, start_s, timeout))
    except (Stopped, NotQuiet, httpx.HTTPError) as error:
        out.print(f"[bold red]error[/] {escape(str(error) or type(error).__name__)}", soft_wrap=True)
        raise typer.Exit(1) from error
    addresses(stack)
    out.print("  try      liandong verify  ·  liandong status  ·  liandong token bank-001  ·  stop with liandong down")
    if wrong := [one.scheme.name for one in verdicts if one.wrong]:
        out.print(f"[bold red]not as it must be:[/] {', '.join(wrong)}")
        raise typer.Exit(1)
    out.print("[bold green]every planted scheme reached its queue[/]")


async def _play(stack: Stack, day: Day, out: Console, start_s: float, timeout_s: float) -> list[Verdict]:
    """Feeds, waits, judges, shows."""
    token = cache(lambda who: mint(who, home=stack.places.home, profile=stack.profile))
    settings, ledger_file = settings_of(stack), stack.places.root / LEDGERS / f"{day.run}.ndjson"
    before = await _outcomes(stack.redis_url)
    began = time.monotonic()
    with Shown(out) as shown:
        fed: list[Fed] = await feed_all(
            day.drops, url=stack.gateway_url, token=token, ledger_file=ledger_file, observer=shown, told=shown.said
        )
    feed_s = time.monotonic() - began
    with out.status("waiting until all is in the queues"):
        await wait_quiet(settings, timeout_s=timeout_s)
    settle_s = time.monotonic() - began - feed_s
    outcomes = await _outcomes(stack.redis_url)
    outcomes.subtract(before)
    async with httpx.AsyncClient(base_url=stack.gateway_url, timeout=TIMEOUT) as client:
        judge = Judge(client, token, read_ledger(ledger_file), fed)
        queues: Queues = await judge.queues()
        verdicts = await judge.judge(day, queues)
    summary.show(out, day, fed, +outcomes, queues, verdicts, summary.Took(start_s, feed_s, settle_s))
    return verdicts


async def _outcomes(redis_url: str) -> Counter[str]:
    """Facts by outcome, of all institutions, since the system's first day."""
    redis = Redis.from_url(redis_url, protocol=2)
    try:
        found: Counter[str] = Counter()
        for name, n in (await RedisViews(redis).counters()).items():
            outcome = name.partition(":")[0]
            if not outcome.startswith("action_"):
                found[outcome] += n
        return found
    finally:
        await redis.aclose()
