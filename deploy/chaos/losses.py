"""The break `tail-lost`: the broker comes back without the newest records of some topics, as after a power cut.

It is the last of a run, when all else was checked: what a run promised before, the lost records included, nobody can keep. What
must hold then: all stops and says why; after `liandong recover` what is left in the log has one fact each, nothing counts twice,
every signal that is acknowledged from then on is assessed, and the state that the log gives is the live one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import httpx
from rich.console import Console

from deploy.chaos.check import check
from deploy.chaos.load import Load
from deploy.chaos.tails import cut_tail
from deploy.local.stack import Stack
from deploy.recover import recover
from deploy.verify.book import Bookkeeper
from deploy.verify.ledger import Ledger, read_ledger
from deploy.verify.quiet import wait_quiet
from deploy.verify.run import settings_of, verify
from schemas.topics import ACTIONS, ASSESSED, CHANGED, ISSUED, RETRACTIONS, SUBMITTED, Topic

SOURCES = (SUBMITTED, RETRACTIONS, ACTIONS)
FACTS = (ASSESSED, CHANGED, ISSUED)
BREAKS = {"tail-lost:sources": SOURCES, "tail-lost:facts": FACTS}
SHARE = 0.3
NOTICED_WITHIN_S, READY_WITHIN_S, QUIET_WITHIN_S = 60.0, 120.0, 120.0
ANSWERED = 200


def lose_tails(stack: Stack, topics: Iterable[Topic], share: float = SHARE) -> int:
    """Kills the broker, cuts the tails of all partitions that hold something, and starts it again; how many records are gone."""
    stack.stop_one("kafka", grace_s=0)
    data = stack.places.kafka / "data"
    lost = sum(cut_tail([folder], share) for topic in topics for folder in sorted(data.glob(f"{topic.name}-*")))
    stack.start_one("kafka")
    return lost


def lose_and_recover(
    stack: Stack, mint: Callable[..., str], name: str, folder: Path, *, seed: int, tell: Callable[[str], None]
) -> list[str]:
    """Makes the break, recovers from it under a new load, and says what is wrong then."""
    lost = lose_tails(stack, BREAKS[name])
    if not is_within(NOTICED_WITHIN_S, lambda: "liandong recover" in _readiness(stack).get("log", "")):
        return [f"{name}: {lost} records were lost, and the gateway is still ready"]
    opened = [line for line in recover(stack, yes=True) if "opened a new generation" in line]
    tell(f"{name}: {lost} records lost; {len(opened)} generations opened")
    if not is_within(READY_WITHIN_S, lambda: set(_readiness(stack).values()) == {"ok"}):
        return [f"{name}: the gateway is not ready after the recovery: {_readiness(stack)}"]
    path = folder / f"ledger-{name.partition(':')[2]}.ndjson"
    with Ledger(path) as ledger, Ledger(path.with_suffix(".book")) as book:
        load = Load(stack.gateway_url, mint, ledger, Bookkeeper(book), seed=seed)
        load.start(changes_endpoints=False)  # those of the run before it stand, and no institution may have more
        is_within(READY_WITHIN_S, lambda: load.answered >= ANSWERED or bool(load.failed))
        load.stop()
    settings = settings_of(stack)
    asyncio.run(wait_quiet(settings, timeout_s=QUIET_WITHIN_S))
    wrong = [f"{name}: {line}" for line in asyncio.run(check(settings, read_ledger(path))).wrong]
    if not asyncio.run(verify(stack, [], False, False, QUIET_WITHIN_S, Console(highlight=False))):
        wrong.append(f"{name}: the rebuilt state is not the live one")
    return wrong


def is_within(seconds: float, holds: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.3)
    return True


def _readiness(stack: Stack) -> dict[str, str]:
    try:
        checks: dict[str, str] = httpx.get(f"{stack.gateway_url}/readyz", timeout=3).json()["checks"]
        return checks
    except (httpx.HTTPError, ValueError, KeyError):
        return {"gateway": "does not answer"}
