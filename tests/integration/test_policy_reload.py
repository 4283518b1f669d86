"""A policy changes under running workers: a valid file decides from then on, one that is not changes nothing and is told."""

from __future__ import annotations

import asyncio
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local.stack import Stack
from deploy.local.tokens import mint
from stream_processors.runtime.settings import SHIPPED_POLICY
from stream_processors.state.store import connect
from stream_processors.views.api import Views
from tests.support.builders import account
from tests.unit.gateway.fakes import signal

pytestmark = pytest.mark.integration
PROFILE, WAIT_S = "policy", 30.0
STAGES = ("assess", "track", "timekeeper", "deliver", "oversee", "project")


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    path.write_text(SHIPPED_POLICY.read_text("utf-8"), "utf-8")
    return path


@pytest.fixture(scope="module")
def stack(policy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("home")
    env = {"LIANDONG_POLICY_FILE": str(policy)}
    with Stack(PROFILE, home=home, external=False, env=env, redis_fsync="no", kafka_heap_mb=256) as made:
        yield made


def decided_by(stack: Stack) -> str:
    """The policy that a new signal is assessed by."""
    headers = {"authorization": "Bearer " + mint("bank-001", home=stack.places.home, profile=PROFILE)}
    name = secrets.token_hex(8)
    body = signal(name, indicators=[account(int(name[:6], 16))], narrative=name)  # the same content again would be a re-send
    answer = httpx.post(f"{stack.gateway_url}/v1/signals", json=body, headers=headers, timeout=20)
    assert answer.status_code == 202, answer.text
    return asyncio.run(_policy_of(stack, answer.json()["signal_id"]))


async def _policy_of(stack: Stack, signal_id: str) -> str:
    redis = connect(stack.redis_url)
    try:
        deadline = time.monotonic() + WAIT_S
        while (receipt := await Views(redis).receipt(signal_id)) is None:
            assert time.monotonic() < deadline, "the signal was not assessed"
            await asyncio.sleep(0.05)
        return str(receipt.policy)
    finally:
        await redis.aclose()


def failed(stack: Stack, stage: str) -> float:
    text = httpx.get(stack.metrics_url(f"{stage}-0"), timeout=10).text
    found = re.search(rf'liandong_policy_reload_failed_total\{{stage="{stage}"\}} (\S+)', text)
    return float(found[1]) if found else 0.0


def test_a_changed_policy_decides_from_then_on_and_a_broken_one_never(stack: Stack, policy: Path) -> None:
    whole = policy.read_text("utf-8")
    version = re.search(r'^version: "(.*)"$', whole, re.MULTILINE)
    assert version and decided_by(stack).startswith(f"haidong/{version[1]}/")
    policy.write_text(whole.replace('version: "', "version: ["), "utf-8")
    deadline = time.monotonic() + WAIT_S
    while not all(failed(stack, stage) for stage in STAGES):
        assert time.monotonic() < deadline, "the broken file was not told"
        time.sleep(0.2)
    assert decided_by(stack).startswith(f"haidong/{version[1]}/")
    policy.write_text(whole.replace(version[0], 'version: "2099.1"'), "utf-8")
    deadline = time.monotonic() + WAIT_S
    while not decided_by(stack).startswith("haidong/2099.1/"):
        assert time.monotonic() < deadline, "the changed file was not taken"
        time.sleep(0.2)
    assert [stack.process(f"{stage}-0")["restarts"] for stage in STAGES] == [0] * len(STAGES)
