"""A real broker that comes back without what it had acknowledged: all stops and says why, `liandong recover` lets it go on."""

from __future__ import annotations

import asyncio
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from deploy.local.stack import Stack
from deploy.local.tokens import mint
from deploy.verify.run import settings_of
from deploy.verify.wait_idle import wait_quiet
from schemas.topics import Topic
from tests.chaos.invariants import check
from tests.chaos.losses import FACTS, SOURCES, lose_tails
from tests.oracle.verify import verify

pytestmark = pytest.mark.integration
PROFILE = "losses"
BANKS = ("bank-701", "bank-702", "bank-703")
AT_ONCE = 4
LIANDONG = [sys.executable, "-c", "from deploy.cli import app; app()"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def stack(home: Path) -> Iterator[Stack]:
    env = {"LIANDONG_SESSION_TIMEOUT_S": "6", "LIANDONG_HEARTBEAT_S": "0.5"}
    made = Stack(PROFILE, home=home, external=False, redis_fsync="no", backoff_max_s=0.5, kafka_heap_mb=256, env=env)
    made.up()
    try:
        yield made
    finally:
        made.down(wipe=True)


def body_of(reference: str, n: int) -> dict[str, Any]:
    return {
        "reference": reference,
        "kind": "telecom_fraud",
        "occurred_at": f"2026-11-2{n % 4}T10:{n % 60:02d}:00+08:00",
        "region": "630202",
        "amount": {"minor": 100_000 + n, "currency": "CNY"},
        "indicators": [{"kind": "account", "value": f"62220210{n % 12:08d}"}],
    }


async def send(stack: Stack, home: Path, name: str, count: int) -> list[tuple[str, str]]:
    """So many signals about a few accounts; each must be accepted. Who sent which signal id."""
    tokens = {bank: mint(bank, home=home, profile=PROFILE) for bank in BANKS}
    async with httpx.AsyncClient(base_url=stack.gateway_url, timeout=20) as client:

        async def send_one(n: int) -> tuple[str, str]:
            bank = BANKS[n % len(BANKS)]
            headers = {"authorization": f"Bearer {tokens[bank]}"}
            for _ in range(50):
                answer = await client.post("/v1/signals", json=body_of(f"{name}-{n}", n), headers=headers)
                if answer.status_code != 503:
                    break
                await asyncio.sleep(0.2)
            assert answer.status_code == 202, answer.text
            return bank, answer.json()["signal_id"]

        accepted = []
        for n in range(0, count, AT_ONCE):
            accepted += await asyncio.gather(*(send_one(m) for m in range(n, min(n + AT_ONCE, count))))
        return accepted


def until(what: str, holds: Callable[[], bool], timeout_s: float = 40) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def recover(home: Path, *options: str) -> str:
    done = subprocess.run(
        [*LIANDONG, "recover", "--profile", PROFILE, *options],
        env=os.environ | {"LIANDONG_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def is_red(stack: Stack) -> bool:
    try:
        ready = httpx.get(f"{stack.gateway_url}/readyz", timeout=2)
    except httpx.HTTPError:
        return False
    return ready.status_code == 503 and "liandong recover" in ready.json()["checks"]["log"]


def is_green(stack: Stack) -> bool:
    try:
        ready = httpx.get(f"{stack.gateway_url}/readyz", timeout=2)
    except httpx.HTTPError:
        return False
    return ready.status_code == 200 and ready.json()["checks"]["views"] == "ok"


@pytest.mark.parametrize("topics", [SOURCES, FACTS], ids=["sources", "facts"])
def test_a_lost_tail_stops_all_says_why_and_is_recovered(stack: Stack, home: Path, topics: tuple[Topic, ...]) -> None:
    name = topics[0].name.split(".")[1]
    settings = settings_of(stack)
    asyncio.run(send(stack, home, f"{name}-before", 60))
    asyncio.run(wait_quiet(settings, timeout_s=40))
    assert lose_tails(stack, topics) > 10
    until("readiness is red and says why", lambda: is_red(stack))
    token = mint(BANKS[0], home=home, profile=PROFILE)
    refused = httpx.post(
        f"{stack.gateway_url}/v1/signals", json=body_of(f"{name}-no", 1), headers={"authorization": f"Bearer {token}"}
    )
    assert refused.status_code == 503, refused.text
    until("a worker says why", lambda: any("run `liandong recover`" in stack.log(f"{one}-0") for one in ("assess", "track")))
    shown = recover(home)
    assert topics[0].name in shown and "would open" in shown and "Nothing was changed" in shown
    assert "opened a new generation" in recover(home, "--yes")
    until("all is ready again", lambda: is_green(stack), 60)
    after = asyncio.run(send(stack, home, f"{name}-after", 40))
    asyncio.run(wait_quiet(settings, timeout_s=60))
    found = asyncio.run(check(settings, []))
    assert found.wrong == []
    assert found.records > 0 and found.facts >= found.records
    out = io.StringIO()
    assert asyncio.run(verify(stack, [], False, False, 60, Console(file=out))), out.getvalue()
    for bank, signal_id in after:
        headers = {"authorization": f"Bearer {mint(bank, home=home, profile=PROFILE)}"}
        receipt = httpx.get(f"{stack.gateway_url}/v1/signals/{signal_id}", headers=headers)
        assert receipt.status_code == 200, receipt.text
    assert recover(home).startswith("nothing is lost")
