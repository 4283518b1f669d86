"""What was refused leaves nothing behind: no body of it waits for the collector."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from gateway.http.call import Call
from gateway.http.problems import Problem
from gateway.services import Services
from tests.unit.gateway.conftest import Client
from tests.unit.gateway.fakes import MemoryIdempotency, ndjson, signal

NDJSON = {"content-type": "application/x-ndjson"}


@pytest.fixture
def uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def _left() -> list[object]:
    return [one for one in gc.get_objects() if type(one) in (Problem, Call)]


async def test_a_batch_that_is_too_much(client: Client, services: Services, uncollected: None):
    services.lag.set(services.settings.lag_limit + 1)
    for _ in range(3):
        assert (await client().post("/v1/signals/batch", content=ndjson(signal("r-1")), headers=NDJSON)).status_code == 503
    assert _left() == []


async def test_a_signal_that_is_wrong(client: Client, uncollected: None):
    assert (await client().post("/v1/signals", json={"reference": "r-1"})).status_code == 422
    assert (await client(None).post("/v1/signals", json=signal())).status_code == 401
    assert _left() == []


async def test_wrong_lines_among_good_ones(client: Client, uncollected: None):
    for n in range(10):
        content = ndjson(signal(f"r-{n}-1"), {"reference": "r-2"}, signal(f"r-{n}-3"))
        answer = await client().post("/v1/signals/batch", content=content, headers=NDJSON)
    assert [line.split('"status":')[1][:3] for line in answer.text.splitlines()] == ["202", "422", "202"]
    assert _left() == []


async def test_a_redis_that_is_away(client: Client, memory: MemoryIdempotency, uncollected: None):
    memory.away = True
    answer = await client().post("/v1/signals/batch", content=ndjson(signal("r-1"), signal("r-2")), headers=NDJSON)
    assert "state-unavailable" in answer.text
    assert (await client().post("/v1/signals", json=signal())).status_code == 503
    assert _left() == []
