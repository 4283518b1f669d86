"""One run: start, load, break, settle, check. The seed is printed first and makes the same run again."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from deploy.local.paths import Places
from deploy.local.stack import Stack
from deploy.local.tokens import mint
from deploy.verify.ledger import Ledger, read_ledger
from deploy.verify.run import places_of, settings_of
from deploy.verify.wait_idle import wait_quiet
from stream_processors.runtime.settings import SHIPPED_POLICY
from tests.chaos import hooks, losses, policy
from tests.chaos.brokers import Cluster
from tests.chaos.case_invariants import check_loop, happened_of, read_inboxes
from tests.chaos.faults import AGENTS, BREAKS, CRASH_POINTS, Scene, crash_point
from tests.chaos.invariants import Found, check
from tests.chaos.traffic import Load
from tests.oracle.case_oracle import moments
from tests.oracle.request_journal import Bookkeeper
from tests.oracle.verify import verify

PROFILE, FOLDER = "chaos", "run"
"""The folder of the profile with the ledger, the book and the policy, kept until the next run for whoever looks into this one."""
SETTLE_S = 120.0
LARGE = 60
SOON_MS = 600_000
"""Every moment up to then is waited for: that of a clock that another one's moment started, too."""
Told = Callable[[str], None]
ENV = {"LIANDONG_SESSION_TIMEOUT_S": "6", "LIANDONG_HEARTBEAT_S": "0.5"}


def plan(kills: int, rng: random.Random) -> list[str]:
    """Every crash point once, every other break once, the rest random kills; shuffled. A small run takes the first `kills`, a
    larger one ends with the lost tails."""
    named = [f"point:{name}" for name in CRASH_POINTS] + [name for name in BREAKS if name != "kill"]
    rng.shuffle(named)
    filler = ["kill"] * max(0, kills - len(named))
    if kills >= 100:
        filler = [rng.choice(["broker", "redis", "flush"]) if n % 25 == 24 else one for n, one in enumerate(filler)]
    tails = list(losses.BREAKS) if kills >= LARGE else []
    chosen = (named + filler)[: kills - len(tails)]
    rng.shuffle(chosen)
    return chosen + tails


def run(
    steps: Sequence[str], *, seed: int, told: Told, profile: str = PROFILE, home: Path | None = None, brokers: int = 1
) -> Found:
    """Runs the breaks one after another under load. Raises when one could not be done, returns what the check found. On several
    brokers it knows the lost tails alone."""
    last = [step for step in steps if step in losses.BREAKS]
    steps = [step for step in steps if step not in losses.BREAKS]
    rng = random.Random(seed)
    folder = Places.of(profile, home).root / FOLDER
    files = {"LIANDONG_POLICY_FILE": str(folder / "policy.yaml"), "LIANDONG_WEBHOOKS_FILE": str(folder / "webhooks.yaml")}
    env = ENV | hooks.ENV | files
    cluster = Cluster(brokers, folder) if brokers > 1 else None
    elsewhere = cluster.bootstrap if cluster else None
    stack = Stack(profile, home=home, workers=dict.fromkeys(AGENTS, 2), env=env, backoff_max_s=1.0, brokers=elsewhere)
    stack.down(wipe=True)
    folder.mkdir(parents=True)
    policy.write(SHIPPED_POLICY, folder / "policy.yaml")
    hooks.write_settings(folder / "webhooks.yaml")
    path, book_path = folder / "ledger.ndjson", folder / "book.ndjson"
    with contextlib.ExitStack() as after:
        if cluster:
            after.enter_context(cluster)
        after.callback(stack.down)
        stack.up()
        minting = partial(mint, home=stack.places.home, profile=profile)
        with Ledger(path) as ledger, Ledger(book_path) as book:
            keeper = Bookkeeper(book)
            load = Load(stack.gateway_url, minting, ledger, keeper, seed=seed)
            scene = Scene(stack, load, rng, folder, told)
            load.start()
            while (load.answered < 100 or load.acted < 20) and not load.failed:
                time.sleep(0.1)
            time.sleep(3)  # so that every stage has something behind it
            for number, step in enumerate(steps, 1):
                _break(scene, step, f"{number}/{len(steps)}")
            load.stop()
            sent = f"{load.answered} lines answered, {load.refused} refused, {load.retracted} signals taken back"
            told(f"{sent}, {load.acted} requests in the loop done")
            told(f"{load.hooks.changed} changes of endpoints answered, {load.hooks.replayed} parked notices asked for once more")
            found = _settled(stack, minting, keeper, path, book_path)
            found.wrong += load.hooks.differences()
            for number, step in enumerate(last, 1):
                found.wrong += losses.lose_and_recover(
                    stack, minting, step, folder, seed=seed + number, tell=told, cluster=cluster
                )
            return found


def _settled(stack: Stack, minting: Callable[..., str], book: Bookkeeper, ledger: Path, book_path: Path) -> Found:
    """Waits until every short clock has had its time and the stages are at rest; then looks at everything."""
    settings = settings_of(stack)
    time.sleep(policy.SPAN_S)
    until_ms, deadline = time.time_ns() // 1_000_000 + SOON_MS, time.monotonic() + SETTLE_S
    while True:
        asyncio.run(wait_quiet(settings, timeout_s=SETTLE_S))
        happened = asyncio.run(happened_of(settings))
        if not list(moments(happened, until_ms)) or time.monotonic() > deadline:
            break
        time.sleep(2)
    read_inboxes(stack.gateway_url, minting, book, {recipient for recipient, _ in happened.notices})
    verified = asyncio.run(verify(stack, [ledger], False, False, SETTLE_S, Console(highlight=False)))
    found = asyncio.run(check(settings, read_ledger(ledger, places_of(settings.keyring()))))
    found.loop = check_loop(book_path, happened, until_ms)
    found.wrong += found.loop.wrong
    if not verified:
        found.wrong.append("`liandong verify` found differences, see above")
    return found


def _break(scene: Scene, step: str, where: str) -> None:
    began, before = time.monotonic(), scene.load.answered
    if step.startswith("point:"):
        said = crash_point(scene, step.removeprefix("point:"), scene.rng.randint(1, 3))
    else:
        said = BREAKS[step](scene)
    time.sleep(scene.rng.uniform(0.2, 1.0))
    if scene.load.failed:
        raise scene.load.failed[0]
    took = time.monotonic() - began
    scene.told(f"{where} {said}; {took:.1f} s, {scene.load.answered - before} answered meanwhile")
