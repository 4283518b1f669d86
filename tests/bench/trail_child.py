"""One run of the trail bench: fills the views through the fold, then asks the gateway for trails while signals come in.

Invariant: every trail has all its hops and adds up to its loss, or the bench fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import orjson
import uvloop

from deploy.demo.generate import generate
from schemas.cases.case import Case, CaseStatus, JoinedSignal
from schemas.common import DAY_MS, instant_ms
from schemas.security import AesGcmSealer, Tokenizer
from schemas.signals.events import EventFact
from schemas.signals.subjects import Subject
from schemas.signals.submission import SignalKind
from stream_processors.domain.cases.counters import EMPTY
from stream_processors.domain.signals.routing import case_id
from stream_processors.folds.track import case_effect
from stream_processors.runtime.settings import Settings
from stream_processors.state.case_refs import member_of
from stream_processors.state.effects import Effect, link
from stream_processors.state.keys import PROJECT, ProjectKey
from stream_processors.state.store import RedisStore, connect
from tests.bench import bare
from tests.bench.harness import answer, request
from tests.bench.http_load import FRESH, Connection, singles, token_of
from tests.bench.search_child import QUEUE, STAMP, account, fold

HOPS, PIECES, LOSS = 4, 20, 5_000_000
CALLS = 50
"""To be about as long under way as a trail: what is shorter than a slice of the scheduler is not delayed as it is."""


class Town:
    """Chains: account 10 n is a victim's, the four behind it pass on nine tenths of what they get, in twenty pieces each."""

    def __init__(self, settings: Settings) -> None:
        keyring = settings.keyring()
        self.tokenizer, self.sealer = Tokenizer(keyring), AesGcmSealer(keyring)
        self.begin = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=3)

    def first(self, chain: int) -> str:
        """The case in which a chain begins."""
        return case_id(QUEUE, self.tokenizer.token("account", account(10 * chain + 1)))

    def effects(self, chain: int) -> Iterator[Effect]:
        until = instant_ms(self.begin) + 180 * DAY_MS
        minor = LOSS // PIECES
        for hop in range(HOPS):
            payer, payee = 10 * chain + hop, 10 * chain + hop + 1
            owner = max(payer, 10 * chain + 1)  # the victim's payment lies in the first mule's case
            signals = tuple(self._signal(payer, payee, hop, n, minor) for n in range(PIECES))
            case = self._case(f"{owner}" if hop else f"{owner}-in", owner, signals, opens=hop == 0)
            yield case_effect(case)
            for number in (payer, payee):
                token = self.tokenizer.token("account", account(number))
                yield link(ProjectKey.CASE_INDEX.key(token), member_of(case.case_id, QUEUE), until)
            minor = minor * 9 // 10

    def _case(self, name: str, owner: int, signals: tuple[JoinedSignal, ...], *, opens: bool) -> Case:
        token = self.tokenizer.token("account", account(owner))
        now = datetime.now(UTC)
        primary = next(one for one in signals[0].subjects if one.token == token)
        return Case.trusted(
            case_id=case_id(QUEUE, token if opens else f"{name}-out"), queue=QUEUE, revision=1, status=CaseStatus.OPEN,
            opened_at=now, changed_at=now, primary_subject=primary, primary_signal_id=signals[0].signal_id, score=60,
            severity="high", kinds=(SignalKind.TELECOM_FRAUD,), institutions=("bank-001",), signal_count=len(signals),
            amount_minor={"CNY": LOSS}, signals=signals, tally=EMPTY,
        )  # fmt: skip

    def _signal(self, payer: int, payee: int, hop: int, n: int, minor: int) -> JoinedSignal:
        name, at = f"sig-{payer}-{n}", self.begin + timedelta(minutes=30 * hop, seconds=30 * n)
        role = "suspect" if hop else "victim"
        ends = (self._subject(name, payee, "suspect", "payee"), self._subject(name, payer, role, "payer"))
        event = EventFact.trusted(
            type="transfer", at=at, amount_minor=minor, currency="CNY", payer=ends[1].token, payee=ends[0].token
        )
        return JoinedSignal.trusted(
            signal_id=name, institution=f"bank-{hop:03d}", kind=SignalKind.TELECOM_FRAUD, occurred_at=at, accepted_at=at,
            region="630202", amount_minor=minor, currency="CNY", score=60, severity="high", reasons=(), subjects=ends,
            narrative_sealed=self.sealer.seal("客户来电称被骗", f"{name}/narrative"), event=event,
        )  # fmt: skip

    def _subject(self, name: str, number: int, role: Any, part: Any) -> Subject:
        token = self.tokenizer.token("account", account(number))
        return Subject(
            kind="account", role=role, event_role=part, token=token, sealed=self.sealer.seal(account(number), f"{name}/{token}")
        )


Times = tuple[list[float], list[float]]
"""Of trails, and of the baseline; sorted, in milliseconds."""


async def asked_for(url: str, token: str, town: Town, chains: int, count: int, seed: int) -> Times:
    """Times of trails of chains at random: two officers, each asking twenty times a second at most. After each trail the
    baseline: calls to Redis, one after the other, each for as many bytes as a hop of the answer has."""
    times: list[float] = []
    bare_times: list[float] = []
    redis = bare.open_redis()

    async def officer(number: int) -> None:
        connection, rng = await Connection(url).open(), Random(seed * 10 + number)
        for _ in range(count // 2):
            began = time.perf_counter()
            path = f"/v1/cases/{town.first(rng.randrange(chains))}/money-trail"
            head = f"GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n"
            status, body = await connection.ask(head.encode())
            took = time.perf_counter() - began
            told = orjson.loads(body)
            if status != 200 or len(told["hops"]) != HOPS * PIECES or told["partial"]:
                raise RuntimeError(f"{status}: {body[:300]!r}")
            if sum(one["remaining_minor"] for one in told["accounts"]) != LOSS:
                raise RuntimeError("the trail does not add up to its loss")
            times.append(1000 * took)
            await redis.set("bare:hop", body[: len(body) // HOPS])
            began = time.perf_counter()
            for _ in range(CALLS):
                await redis.get("bare:hop")
            bare_times.append(1000 * (time.perf_counter() - began))
            await asyncio.sleep(max(0.0, 0.05 - took))

    await asyncio.gather(*(officer(number) for number in range(2)))
    await redis.aclose()
    return sorted(times), sorted(bare_times)


async def signals(url: str, messages: list[bytes], rate: int) -> tuple[int, float]:
    """Posts them at the rate until it is cancelled; how many were accepted, and in how many seconds."""
    waiting, accepted, began = iter(messages), 0, time.perf_counter()

    async def sender(number: int) -> None:
        nonlocal accepted
        connection = await Connection(url).open()
        for n in range(len(messages)):
            await asyncio.sleep(max(0.0, began + (n * 8 + number) / rate - time.perf_counter()))
            message = next(waiting, None)
            if message is None:
                return
            status, body = await connection.ask(message)
            if status != 202:
                raise RuntimeError(f"{status}: {body[:300]!r}")
            accepted += 1

    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*(sender(number) for number in range(8)))
    return accepted, time.perf_counter() - began


async def main(asked: dict[str, Any]) -> dict[str, Any]:
    settings = Settings()
    town, redis = Town(settings), connect(settings.redis_url)
    store = RedisStore(redis, PROJECT)
    await store.open()
    await store.set_stamp(STAMP)
    await fold(store, (effect for chain in range(asked["chains"]) for effect in town.effects(chain)))
    await redis.aclose()
    token = token_of(str(settings.home), settings.profile)
    told: dict[str, Any] = {"hops": HOPS, "p50": [], "p99": [], "bare p50": [], "bare p99": [], "accepted": []}
    await asked_for(asked["url"], token("officer-bench"), town, asked["chains"], 20, 99)  # warm
    for number in range(asked["runs"]):
        planned = generate(asked["rate"] * 120, seed=number, run=f"trail{number}-{time.time_ns()}", mix=FRESH)
        load = asyncio.create_task(signals(asked["url"], singles(list(planned), token), asked["rate"]))
        both = await asked_for(asked["url"], token("officer-bench"), town, asked["chains"], asked["asked"], number)
        load.cancel()
        accepted, seconds = await load
        for prefix, times in zip(("", "bare "), both, strict=True):
            told[f"{prefix}p50"].append(times[len(times) // 2])
            told[f"{prefix}p99"].append(times[len(times) * 99 // 100])
        told["accepted"].append(accepted / seconds)
    return told


if __name__ == "__main__":
    answer(uvloop.run(main(request())))
