"""The sender's ledger: requests and responses, kept outside the system, append-only, durable.

Lines of NDJSON: `send` (a body, once), `try` (just before each attempt), `answer`, `fail` (an attempt without a final result).
Invariant: an attempt is on disk before it is made, and an acknowledgement before anybody relies on it. So after a kill of the
system or of the sender it is known what was acknowledged and what is in doubt.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import orjson

from connectors.contract import SignalAnswer

Fate = Literal["accepted", "refused", "open"]


class Ledger:
    """Writes one file. Several senders and threads of one process may share it."""

    def __init__(self, path: Path, *, sync: bool = True) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab")
        if self._file.tell() and not path.read_bytes().endswith(b"\n"):
            self._file.write(b"\n")  # the last writer was killed in the middle of a line: the reader skips that one
        self._session = secrets.token_hex(4)
        self._entries = 0
        self._lock = threading.Lock()
        self._sync = sync

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def journal(self, institution: str) -> Callable[[Sequence[Mapping[str, Any]]], LedgerJournal]:
        """For `HttpGateway(journal=...)`: a journal of each call of `send`."""
        return lambda bodies: LedgerJournal(self, institution, bodies)

    def take(self, count: int) -> list[str]:
        """Returns names for new entries."""
        with self._lock:
            first = self._entries
            self._entries += count
        return [f"{self._session}-{first + index}" for index in range(count)]

    def write(self, line: Mapping[str, Any]) -> None:
        with self._lock:
            self._file.write(orjson.dumps({**line, "at": time.time_ns() // 1_000_000}) + b"\n")

    def sync(self) -> None:
        self._file.flush()
        if self._sync:
            os.fsync(self._file.fileno())

    def close(self) -> None:
        self.sync()
        self._file.close()


class LedgerJournal:
    """One batch in the ledger (`connectors.gateway_client.Journal`)."""

    def __init__(self, ledger: Ledger, institution: str, bodies: Sequence[Mapping[str, Any]]) -> None:
        self._ledger = ledger
        self._ids = ledger.take(len(bodies))
        for entry, body in zip(self._ids, bodies, strict=True):
            ledger.write({"do": "send", "id": entry, "who": institution, "body": body})

    def trying(self, indexes: Sequence[int]) -> None:
        self._ledger.write({"do": "try", "ids": [self._ids[index] for index in indexes]})
        self._ledger.sync()

    def answered(self, index: int, answer: SignalAnswer) -> None:
        line: dict[str, Any] = {"do": "answer", "id": self._ids[index], "status": answer.status}
        if answer.status == "accepted":
            line |= {"signal_id": answer.signal_id, "accepted_at": answer.accepted_at, "receipt": answer.receipt}
            line |= {"replayed": True} if answer.replayed else {}
        else:
            line |= {"reason": answer.reason, "problem": answer.problem.get("type")}
        self._ledger.write(line)

    def failed(self, indexes: Sequence[int], why: str, *, taken: bool | None) -> None:
        self._ledger.write({"do": "fail", "ids": [self._ids[index] for index in indexes], "why": why, "taken": taken})

    def settled(self) -> None:
        self._ledger.sync()


@dataclass
class LedgerEntry:
    """One sent line. `first_try` and `answer_at` are line numbers of the ledger: its order is the sender's.

    `doubt`: an attempt of which nobody knows whether it reached the log (other than through the answer). `tried_ms`: the first
    attempt, by this clock; `accepted_at`: by the log's.
    """

    ledger: str
    who: str
    body: dict[str, Any]
    first_try: int = 0
    answer_at: int | None = None
    fate: Fate = "open"
    doubt: bool = False
    signal_id: str | None = None
    position: tuple[int, int] | None = None
    problem: str | None = None
    attempts: int = 0
    tried_ms: int = 0
    accepted_at: str | None = None

    @property
    def reference(self) -> str:
        return str(self.body.get("reference"))

    @property
    def version(self) -> int:
        return int(self.body.get("version", 1))

    @property
    def retracts(self) -> bool:
        """Whether the line retracted a signal: `{"reference": ..., "retract": reason}`."""
        return "retract" in self.body


PlaceOf = Callable[[str], tuple[int, int]]
"""A receipt -> partition and offset."""


def read_ledger(path: Path, place_of: PlaceOf | None = None) -> list[LedgerEntry]:
    """Returns all entries in the order of their first line; without `place_of` they have no position. A torn line (its writer was
    killed) is skipped."""
    entries: dict[str, LedgerEntry] = {}
    pending: set[str] = set()
    for number, line in enumerate(lines(path), 1):
        do = line.get("do")
        if do == "send":
            entries[line["id"]] = LedgerEntry(str(path), line["who"], line["body"])
        elif do == "try":
            for name in line["ids"]:
                entry = entries[name]
                entry.doubt |= name in pending
                entry.first_try = entry.first_try or number
                entry.tried_ms = entry.tried_ms or int(line.get("at", 0))
                entry.attempts += 1
                pending.add(name)
        elif do == "fail":
            for name in line["ids"]:
                entries[name].doubt |= line["taken"] is not False
                pending.discard(name)
        elif do == "answer":
            pending.discard(line["id"])
            _take_answer(entries[line["id"]], line, number, place_of)
    for name in pending:
        entries[name].doubt = True
    return [entry for entry in entries.values() if entry.attempts]


def _take_answer(entry: LedgerEntry, line: Mapping[str, Any], number: int, place_of: PlaceOf | None) -> None:
    entry.fate, entry.answer_at = line["status"], number
    if entry.fate == "accepted":
        entry.signal_id, entry.accepted_at = line["signal_id"], line["accepted_at"]
        entry.position = place_of(line["receipt"]) if place_of is not None else None
    else:
        entry.problem = str(line["problem"]).rpartition(":")[2]


def lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for raw in file:
            try:
                yield orjson.loads(raw)
            except orjson.JSONDecodeError:
                yield {}
