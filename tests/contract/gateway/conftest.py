"""Each port twice: the hand-written fake and the real thing. One suite runs over both."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from gateway.idempotency import Idempotency, RedisIdempotency
from gateway.log import KafkaLog, Log
from gateway.pipelining import Pipelining
from tests.unit.gateway.fakes import FakeLog, MemoryIdempotency


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.integration)])
def real(request: pytest.FixtureRequest) -> Any:
    """The backbone, or None for the fake. Not async: the launcher runs a loop of its own."""
    return request.getfixturevalue("backbone") if request.param == "real" else None


@pytest.fixture
async def memory(real: Any) -> AsyncIterator[Idempotency]:
    if real is None:
        yield MemoryIdempotency()
        return
    redis = Redis.from_url(real.redis_url, protocol=2)
    yield RedisIdempotency(Pipelining(redis), lock_ttl_s=5, receipt_ttl_s=60)
    await redis.aclose()


@pytest.fixture
async def log(real: Any) -> AsyncIterator[Log]:
    if real is None:
        yield FakeLog()
        return
    log = KafkaLog({"bootstrap_servers": real.kafka_bootstrap}, append_timeout_s=10)
    await log.open()
    yield log
    await log.close()
