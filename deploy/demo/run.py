"""`liandong demo`: starts everything, feeds a generated day through the file drop connector, checks that the planted schemes
reached their queues, prints the result, and leaves the system running.

Invariant: exit code 0 means that every planted scheme is in its queue; 1 that one is not, or that something failed.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated

import httpx
import typer
from redis.asyncio import Redis
from rich.console import Console
from rich.markup import escape

from connectors.filedrop.progress import Shown
from connectors.gateway_client import FeedStopped
from deploy.demo import summary, timeline
from deploy.demo.day import Day, Plan, make_day
from deploy.demo.feeding import TIMEOUT, Fed, feed_all
from deploy.demo.scenario_walk import REGULATOR, Walker, walk_all
from deploy.demo.schemes import SCHEME_NAMES
from deploy.demo.verdicts import OFFICER, Judge, Queues
from deploy.local import prometheus
from deploy.local.commands import addresses, progress_shown, saying_why
from deploy.local.paths import project_root
from deploy.local.stack import Stack
from deploy.local.tokens import mint
from deploy.verify.ledger import Ledger, read_ledger
from deploy.verify.run import LEDGERS, settings_of
from deploy.verify.wait_idle import NotQuiet, wait_quiet
from stream_processors.domain.scorecards.contributions import periods
from stream_processors.views.api import Views


def register(app: typer.Typer) -> None:
    app.command("demo")(command)


def command(
    seed: Annotated[int | None, typer.Option(help="Seed of the demo day. Default: a new one.")] = None,
    profile: Annotated[str, typer.Option("--profile", "-p", help="Profile with its own data, logs and ports.")] = "demo",
    amlsim: Annotated[Path | None, typer.Option(help="Folder of the AMLSim samples. Default: ../shared/data/amlsim.")] = None,
    aml_rows: Annotated[int, typer.Option(min=0, help="AMLSim transactions of laundering accounts to send.")] = 6000,
    each: Annotated[int, typer.Option(min=1, help="Ordinary reports per institution.")] = 150,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until the queues contain all signals.")] = 120.0,
    sabotage: Annotated[str | None, typer.Option(hidden=True, help="Leave out the rows of this scheme.")] = None,
) -> None:
    """Start everything, feed a day with planted schemes, print the result, and leave the system running."""
    if sabotage is not None and sabotage not in SCHEME_NAMES:
        raise typer.BadParameter(f"unknown scheme {sabotage}; choose one of {', '.join(SCHEME_NAMES)}")
    raise typer.Exit(play_demo(Wish(seed, profile, amlsim, aml_rows, each, timeout, sabotage)))


@dataclass(frozen=True)
class Wish:
    """The options of the command line. `sabotage` omits the rows of one scheme."""

    seed: int | None
    profile: str
    amlsim: Path | None
    aml_rows: int
    each: int
    timeout_s: float
    sabotage: str | None


def play_demo(wish: Wish) -> int:
    """Returns the exit code: 1 if a planted scheme is not in its queue, or something failed."""
    out = summary.console()
    began = time.monotonic()
    with saying_why(), progress_shown() as (say, bar):
        stack = Stack(wish.profile, bound=False, external=True, monitor=prometheus.find(), say=say, progress=bar).up()
    start_s = time.monotonic() - began
    day = _write_day(wish, stack, out)
    try:
        wrong = asyncio.run(_play_day(stack, day, out, start_s, wish.timeout_s))
    except (FeedStopped, NotQuiet, httpx.HTTPError) as error:
        out.print(f"[bold red]error[/] {escape(str(error) or type(error).__name__)}", soft_wrap=True)
        return 1
    addresses(stack)
    out.print("  try      liandong verify  ·  liandong status  ·  liandong token bank-001  ·  stop with liandong down")
    if wrong:
        out.print(f"[bold red]the demo failed:[/] {escape('; '.join(wrong))}", soft_wrap=True)
        return 1
    out.print("[bold green]every planted scheme reached its queue and its case was completed[/]")
    return 0


def _write_day(wish: Wish, stack: Stack, out: Console) -> Day:
    """Writes the day's files into the profile's folder. Each run has its own references, so a second one is another day."""
    seed = secrets.randbelow(1_000_000) if wish.seed is None else wish.seed
    run = f"d{datetime.now(UTC):%m%d%H%M%S}{secrets.token_hex(2)}"
    there = wish.amlsim or Path(os.environ.get("LIANDONG_AMLSIM") or project_root().parent / "shared" / "data" / "amlsim")
    aml = there if wish.aml_rows else None
    plan = Plan(seed, run, wish.each, aml=aml, aml_laundering=wish.aml_rows, aml_others=wish.aml_rows // 4)
    folder = stack.places.root / "drop" / run
    out.print(f"the files of the day are in {folder}", soft_wrap=True, style="dim")
    return make_day(plan, folder, without=wish.sabotage)


async def _play_day(stack: Stack, day: Day, out: Console, start_s: float, timeout_s: float) -> list[str]:
    """Feeds, waits, checks, works on the cases and prints. Returns the deviations."""
    token = cache(lambda who: mint(who, home=stack.places.home, profile=stack.profile))
    settings, ledger_file = settings_of(stack), stack.places.root / LEDGERS / f"{day.run}.ndjson"
    before = await _count_outcomes(stack.redis_url)
    began = time.monotonic()
    with Shown(out) as shown:
        fed: list[Fed] = await feed_all(
            day.drops, url=stack.gateway_url, token=token, ledger_file=ledger_file, observer=shown, say=shown.said
        )
    feed_s = time.monotonic() - began
    with out.status("waiting until the queues contain all signals"):
        await wait_quiet(settings, timeout_s=timeout_s)
    settle_s = time.monotonic() - began - feed_s
    outcomes = await _count_outcomes(stack.redis_url)
    outcomes.subtract(before)
    async with httpx.AsyncClient(base_url=stack.gateway_url, timeout=TIMEOUT) as client:
        judge = Judge(client, token, read_ledger(ledger_file), fed)
        queues: Queues = await judge.queues()
        verdicts = await judge.judge(day, queues)
        summary.show(out, day, fed, +outcomes, queues, verdicts, summary.Took(start_s, feed_s, settle_s))
        wrong = [f"{verdict.scheme.name}" for verdict in verdicts if verdict.wrong]
        if wrong:
            return wrong
        with Ledger(ledger_file) as ledger:
            return await _walk_loop(Walker(client, token, judge.signal_ids, ledger), day, queues, out)


async def _walk_loop(walker: Walker, day: Day, queues: Queues, out: Console) -> list[str]:
    """Completes the cases of the planted schemes, and prints one. Returns the deviations."""
    cases = {}
    for scheme in day.schemes:
        if scheme.landings:
            matching_cases = queues.of_subject(scheme.landings[0].queue, scheme.subject[1])
            cases[scheme.name] = (scheme, str(matching_cases[0]["case_id"]))
    with out.status("working on the cases of the planted schemes"):
        walked = await walk_all(walker, cases)
    for way in walked[:1]:
        deliveries = (await walker.get(OFFICER, "/v1/deliveries", case=way.case_id))["deliveries"]
        out.print(timeline.table(await walker.case(way.case_id), deliveries))
        if way.trail is not None:
            out.print(timeline.trail(way.trail))
    marks = ", ".join(f"{way.scheme.name} {'✗' if way.wrong else '✓'}" for way in walked)
    out.print(f"completed cases: {marks}")
    card = await walker.get(REGULATOR, "/v1/scorecards/institutions", period=periods(datetime.now(UTC))[1])
    out.print(timeline.statistics(card))
    return [wrong for way in walked for wrong in way.wrong]


async def _count_outcomes(redis_url: str) -> Counter[str]:
    """Returns the facts by outcome, of all institutions, since the system's first day."""
    redis = Redis.from_url(redis_url, protocol=2)
    try:
        counts: Counter[str] = Counter()
        for name, n in (await Views(redis).counters()).items():
            outcome = name.partition(":")[0]
            if not outcome.startswith("action_"):
                counts[outcome] += n
        return counts
    finally:
        await redis.aclose()
