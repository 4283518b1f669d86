"""One run of the search bench: fills the views through the fold, then searches through the gateway's HTTP.

Invariant: every search finds the cases that were put there, or the bench fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from random import Random
from typing import Any

import orjson
import uvloop

from schemas.cases.case import Case, CaseStatus, JoinedSignal, Tally
from schemas.common import DAY_MS, instant_ms
from schemas.security import AesGcmSealer, Tokenizer
from schemas.signals.assessed import AssessOutcome
from schemas.signals.subjects import Subject
from schemas.signals.submission import SignalKind
from stream_processors.domain.signals.routing import case_id
from stream_processors.folds.track import case_effect
from stream_processors.runtime.settings import Settings
from stream_processors.state.effects import Arg, Effect, add
from stream_processors.state.keys import FOLDS, PROJECT, ProjectKey, bucket_of
from stream_processors.state.record_views import ReceiptRow, RouteRow, SubjectRow
from stream_processors.state.store import RedisStore, Write, connect
from stream_processors.views.case_index import index_effects
from tests.bench import bare
from tests.bench.harness import answer, request
from tests.bench.http_load import Connection, post, token_of

QUEUE, STAMP, CHUNK = "public-security-630202", f"bench|folds={FOLDS}#1", 4000
SHARED = "+8613800000000"
ANSWER_BYTES, CALLS = 1000, 20
"""Of a search that finds one case."""


def account(number: int) -> str:
    return f"6222{number:012d}"


def rows(tokenizer: Tokenizer, count: int, rng: Random, sharers: list[int]) -> Iterator[ReceiptRow]:
    """Facts as project reads them, routed to the case of their account; `sharers` hears which accounts have the shared phone."""
    now = datetime.now(UTC)
    until, shared = instant_ms(now) + 180 * DAY_MS, tokenizer.token("phone", SHARED)
    known = 0
    for number in range(count):
        if known and rng.random() < 0.33:
            subject = rng.randrange(known)
        else:
            subject, known = known, known + 1
        primary = tokenizer.token("account", account(subject))
        if number % 100 == 0:
            sharers.append(subject)
        other = shared if number % 100 == 0 else tokenizer.token("phone", f"+86139{rng.randrange(10**8):08d}")
        route = RouteRow(queue=QUEUE, case_id=case_id(QUEUE, primary))
        subjects = (SubjectRow(token=primary), SubjectRow(token=other))
        yield ReceiptRow(AssessOutcome.ASSESSED, now, routes=(route,), subjects=subjects, cases_until_ms=until + number)


def case_of(number: int, tokenizer: Tokenizer, sealer: AesGcmSealer) -> Case:
    """The case of an account, with twenty signals, as large as it gets by the shipped policy."""
    now, token = datetime.now(UTC), tokenizer.token("account", account(number))
    subject = Subject(kind="account", role="suspect", token=token, sealed=sealer.seal(account(number), f"sig-{number}/{token}"))
    signal = JoinedSignal.trusted(
        signal_id=f"sig-{number}", institution="bank-001", kind=SignalKind.TELECOM_FRAUD, occurred_at=now, accepted_at=now,
        region="630202", amount_minor=1, currency="CNY", score=60, severity="high", reasons=(), subjects=(subject,),
        narrative_sealed=sealer.seal("客户来电称被骗", f"sig-{number}/narrative"),
    )  # fmt: skip
    return Case.trusted(
        case_id=case_id(QUEUE, token), queue=QUEUE, revision=1, status=CaseStatus.OPEN, opened_at=now, changed_at=now,
        primary_subject=subject, primary_signal_id=f"sig-{number}", score=60, severity="high", kinds=(SignalKind.TELECOM_FRAUD,),
        institutions=("bank-001",), signal_count=20, amount_minor={"CNY": 20}, signals=(signal,) * 20,
        tally=Tally.trusted(scores={"60": 20}, institutions={"bank-001": 20}, kinds={"telecom_fraud": 20}),
    )  # fmt: skip


async def fold(store: RedisStore, effects: Iterable[Effect]) -> None:
    effects = iter(effects)
    while chunk := list(islice(effects, CHUNK)):
        args: dict[int, list[Arg]] = {}
        for effect in chunk:
            args.setdefault(effect.bucket, []).extend(effect.args)
        await store.call("fold", STAMP, {bucket: Write({}, {}, found) for bucket, found in args.items()})


async def fill(settings: Settings, count: int, seen: range) -> float:
    """Fills the views; bytes of Redis a signal for the index alone."""
    keyring, redis = settings.keyring(), connect(settings.redis_url)
    tokenizer, sealer = Tokenizer(keyring), AesGcmSealer(keyring)
    store = RedisStore(redis, PROJECT)
    await store.open()
    await store.set_stamp(STAMP)
    before = (await redis.info("memory"))["used_memory"]
    sharers: list[int] = []
    await fold(store, (effect for row in rows(tokenizer, count, Random(1), sharers) for effect in index_effects(row)))
    used = (await redis.info("memory"))["used_memory"] - before
    await fold(store, [add(ProjectKey.QUEUE_NAMES.sole(bucket_of(QUEUE)), QUEUE)])
    await fold(store, (case_effect(case_of(number, tokenizer, sealer)) for number in (*seen, *sharers[-100:])))
    await redis.aclose()
    return float(used / count)


async def search(connection: Connection, token: str, kind: str, value: str) -> tuple[float, list[Any]]:
    message = post("/v1/search", token, orjson.dumps({"kind": kind, "value": value}), "application/json")
    began = time.perf_counter()
    status, body = await connection.ask(message)
    took_ms = 1000 * (time.perf_counter() - began)
    if status != 200:
        raise RuntimeError(f"{status}: {body[:300]!r}")
    return took_ms, orjson.loads(body)["cases"]


async def searched(url: str, token: str, count: int, seen: range, seed: int) -> tuple[list[float], list[float]]:
    """Times of searches by account, and by the indicator that many share: four officers at once."""
    alone: list[float] = []
    shared: list[float] = []

    async def officer(number: int) -> None:
        connection, rng = await Connection(url).open(), Random(seed * 10 + number)
        for n in range(count // 4):
            if n % 20 == 19:
                took_ms, found = await search(connection, token, "phone", SHARED)
                if not found:
                    raise RuntimeError("the shared phone leads to no page of cases")
                shared.append(took_ms)
            else:
                wanted = account(rng.choice(seen))
                took_ms, found = await search(connection, token, "account", wanted)
                if [case["primary_subject"]["value"] for case in found] != [wanted]:
                    raise RuntimeError(f"the case of {wanted} was not found")
            alone.append(took_ms)

    await asyncio.gather(*(officer(number) for number in range(4)))
    return sorted(alone), shared


async def looked_up(redis: Any, count: int) -> list[float]:
    """The baseline: as many times of calls to Redis, one after the other, four callers at once. An answer is read as often as
    it takes to be about as long under way as a search: what is shorter than a slice of the scheduler is not delayed as it is."""
    times: list[float] = []

    async def caller() -> None:
        for _ in range(count // 4):
            began = time.perf_counter()
            for _ in range(CALLS):
                await redis.get("bare:answer")
            times.append(1000 * (time.perf_counter() - began))

    await asyncio.gather(*(caller() for _ in range(4)))
    return sorted(times)


async def main(asked: dict[str, Any]) -> dict[str, Any]:
    settings = Settings()
    seen = range(0, int(asked["count"] * 0.6), max(1, asked["count"] // 3000))
    began = time.monotonic()
    cost = await fill(settings, asked["count"], seen)
    told: dict[str, Any] = {"filled_s": time.monotonic() - began, "bytes": cost, "shared": asked["count"] // 100}
    told |= {"p50": [], "p99": [], "worst_shared": [], "bare p50": [], "bare p99": []}
    token = token_of(str(settings.home), settings.profile)("officer-bench")
    await searched(asked["url"], token, 100, seen, 99)  # warm
    redis = bare.open_redis()
    await redis.set("bare:answer", b"a" * ANSWER_BYTES)
    for number in range(asked["runs"]):
        times, shared = await searched(asked["url"], token, asked["searches"], seen, number)
        told["worst_shared"].append(max(shared))
        for prefix, measured in (("", times), ("bare ", await looked_up(redis, asked["searches"]))):
            told[f"{prefix}p50"].append(measured[len(measured) // 2])
            told[f"{prefix}p99"].append(measured[len(measured) * 99 // 100])
    await redis.aclose()
    return told


if __name__ == "__main__":
    answer(uvloop.run(main(request())))
