"""`liandong feed` as a process: killed with SIGKILL again and again, it loses nothing and sends nothing under two names."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from deploy.cli import app
from tests.unit.connectors.fakes import HttpStub
from tests.unit.connectors.samples import CSV_MAPPING, csv_row, write_csv

ROWS = 1600
# The command alone: the whole CLI imports a good deal more, and these processes are started often.
MAIN = (
    "import typer; from connectors.commands import register; app = typer.Typer(); "
    "register(app); app.callback()(lambda: None); app()"
)


@pytest.fixture
def stub() -> Iterator[HttpStub]:
    made = HttpStub()
    yield made
    made.close()


@pytest.fixture
def mapping(tmp_path: Path) -> Path:
    path = tmp_path / "m.yaml"
    path.write_text(yaml.safe_dump(CSV_MAPPING, allow_unicode=True), "utf-8")
    return path


def command(path: Path, mapping: Path, url: str, *more: str) -> list[str]:
    feed = ["feed", str(path), "--mapping", str(mapping), "--institution", "bank-001", "--url", url, *more]
    return [sys.executable, "-c", MAIN, *feed]


def start(argv: list[str]) -> subprocess.Popen:
    return subprocess.Popen(argv, env={**os.environ, "LIANDONG_TOKEN": "t"}, stderr=subprocess.PIPE)


def test_kills_at_any_moment_lose_nothing_and_count_nothing_twice(tmp_path, stub, mapping):
    bad = frozenset(random.Random(5).sample(range(ROWS), 40))
    path = write_csv(tmp_path / "a.csv", ROWS, bad)
    rng, kills, finished = random.Random(3), 0, False
    while not finished:
        process = start(command(path, mapping, stub.url, "--batch", "20"))
        before = len(stub.taken)
        while process.poll() is None and len(stub.taken) - before < 300:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.03))
        process.kill()
        _, said = process.communicate()
        finished = process.returncode == 0
        kills += not finished
        assert kills < 30, said.decode()
    assert kills >= 3, "the file was too small to kill anything"
    assert set(stub.taken) == {f"R{n}" for n in range(ROWS) if n not in bad}
    rejects = (tmp_path / ".liandong" / "a.csv.bank-001.rejects.ndjson").read_text("utf-8").splitlines()
    assert [json.loads(line)["row"] for line in rejects] == [n + 2 for n in sorted(bad)]
    order = list(dict.fromkeys(body["reference"] for body in stub.arrived))
    assert order == [f"R{n}" for n in range(ROWS) if n not in bad]


def test_watching_ends_with_a_signal_and_goes_on_where_it_was(tmp_path, stub, mapping):
    path = write_csv(tmp_path / "a.csv", 5)
    for rows in (5, 6):
        process = start(command(tmp_path, mapping, stub.url, "--watch"))
        deadline = time.monotonic() + 30
        while len(stub.taken) < rows and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)
        process.terminate()
        assert process.wait(20) == 0, process.stderr.read().decode()
        with path.open("ab") as file:
            file.write(csv_row(5).encode("gb18030"))
    assert [body["reference"] for body in stub.arrived] == [f"R{n}" for n in range(6)]


def test_check_sends_nothing_and_says_what_is_wrong(tmp_path, mapping):
    path = write_csv(tmp_path / "a.csv", 5, bad=frozenset({2}))
    result = CliRunner().invoke(app, ["feed", str(path), "-m", str(mapping), "-i", "bank-001", "--check"])
    assert result.exit_code == 1
    assert "a.csv, row 4: 区县: '别处' is not in the mapping's table" in result.output
    assert "4 rows would be sent, 1 rejected" in result.output


def test_a_missing_token_is_said(tmp_path, mapping, monkeypatch):
    monkeypatch.delenv("LIANDONG_TOKEN", raising=False)
    path = write_csv(tmp_path / "a.csv", 1)
    result = CliRunner().invoke(app, ["feed", str(path), "-m", str(mapping), "-i", "bank-001"])
    assert result.exit_code == 2
    assert "LIANDONG_TOKEN" in result.output
