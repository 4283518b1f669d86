"""The gateway over a real Kafka and Redis, as the launcher starts it but in this process; and a broker that goes away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal as signals
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.tokens import ensure_keys, mint
from gateway.app import create_app
from gateway.settings import GatewaySettings
from schemas.codec import decode
from schemas.common import from_ms
from schemas.security import Keyring, PlaceCipher
from schemas.topics import SUBMITTED
from tests.unit.gateway.fakes import lines, ndjson, signal

pytestmark = pytest.mark.integration


@contextlib.asynccontextmanager
async def gateway(backbone, home: Path, **changes) -> AsyncIterator[httpx.AsyncClient]:
    ensure_keys(home / "it")
    settings = GatewaySettings(
        home=home, profile="it", kafka_bootstrap=backbone.kafka_bootstrap, redis_url=backbone.redis_url, **changes
    )
    app = create_app(settings)
    headers = {"authorization": "Bearer " + mint("bank-001", home=home, profile="it")}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway", headers=headers, timeout=60) as client,
    ):
        yield client


async def record_at(backbone, home: Path, receipt: str) -> object:
    place = PlaceCipher(Keyring.load(home / "it" / "keys.json")).open(receipt)
    consumer = AIOKafkaConsumer(bootstrap_servers=backbone.kafka_bootstrap)
    await consumer.start()
    try:
        at = TopicPartition(place.topic, place.partition)
        consumer.assign([at])
        consumer.seek(at, place.offset)
        return await consumer.getone(at)
    finally:
        await consumer.stop()


async def test_the_receipt_is_the_place_and_time_of_the_record_in_the_log(backbone, tmp_path: Path):
    async with gateway(backbone, tmp_path) as client:
        assert (await client.get("/readyz")).json()["checks"]["kafka"] == "ok"
        reference = secrets.token_hex(8)
        body = (await client.post("/v1/signals", json=signal(reference))).json()
        record = await record_at(backbone, tmp_path, body["receipt"])
        assert decode(SUBMITTED, record.value).id == body["signal_id"]  # type: ignore[attr-defined]
        told = from_ms(record.timestamp).isoformat(timespec="milliseconds")  # type: ignore[attr-defined]
        assert told.replace("+00:00", "Z") == body["accepted_at"]
        again = await client.post("/v1/signals", json=signal(reference))
        assert again.json() == body and again.headers["idempotency-replayed"] == "true"


async def test_a_batch_has_places_in_the_log_and_its_repeat_the_same_ones(backbone, tmp_path: Path):
    run = secrets.token_hex(8)
    body = ndjson(*(signal(f"{run}-{n}", narrative=str(n)) for n in range(1200)), b"bad", signal(f"{run}-0", narrative="0"))
    headers = {"content-type": "application/x-ndjson"}
    async with gateway(backbone, tmp_path) as client:
        first = lines(await client.post("/v1/signals/batch", content=body, headers=headers))
        again = lines(await client.post("/v1/signals/batch", content=body, headers=headers))
        assert [one["status"] for one in first] == [202] * 1200 + [422, 202]
        assert [one.get("receipt") for one in first] == [one.get("receipt") for one in again]
        assert len({one["receipt"] for one in first if "receipt" in one}) == 1200


async def test_of_twenty_at_once_one_is_in_the_log(backbone, tmp_path: Path):
    async with gateway(backbone, tmp_path) as client:
        reference = secrets.token_hex(8)
        answers = await asyncio.gather(*(client.post("/v1/signals", json=signal(reference)) for _ in range(20)))
        accepted = [answer for answer in answers if answer.status_code == 202]
        assert {answer.status_code for answer in answers} <= {202, 409}
        assert len({answer.json()["receipt"] for answer in accepted}) == 1
        assert sum("idempotency-replayed" not in answer.headers for answer in accepted) == 1


async def test_a_gateway_without_redis_answers_503_and_never_500(backbone, tmp_path: Path):
    class Elsewhere:
        kafka_bootstrap, redis_url = backbone.kafka_bootstrap, "redis://127.0.0.1:1/0"

    async with gateway(Elsewhere, tmp_path) as client:
        answer = await client.post("/v1/signals", json=signal())
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:liandong:problem:state-unavailable")
        assert (await client.get("/v1/signals/sig-1")).status_code == 503
        assert (await client.get("/readyz")).status_code == 503


async def test_a_gateway_without_a_broker_starts_and_answers_503(backbone, tmp_path: Path):
    class Elsewhere:
        kafka_bootstrap, redis_url = "127.0.0.1:1", backbone.redis_url

    async with gateway(Elsewhere, tmp_path) as client:
        answer = await client.post("/v1/signals", json=signal())
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:liandong:problem:log-unavailable")


async def test_a_broker_that_stops_answering_gives_503_and_when_it_is_back_the_retry_is_accepted(backbone, tmp_path: Path):
    """SIGSTOP: the worst kind of away, connections stay open. The retry is free at once and keeps its identity."""
    pid = backbone.stack.pid("kafka")
    reference = secrets.token_hex(8)
    async with gateway(backbone, tmp_path, append_timeout_s=1.5) as client:
        assert (await client.post("/v1/signals", json=signal("warm" + reference))).status_code == 202
        os.kill(pid, signals.SIGSTOP)
        try:
            stalled = await client.post("/v1/signals", json=signal(reference))
            at_once = await client.post("/v1/signals", json=signal(reference))
        finally:
            os.kill(pid, signals.SIGCONT)
        assert (stalled.status_code, at_once.status_code) == (503, 503)
        assert "retry-after" in stalled.headers
        until = time.monotonic() + 30
        answer = at_once
        while answer.status_code == 503 and time.monotonic() < until:
            await asyncio.sleep(0.2)
            answer = await client.post("/v1/signals", json=signal(reference))
        assert answer.status_code == 202
        record = await record_at(backbone, tmp_path, answer.json()["receipt"])
        assert decode(SUBMITTED, record.value).data.signal_id == answer.json()["signal_id"]  # type: ignore[attr-defined]
