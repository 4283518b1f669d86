"""Each port twice: the hand-written fake and the real thing. One suite runs over both."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.adapters.idempotency import Idempotency
from gateway.adapters.kafka import RequestLog
from gateway.adapters.redis import Pipelining
from gateway.security.rate_limits import Rates, RedisRates
from tests.contract.gateway.folded import Folded, FoldedFake, FoldedRedis
from tests.unit.gateway.fakes import FakeLog, FakeRates, MemoryIdempotency

NOBODY = "redis://127.0.0.1:1/0"
"""Where no Redis listens."""
VIEWS = 7
"""A database of the views' own: their keys have one name in all tests."""


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.integration)])
def real(request: pytest.FixtureRequest) -> Any:
    """The backbone, or None for the fake. Not async: the launcher runs a loop of its own."""
    return request.getfixturevalue("backbone") if request.param == "real" else None


@asynccontextmanager
async def _pipelining(url: str) -> AsyncIterator[Pipelining]:
    redis = Redis.from_url(url, protocol=2)
    yield Pipelining(redis)
    await redis.aclose()


@pytest.fixture
async def memory(real: Any) -> AsyncIterator[Idempotency]:
    if real is None:
        yield MemoryIdempotency()
        return
    async with _pipelining(real.redis_url) as redis:
        yield Idempotency(redis, lock_ttl_s=5, receipt_ttl_s=60)


@pytest.fixture
async def log(real: Any) -> AsyncIterator[RequestLog]:
    if real is None:
        yield FakeLog()
        return
    log = RequestLog({"bootstrap_servers": real.kafka_bootstrap}, append_timeout_s=10)
    await log.open()
    yield log
    await log.close()


@pytest.fixture
async def memory_away(real: Any) -> AsyncIterator[Idempotency]:
    """A memory that does not answer."""
    if real is None:
        away = MemoryIdempotency()
        away.away = True
        yield away
        return
    async with _pipelining(NOBODY) as redis:
        yield Idempotency(redis, lock_ttl_s=5, receipt_ttl_s=60)


@pytest.fixture
async def rates(real: Any) -> AsyncIterator[Rates]:
    if real is None:
        yield FakeRates()
        return
    async with _pipelining(real.redis_url) as redis:
        yield RedisRates(redis)


@pytest.fixture
def pass_s(rates: Rates) -> Callable[[float], Awaitable[None]]:
    """Lets time go by: the fake's own, or ours."""

    async def passed(s: float) -> None:
        if isinstance(rates, FakeRates):
            rates.pass_s(s)
        else:
            await asyncio.sleep(s)

    return passed


@pytest.fixture
async def rates_away(real: Any) -> AsyncIterator[Rates]:
    """Limits that do not answer."""
    if real is None:
        away = FakeRates()
        away.away = True
        yield away
        return
    async with _pipelining(NOBODY) as redis:
        yield RedisRates(redis)


@pytest.fixture
async def folded(real: Any) -> AsyncIterator[Folded]:
    """Views with nothing in them, and what folds facts into them."""
    if real is None:
        yield FoldedFake()
        return
    async with FoldedRedis.at(f"{real.redis_url.rpartition('/')[0]}/{VIEWS}") as made:
        yield made
