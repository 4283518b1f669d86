"""One run of the scorecards bench: folds the facts of a month, then reads its card through the gateway's HTTP.

Invariant: the card that is read counts exactly the reports that were folded, or the bench fails.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from statistics import median
from typing import Any

import orjson
import uvloop

from schemas.cases.case import ActionKind, ActionOutcome
from schemas.codec import RowEnvelope
from schemas.scorecards import CardKind
from schemas.signals.assessed import AssessOutcome
from schemas.signals.submission import SignalKind
from stream_processors.domain.scorecards import from_csv
from stream_processors.runtime.settings import Settings
from stream_processors.state.coalesce import Sums
from stream_processors.state.effects import Arg, Effect
from stream_processors.state.keys import FOLDS, PROJECT
from stream_processors.state.record_views import ChangeRow, ReceiptRow
from stream_processors.state.scorecard_views import (
    CoreRow,
    CountedRow,
    DeadlineFiguresRow,
    FiguresRow,
    MeasureFiguresRow,
    OrderFiguresRow,
)
from stream_processors.state.store import RedisStore, Write, connect
from stream_processors.views.api import Views
from stream_processors.views.cases import project_changed
from stream_processors.views.receipts import project_assessed
from tests.bench import bare
from tests.bench.harness import answer, request
from tests.bench.http_load import Connection, token_of

STAMP, CHUNK = f"bench|folds={FOLDS}#1", 4000
BEGIN, DAYS, MONTH = datetime(2026, 9, 30, 16, tzinfo=UTC), 31, "2026-10"
"""A month of China's time that is over."""
BARE_CELLS = "bare:cells"
UNITS = tuple(f"public-security-{code}" for code in ("630200", "630202", "630203", "630222", "630223", "630224", "630225"))


class Drawn:
    """Facts of a month, drawn; `reports` are those that count."""

    def __init__(self, institutions: int, seed: int) -> None:
        self._rng = Random(seed)
        self._names = [f"bank-{number:03d}" for number in range(institutions)]
        # The largest has a hundred times what the smallest has: so it is with banks.
        self._weights = [1 / (1 + number / 2) for number in range(institutions)]
        self.reports = 0

    def facts(self, count: int) -> Iterator[list[Effect]]:
        for _ in range(count):
            who = self._rng.choices(self._names, self._weights)[0]
            at = BEGIN + timedelta(seconds=self._rng.randrange(DAYS * 86_400))
            kept = self._signal(who, at) if self._rng.random() < 2 / 3 else self._change(who, at)
            yield [effect for effect in kept if effect.args[0] == "tally"]

    def _took(self, typical_s: float) -> timedelta:
        return timedelta(seconds=self._rng.lognormvariate(0, 1) * typical_s)

    def _signal(self, who: str, at: datetime) -> list[Effect]:
        outcome = self._rng.choices(
            (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_REFERENCE, AssessOutcome.CONFLICT), (94, 5, 1)
        )[0]
        kind = SignalKind.TELECOM_FRAUD if self._rng.random() < 0.9 else SignalKind.ILLEGAL_FINANCE
        self.reports += outcome is AssessOutcome.ASSESSED
        row = ReceiptRow(outcome, at, institution=who, kind=kind, occurred_at=at - self._took(900))
        return project_assessed(RowEnvelope("", at, f"institution:{who}", row))

    def _change(self, who: str, at: datetime) -> list[Effect]:
        drawn = self._rng.random()
        unit = self._rng.choice(UNITS)
        before = FiguresRow()
        if drawn < 0.3:
            was = CoreRow(unit=unit, opened_at=at)
            how = self._rng.choices(("confirmed", "false_positive", "insufficient"), (6, 1, 2))[0]
            done = CoreRow(unit=unit, opened_at=at, disposed_at=at + self._took(40_000), disposition=how, institutions=(who,))
            before, after = FiguresRow(case=was), FiguresRow(case=done)
        elif drawn < 0.7:
            name, limit_s = self._rng.choice((("report", 3600), ("warn", 600), ("block", 1800), ("acknowledge", 900)))
            due, took = at + timedelta(seconds=limit_s), self._took(limit_s / 2)
            party = unit if name == "acknowledge" else who
            state = "fired" if self._rng.random() < 0.03 else "stopped"
            after = FiguresRow(deadlines=(DeadlineFiguresRow(name, party, state, at, due, at + took, at + took > due),))
        elif drawn < 0.9:
            executed, minor = at + self._took(600), self._rng.randrange(10**8)
            one = OrderFiguresRow("stop_payment", who, "executed", at, executed, held_minor=minor, currency="CNY")
            after = FiguresRow(orders=(one,))
        else:
            kind, minor = self._rng.choice(("warned", "blocked")), self._rng.randrange(10**7)
            after = FiguresRow(measures=(MeasureFiguresRow(who, kind, at, minor, "CNY"),))
        change = ChangeRow(
            None, None, ActionKind.JOIN, ActionOutcome.APPLIED, at, "stage:bench", figure_changes=CountedRow(before, after)
        )
        return project_changed(RowEnvelope("", at, "stage:bench", change))


async def fold(store: RedisStore, facts: Iterator[list[Effect]]) -> None:
    """As project's step does, a poll at a time."""
    while chunk := list(islice(facts, CHUNK)):
        sums, buckets = Sums(), set[int]()
        for effect in (effect for effects in chunk for effect in effects):
            sums.take(*effect)
            buckets.add(effect.bucket)
        args: dict[int, list[Arg]] = {bucket: sums.drain(bucket) for bucket in buckets}
        await store.call("fold", STAMP, {bucket: Write({}, {}, found) for bucket, found in args.items()})


async def filled(settings: Settings, asked: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """What was folded, and how many reports it holds."""
    redis = connect(settings.redis_url)
    store = RedisStore(redis, PROJECT)
    await store.open()
    await store.set_stamp(STAMP)
    before = (await redis.info("memory"))["used_memory"]
    drawn, began = Drawn(asked["institutions"], 1), time.monotonic()
    await fold(store, drawn.facts(asked["count"]))
    folded_s = time.monotonic() - began
    used = (await redis.info("memory"))["used_memory"] - before
    book = await Views(redis).book(CardKind.INSTITUTION, MONTH)
    await redis.aclose()
    cells = sum(map(len, (book or {}).values()))
    return {"folded_s": folded_s, "bytes": used, "cells": cells}, drawn.reports


async def read(connection: Connection, token: str, form: str) -> tuple[float, bytes]:
    head = f"GET /v1/scorecards/institutions?period={MONTH}&format={form} HTTP/1.1\r\nhost: bench\r\n"
    began = time.perf_counter()
    status, body = await connection.ask(f"{head}authorization: Bearer {token}\r\n\r\n".encode())
    took = time.perf_counter() - began
    if status != 200:
        raise RuntimeError(f"{status}: {body[:300]!r}")
    return took, body


async def add_up(redis: Any) -> float:
    """The baseline: as many cells read in one call, added up in a loop, and written as JSON; seconds."""
    began = time.perf_counter()
    cells = await redis.hgetall(BARE_CELLS)
    total = 0
    for value in cells.values():
        total += int(value)
    orjson.dumps({name.decode(): int(value) for name, value in cells.items()} | {"total": total})
    return time.perf_counter() - began


async def main(asked: dict[str, Any]) -> dict[str, Any]:
    settings = Settings()
    told, reports = await filled(settings, asked)
    connection = await Connection(asked["url"]).open()
    token = token_of(str(settings.home), settings.profile)("regulator-bench")
    _, body = await read(connection, token, "json")
    if (found := orjson.loads(body)["total"]["counts"]["reports"]) != reports:
        raise RuntimeError(f"the card counts {found} reports, {reports} were folded")
    _, table = await read(connection, token, "csv")
    if from_csv(table)[-1]["reports"] != str(reports):
        raise RuntimeError("the table counts other reports than were folded")
    told |= {"card_bytes": len(body), "json_s": [], "csv_s": [], "bare_s": []}
    redis = bare.open_redis()
    await redis.hset(BARE_CELLS, mapping={f"bank-{n % 200:03d}|figure-{n}": n for n in range(told["cells"])})
    for _ in range(asked["runs"]):
        told["bare_s"].append(median([await add_up(redis) for _ in range(asked["reads"])]))
        for form in ("json", "csv"):
            told[f"{form}_s"].append(median([(await read(connection, token, form))[0] for _ in range(asked["reads"])]))
    return told


if __name__ == "__main__":
    answer(uvloop.run(main(request())))
