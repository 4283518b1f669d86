"""The loop after the dust has settled: the log as it stands, and every inbox read once more over HTTP, held against the book of
those who worked in it (tests/oracle/case_oracle.py)."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deploy.demo.generate import INSTITUTIONS
from schemas.security import AesGcmSealer
from schemas.topics import APPRAISAL_CHANGES, CASE_CHANGES, CASE_COMMANDS, NOTIFICATIONS
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.settings import Settings
from tests.chaos.client import Person
from tests.oracle.case_oracle import differences
from tests.oracle.log_history import Happened
from tests.oracle.request_journal import Bookkeeper, read_book

READ_FOR_S = 120.0


@dataclass
class LoopFound:
    """What was looked at: requests that were done by their move, orders by their state, figures; every violation in words."""

    asked: Counter[str] = field(default_factory=Counter)
    orders: Counter[str] = field(default_factory=Counter)
    figures: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


async def happened_of(settings: Settings) -> Happened:
    """All of the loop's log. Deadlines go on falling due meanwhile: where a topic ends is looked up before that of what it
    follows from, so that no effect is read without its cause."""
    log, happened = KafkaLog(settings, "liandong-check-loop"), Happened(AesGcmSealer(settings.keyring()).unseal)
    await log.open()
    try:
        takers = (
            (CASE_COMMANDS, happened.action),
            (CASE_CHANGES, happened.change),
            (NOTIFICATIONS, happened.issue),
            (APPRAISAL_CHANGES, happened.oversee),
        )
        last = {topic.name: await log.ends(topic) for topic, _ in reversed(takers)}
        for topic, take in takers:
            starts, ends = await log.starts(topic), last[topic.name]
            for p in ends:
                async for run in log.read(topic, p, starts[p], ends[p]):
                    for record in run:
                        take(p, record.offset, record.timestamp_ms, record.value)
    finally:
        await log.close()
    return happened


def read_inboxes(url: str, mint: Callable[..., str], book: Bookkeeper, recipients: set[str]) -> None:
    """Every inbox from its beginning, into the book. TimeoutError when one cannot be read."""
    person = Person(url, mint, book, random.Random(0))
    deadline = time.monotonic() + READ_FOR_S
    for recipient in sorted(recipients):
        who, query = (recipient, {}) if recipient in INSTITUTIONS else ("officer-duty", {"inbox": recipient})
        cursor: dict[str, str] = {}
        while True:
            told = person.get(who, "/v1/inbox", limit=200, **query, **cursor)
            if not told.done:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"the inbox of {recipient} is answered {told.status}: {told.said}")
                time.sleep(0.2)
                continue
            book.read(recipient, told.said["items"], last=True)
            if not told.said["items"] or not told.said["has_more"]:
                break
            cursor = {"after": told.said["next_cursor"]}


def check_loop(book_path: Path, happened: Happened, until_ms: int) -> LoopFound:
    book = read_book(book_path)
    found = LoopFound(wrong=differences(book, happened, until_ms=until_ms))
    for ask in book.asks:
        if ask.done:
            found.asked[_word(ask.move, ask.body.get("result") or ask.body.get("disposition"))] += 1
    found.orders.update(f"{one.now['kind']} {one.now['state']}" for one in happened.orders.values())
    found.figures = {
        "requests": len(book.asks),
        "tries": sum(one.tries for one in book.asks),
        "refused": sum(400 <= one.status < 500 for one in book.asks),
        "applied": sum(happened.effects.values()),
        "echoes of actions": happened.outcomes["redelivery"],
        "moments": len(happened.moments),
        "notices": len(happened.notices),
        "notices read on": sum(map(len, book.read.values())),
    }
    return found


def _word(move: str, more: str | None) -> str:
    return f"{move.partition('?')[0]} {more}" if more else move.partition("?")[0]
