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
    "import typer; from connectors.filedrop.cli import register; app = typer.Typer(); "
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
    assert "a.csv, row 4: 区县: '别处' is not in the table of the mapping" in result.output
    assert "4 rows would be sent, 1 would be rejected" in result.output


def test_a_missing_token_is_said(tmp_path, mapping, monkeypatch):
    monkeypatch.delenv("LIANDONG_TOKEN", raising=False)
    path = write_csv(tmp_path / "a.csv", 1)
    result = CliRunner().invoke(app, ["feed", str(path), "-m", str(mapping), "-i", "bank-001"])
    assert result.exit_code == 2
    assert "LIANDONG_TOKEN" in result.output


def beside(folder: Path, ending: str) -> list[dict]:
    path = folder / ".liandong" / f"a.csv.bank-001.{ending}.ndjson"
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def feed_here(path: Path, mapping: Path, url: str, *more: str) -> tuple[int, str]:
    done = subprocess.run(command(path, mapping, url, *more), env={**os.environ, "LIANDONG_TOKEN": "t"}, capture_output=True)
    return done.returncode, done.stderr.decode()


def test_advisories_of_accepted_rows_are_counted_and_kept_beside_the_file(tmp_path, stub, mapping):
    path = write_csv(tmp_path / "a.csv", 25, bad=frozenset({3}))
    code, said = feed_here(path, mapping, stub.url, "--batch", "4")
    assert code == 0
    assert "24 accepted, 1 rejected; 2 with an advisory" in said and ".advisories.ndjson" in said
    advisory = {"pointer": "/indicators/0/value", "code": "odd", "detail": "ends with 3"}
    expected = [{"row": n + 2, "reference": f"R{n}", "advisories": [advisory]} for n in (13, 23)]
    assert beside(tmp_path, "advisories") == expected
    assert "2 with an advisory" in feed_here(path, mapping, stub.url)[1]
    assert beside(tmp_path, "advisories") == expected


def test_two_numbers_in_one_cell_are_rejected_with_the_gateways_sentence(tmp_path, stub, mapping):
    path = write_csv(tmp_path / "a.csv", 2)
    row = csv_row(2).replace("62990000000002", "6299000000000021 6299000000000022")
    path.write_bytes(path.read_bytes() + row.encode("gb18030"))
    code, said = feed_here(path, mapping, stub.url)
    assert code == 0 and "2 accepted, 1 rejected" in said
    (reject,) = beside(tmp_path, "rejects")
    assert (reject["row"], reject["where"]) == (4, "gateway")
    assert "two numbers; send one indicator each" in reject["reason"]


def test_check_counts_advisories_as_the_gateway_would(tmp_path, mapping):
    spec = {**CSV_MAPPING, "indicators": [{"kind": "card", "column": "账号"}]}
    mapping.write_text(yaml.safe_dump(spec, allow_unicode=True), "utf-8")
    path = write_csv(tmp_path / "a.csv", 1)
    path.write_bytes(path.read_bytes().replace(b"62990000000000", b"6222021001012345"))
    result = CliRunner().invoke(app, ["feed", str(path), "-m", str(mapping), "-i", "bank-001", "--check"])
    assert result.exit_code == 0, result.output
    assert "row 2: advisory luhn_failed at /indicators/0" in result.output
    assert "1 rows would be sent, 0 would be rejected; 1 with an advisory" in result.output


def test_a_watched_last_row_without_a_line_end_arrives(tmp_path, stub, mapping):
    path = write_csv(tmp_path / "a.csv", 1)
    path.write_bytes(path.read_bytes() + csv_row(1).encode("gb18030").rstrip())
    process = start(command(tmp_path, mapping, stub.url, "--watch", "--settle", "0.5"))
    deadline = time.monotonic() + 30
    while len(stub.taken) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    assert process.wait(20) == 0, process.stderr.read().decode()
    assert set(stub.taken) == {"R0", "R1"}
