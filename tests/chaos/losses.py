"""The break `tail-lost`: all brokers, one or several, come back without the newest records of some topics, as after a power cut.

It is the last of a run, when all else was checked: what a run promised before, the lost records included, nobody can keep. What
must hold then: all stops and says why; after `liandong recover` what is left in the log has one fact each, nothing counts twice,
every signal that is acknowledged from then on is assessed, and the state that the log gives is the live one.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import httpx
from rich.console import Console

from deploy.demo.generate import generate
from deploy.local.process_specs import ALL_AGENTS
from deploy.local.stack import Stack
from deploy.verify.ledger import Ledger, read_ledger
from deploy.verify.run import places_of, settings_of
from deploy.verify.wait_idle import wait_quiet
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, NOTIFICATIONS, RETRACTIONS, SUBMITTED, Topic
from tests.chaos.brokers import Cluster
from tests.chaos.client import Client
from tests.chaos.invariants import check
from tests.chaos.tails import cut_tail
from tests.chaos.traffic import Load
from tests.oracle.request_journal import Bookkeeper
from tests.oracle.verify import verify

SOURCES = (SUBMITTED, RETRACTIONS, CASE_COMMANDS)
FACTS = (ASSESSED, CASE_CHANGES, NOTIFICATIONS)
BREAKS = {"tail-lost:sources": SOURCES, "tail-lost:facts": FACTS}
SHARE = 0.3
NOTICED_WITHIN_S, READY_WITHIN_S, QUIET_WITHIN_S, RECOVERED_WITHIN_S = 60.0, 120.0, 120.0, 180.0
ANSWERED, UNAVAILABLE = 200, 503
WAY_OUT = "run `liandong recover`"
_LIANDONG = (sys.executable, "-c", "from deploy.cli import app; app()")


def lose_tails(stack: Stack, topics: Iterable[Topic], share: float = SHARE, cluster: Cluster | None = None) -> int:
    """Kills the broker, or all of a cluster, cuts the tails of all partitions that hold something, off all copies alike, and
    starts again; how many records are gone."""
    if cluster is None:
        stack.stop_one("kafka", grace_s=0)
        disks = [stack.places.kafka / "data"]
    else:
        cluster.stop()
        disks = [cluster.data(node) for node in cluster.nodes]
    lost = sum(cut_tail(copies, share) for topic in topics for copies in _copies(topic, disks))
    if cluster is None:
        stack.start_one("kafka")
    else:
        cluster.start()
    return lost


def _copies(topic: Topic, disks: Sequence[Path]) -> Iterator[list[Path]]:
    """The folders of each partition, one a disk."""
    names = {folder.name for disk in disks for folder in disk.glob(f"{topic.name}-*")}
    for name in sorted(names):
        yield [disk / name for disk in disks]


def lose_and_recover(
    stack: Stack,
    mint: Callable[..., str],
    name: str,
    folder: Path,
    *,
    seed: int,
    tell: Callable[[str], None],
    cluster: Cluster | None = None,
) -> list[str]:
    """Makes the break, recovers from it under a new load, and says what is wrong then."""
    before = _count_complaints(stack)
    lost = lose_tails(stack, BREAKS[name], cluster=cluster)
    if not is_within(NOTICED_WITHIN_S, lambda: "liandong recover" in _readiness(stack).get("log", "")):
        return [f"{name}: {lost} records were lost, and the gateway is still ready"]
    if (status := _send_one(stack, mint, seed)) != UNAVAILABLE:
        return [f"{name}: {lost} records were lost, and the gateway answers {status} to a signal"]
    if not is_within(NOTICED_WITHIN_S, lambda: _count_complaints(stack) > before):
        return [f"{name}: {lost} records were lost, and no worker says what to do"]
    opened = [line for line in _recover(stack) if "opened a new generation" in line]
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
    places = places_of(settings.keyring())
    asyncio.run(wait_quiet(settings, timeout_s=QUIET_WITHIN_S))
    wrong = [f"{name}: {line}" for line in asyncio.run(check(settings, read_ledger(path, places))).wrong]
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


def _send_one(stack: Stack, mint: Callable[..., str], seed: int) -> int:
    """A good signal, sent once; the status of the answer."""
    planned = next(one for one in generate(100, seed=seed, run=f"none{seed}") if one.note == "new")
    body, token = json.dumps(planned.body).encode(), mint(planned.institution)
    status, _ = Client(stack.gateway_url).ask("POST", "/v1/signals", token, body, Content_Type="application/json")
    return status


def _count_complaints(stack: Stack) -> int:
    """How often workers wrote the way out into their logs."""
    workers = [name for name in stack.names() if name.rpartition("-")[0] in ALL_AGENTS]
    return sum(stack.log(name).count(WAY_OUT) for name in workers)


def _recover(stack: Stack) -> list[str]:
    """What an operator types, with the brokers in the environment."""
    env = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    env |= {"LIANDONG_HOME": str(stack.places.home), "KAFKA_BOOTSTRAP": stack.kafka_bootstrap}
    command = [*_LIANDONG, "recover", "--profile", stack.profile, "--yes"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=RECOVERED_WITHIN_S)
    if done.returncode:
        raise AssertionError(f"`liandong recover` ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout.splitlines()


def _readiness(stack: Stack) -> dict[str, str]:
    try:
        checks: dict[str, str] = httpx.get(f"{stack.gateway_url}/readyz", timeout=3).json()["checks"]
        return checks
    except (httpx.HTTPError, ValueError, KeyError):
        return {"gateway": "does not answer"}
