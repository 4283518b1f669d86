"""The book of those who work in the loop: what officers and institutions asked for and were answered, and what reached them.

Lines of NDJSON beside the senders' ledger (ledger.py), as durable: `ask` (once), `try` (just before each attempt), `told` (the
last word), `read` (a page of an inbox; `last`: of the reading of all of it when the run was over). Invariant: what was asked is
on disk before it is asked, and an answer before anything is done because of it.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.verify.ledger import Ledger, lines

KEPT = (
    "case_id", "order_id", "dissuasion_id", "measure_id", "request_id", "state", "status", "revision", "kind", "recipient",
    "queue", "related_order_id", "amount_minor", "held_minor", "executed_at", "lifted_at", "issued_at",
    "disposition", "merged_into", "reopen_count",
)  # fmt: skip
"""What is kept of an answer."""


@dataclass
class Ask:
    """One request under one key. `status` 0: nobody knows what became of it. `attempt_count`: how often it was sent; `body` and
    `answer` as they were, the answer shortened."""

    who: str
    path: str
    key: str
    body: dict[str, Any]
    status: int = 0
    answer: dict[str, Any] = field(default_factory=dict)
    tries: int = 0

    @property
    def done(self) -> bool:
        return self.status == 200

    @property
    def move(self) -> str:
        """The last part of the address: `claim`, `answers`, `orders`."""
        return self.path.rpartition("/")[2]

    @property
    def about(self) -> str:
        """The part before it: whose move it is."""
        return self.path.split("/")[-2]


@dataclass
class Book:
    """All of it. Inboxes: recipient -> the notices in the order in which they were read, a page after the other; `last`: all that
    each inbox held when the run was over."""

    asks: list[Ask] = field(default_factory=list)
    read: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    last: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))


class Bookkeeper:
    """Writes one book; threads may share it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger, self._lock, self._keys = ledger, threading.Lock(), 0

    def asked(self, who: str, path: str, body: Mapping[str, Any]) -> str:
        """A new request; its key."""
        with self._lock:
            self._keys += 1
            key = f"ask-{self._keys}"
        self._ledger.write({"do": "ask", "key": key, "who": who, "path": path, "body": body})
        return key

    def trying(self, key: str) -> None:
        self._ledger.write({"do": "try", "key": key})
        self._ledger.sync()

    def told(self, key: str, status: int, answer: Mapping[str, Any]) -> None:
        self._ledger.write({"do": "told", "key": key, "status": status, "answer": shortened(answer)})
        self._ledger.sync()

    def read(self, recipient: str, items: Sequence[Mapping[str, Any]], *, last: bool = False) -> None:
        if items or last:
            found = [_notice(one) for one in items]
            self._ledger.write({"do": "read", "of": recipient, "last": last, "items": found})
            self._ledger.sync()


def shortened(answer: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: answer[name] for name in KEPT if answer.get(name) is not None}
    if answer.get("orders"):
        kept["orders"] = [shortened(one) for one in answer["orders"]]
    if answer.get("measures"):
        kept["measures"] = [shortened(one) for one in answer["measures"]]
    return kept | {name: answer[name] for name in ("type", "detail") if name in answer}


def _notice(item: Mapping[str, Any]) -> dict[str, Any]:
    order = item.get("order") or {}
    about = {
        "order_id": order.get("order_id"),
        "order_kind": order.get("kind"),
        "related_order_id": order.get("related_order_id"),
    }
    return {**{name: item[name] for name in ("notification_id", "kind", "template", "case_id")}, **about}


def read_book(path: Path) -> Book:
    """The book. What was never tried is not in it; a torn line is passed over."""
    book, asks = Book(), dict[str, Ask]()
    for line in lines(path):
        match line.get("do"):
            case "ask":
                asks[line["key"]] = Ask(line["who"], line["path"], line["key"], line["body"])
            case "try":
                asks[line["key"]].tries += 1
            case "told":
                ask = asks[line["key"]]
                ask.status, ask.answer = line["status"], line["answer"]
            case "read":
                inbox = (book.last if line["last"] else book.read)[line["of"]]
                inbox += line["items"]
    book.asks = [one for one in asks.values() if one.tries]
    return book
