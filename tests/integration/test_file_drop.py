"""File drop, demo and verify over the whole system: real Kafka, Redis, workers and gateway, each a process."""

from __future__ import annotations

import asyncio
import io
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from redis import Redis
from rich.console import Console

from deploy.demo.run import Wish, play_demo
from deploy.local.stack import Stack
from deploy.local.tokens import mint
from deploy.verify.run import settings_of
from deploy.verify.wait_idle import wait_quiet
from stream_processors.state.shared_hashes import named
from stream_processors.views.api import Views
from tests.oracle.verify import verify
from tests.unit.connectors.samples import CSV_MAPPING, write_csv

pytestmark = pytest.mark.integration
PROFILE = "filedrop"
ROWS = 1200
BAD = frozenset(range(5, ROWS, 97))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def stack(home: Path) -> Iterator[Stack]:
    made = Stack(PROFILE, home=home, external=False, redis_fsync="no")
    made.up()
    try:
        yield made
    finally:
        made.down(wipe=True)


@pytest.fixture(autouse=True)
def own_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commands find the profile as a person's shell would; the downloads stay where they are."""
    from deploy.local.paths import cache_dir

    monkeypatch.setenv("LIANDONG_CACHE", str(cache_dir()))
    monkeypatch.setenv("LIANDONG_HOME", str(home))
    monkeypatch.delenv("KAFKA_BOOTSTRAP", raising=False)
    monkeypatch.delenv("REDIS_URL", raising=False)


def feed(path: Path, mapping: Path, stack: Stack, home: Path) -> subprocess.Popen[bytes]:
    main = (
        "import typer; from connectors.filedrop.cli import register; app = typer.Typer(); "
        "register(app); app.callback()(lambda: None); app()"
    )
    argv = ["feed", str(path), "-m", str(mapping), "-i", "bank-901", "--url", stack.gateway_url, "--batch", "25"]
    env = {**os.environ, "LIANDONG_TOKEN": mint("bank-901", home=home, profile=PROFILE)}
    return subprocess.Popen([sys.executable, "-c", main, *argv], env=env, stderr=subprocess.PIPE)


async def counters(stack: Stack) -> dict[str, int]:
    from redis.asyncio import Redis as AsyncRedis

    redis = AsyncRedis.from_url(stack.redis_url, protocol=2)
    try:
        await wait_quiet(settings_of(stack), timeout_s=60)
        return await Views(redis).counters()
    finally:
        await redis.aclose()


def test_a_file_fed_through_kills_of_connector_and_gateway_counts_once(stack: Stack, home: Path, tmp_path: Path):
    path = write_csv(tmp_path / "a.csv", ROWS, BAD)
    mapping = tmp_path / "m.yaml"
    mapping.write_text(yaml.safe_dump(CSV_MAPPING, allow_unicode=True), "utf-8")
    rng, kills, code = random.Random(1), 0, None
    while code != 0:
        process = feed(path, mapping, stack, home)
        if kills < 4:
            time.sleep(rng.uniform(1.0, 2.5))
            process.kill()
            if kills == 1:
                stack.kill("gateway")
        _, said = process.communicate(timeout=120)
        code = process.returncode
        kills += 1
        assert code in (0, -9), said.decode()
        assert kills < 10
    found = asyncio.run(counters(stack))
    assert found["assessed:bank-901"] == ROWS - len(BAD)
    assert "duplicate_content:bank-901" not in found
    rejects = (tmp_path / ".liandong" / "a.csv.bank-901.rejects.ndjson").read_text("utf-8").splitlines()
    assert len(rejects) == len(BAD)


def wish(sabotage: str | None = None) -> Wish:
    return Wish(seed=5, profile=PROFILE, amlsim=None, aml_rows=0, each=20, timeout_s=60, sabotage=sabotage)


def test_the_demo_finds_every_planted_scheme_twice_in_a_row(stack: Stack, capsys: pytest.CaptureFixture[str]):
    assert play_demo(wish()) == 0, capsys.readouterr().out
    assert play_demo(wish()) == 0, capsys.readouterr().out
    assert "every planted scheme reached its queue" in capsys.readouterr().out


@pytest.mark.parametrize("scheme", ["mule-account", "fake-site", "one-phone", "fund-raising", "sent-again", "bad-rows"])
def test_the_demo_fails_when_a_planted_scheme_did_not_arrive(stack: Stack, capsys: pytest.CaptureFixture[str], scheme: str):
    assert play_demo(wish(scheme)) == 1
    assert f"the demo failed: {scheme}" in capsys.readouterr().out.replace("\n", " ")


def verified(stack: Stack) -> tuple[bool, str]:
    out = io.StringIO()
    ledgers = sorted((stack.places.root / "ledgers").glob("*.ndjson"))
    assert ledgers
    return asyncio.run(verify(stack, ledgers, True, False, 60, Console(file=out, width=160))), out.getvalue()


def test_verify_agrees_and_says_what_differs_when_the_state_was_changed(stack: Stack):
    ok, said = verified(stack)
    assert ok, said
    redis = Redis.from_url(stack.redis_url)
    key = next(redis.scan_iter(match="{pr*}r=*"))
    name, kept = next((name, kept) for name, kept in redis.hgetall(key).items() if name)  # the head is not state
    redis.hdel(key, name)
    try:
        ok, said = verified(stack)
        assert not ok
        assert "1 keys differ" in said
        assert named(name) in said
    finally:
        redis.hset(key, name, kept)
        redis.close()
    assert verified(stack)[0]
