"""IBM AMLSim's transactions, read in place (never copied into the project), as reports of accounts by banks.

A transaction with a laundering account becomes a report of that account (`illegal_finance`) by the bank of the other side; some
others become reports of ordinary accounts (`telecom_fraud`). Times fall into the five days before the demo.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from random import Random
from typing import NamedTuple
from zlib import crc32

from deploy.demo.background import BANKS

SAMPLE = "20K_fanin200"
_DAYS = 5
_BEIJING = timezone(timedelta(hours=8))
_COLUMNS = ("reference", "alert", "at", "suspect", "counterparty", "value")


class SampleCut(NamedTuple):
    """The selection: rows of laundering and of other accounts, the reported laundering accounts, by file."""

    laundering: int
    others: int
    accounts: frozenset[str]
    files: dict[str, Path]
    rows: dict[str, int]


@dataclass(frozen=True)
class _Row:
    source: str
    target: str
    value: str
    step: int


def is_there(folder: Path) -> bool:
    return (folder / SAMPLE / "transactions.csv.gz").is_file() and (folder / SAMPLE / "nodes.csv.gz").is_file()


def account_of(node: str) -> str:
    """Returns the account number of a node."""
    return f"6297{int(node):015d}"


def cut(folder: Path, out: Path, *, run: str, end: datetime, rng: Random, laundering: int, others: int) -> SampleCut:
    """Writes one CSV for each bank. Of up to `laundering` transactions with a laundering account, those between two of them come
    first (they are the patterns); of the rest it takes a sample of `others`."""
    launderers = {row["nodeid"] for row in _read_rows(folder / SAMPLE / "nodes.csv.gz") if row["isFraud"] != "0"}
    inside: list[_Row] = []
    touching: list[_Row] = []
    rest: list[_Row] = []
    for raw in _read_rows(folder / SAMPLE / "transactions.csv.gz"):
        row = _Row(raw["sourceNodeId"], raw["targetNodeId"], raw["value"], int(raw["time"]))
        hits = (row.source in launderers) + (row.target in launderers)
        (rest, touching, inside)[hits].append(row)
    room = max(0, laundering - len(inside))
    chosen = inside[:laundering] + rng.sample(touching, min(room, len(touching)))
    sample = rng.sample(rest, min(others, len(rest)))
    longest = max(row.step for row in (*chosen, *sample))
    lines = [_build_line(row, launderers, run, end, longest, n) for n, row in enumerate((*chosen, *sample))]
    lines.sort(key=lambda line: line["at"])
    files = {bank: out / f"amlsim-{bank}.csv" for bank in BANKS}
    for bank, path in files.items():
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(line for line in lines if line["bank"] == bank)
    rows = {bank: sum(line["bank"] == bank for line in lines) for bank in BANKS}
    reported = frozenset(line["suspect"] for line in lines if line["alert"] == "laundering")
    return SampleCut(len(chosen), len(sample), reported, files, rows)


def _build_line(row: _Row, launderers: set[str], run: str, end: datetime, longest: int, n: int) -> dict[str, str]:
    suspect, other = (row.target, row.source) if row.target in launderers else (row.source, row.target)
    is_laundering = suspect in launderers
    if not is_laundering:
        suspect, other = row.target, row.source
    # Spread the transactions of a step over it, so that no two are at the same second only by the coarse clock.
    share = (row.step - 1 + (n * 7919 % 1000) / 1000) / longest
    at = end - timedelta(days=_DAYS) + share * timedelta(days=_DAYS)
    return {
        "reference": f"{run}-aml-{n:06d}",
        "alert": "laundering" if is_laundering else "other",
        "at": f"{at.astimezone(_BEIJING):%Y-%m-%dT%H:%M:%S}",
        "suspect": account_of(suspect),
        "counterparty": account_of(other),
        "value": row.value,
        "bank": BANKS[crc32(other.encode()) % len(BANKS)],
    }


def _read_rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
