"""Webhooks over the whole system: real processes, a real receiver over HTTP, SIGKILL at every crash point, Redis emptied."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis

from connectors.client import verify_webhook
from deploy.local.stack import Stack
from deploy.local.tokens import mint
from schemas.topics import NOTIFICATIONS
from stream_processors.runtime.crash_points import POINTS
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.settings import Settings
from tests.support.deliveries import notice
from tests.support.hooks import hook_id, notice_record

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="function")]
WAIT_S = 60
ONLY = {"assess": 0, "track": 0, "timekeeper": 0, "deliver": 0, "oversee": 0, "project": 1, "webhook": 2}
CRASHES = [name for name in POINTS if name.startswith(("webhook.", "calls."))]
_numbers = itertools.count(1)


class Receiver:
    """An institution's server: `got[path]` is what was verified and taken, `says[path]` the status it answers."""

    def __init__(self) -> None:
        self.got: dict[str, list[tuple[str, float]]] = defaultdict(list)
        self.says: dict[str, int] = {}
        self.secrets: dict[str, str] = {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = receiver.says.get(self.path, 200)
                if status == 200:
                    told = verify_webhook(receiver.secrets[self.path], dict(self.headers.items()), body)
                    receiver.got[self.path].append((told.id, time.time()))
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def firsts(self, path: str) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self.got[path]))

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Stack]:
    home: Path = tmp_path_factory.mktemp("webhooks")
    allowed = home / "webhooks.yaml"
    allowed.write_text(
        f"calls: {{plain_http: true, literals: true, allowed: [127.0.0.0/8], ports: [443, {receiver.port}, 9]}}\n"
        "retries: {first_s: 0.5, longest_s: 5}\nlimits: {connect_s: 2, total_s: 3}\n"
    )
    env = {"LIANDONG_WEBHOOKS_FILE": str(allowed)}
    with Stack("webhooks", home=home, env=env, workers=ONLY, backoff_max_s=0.5, kafka_heap_mb=256) as found:
        yield found


class Party:
    """A bank: registers endpoints at the gateway; notices for it are appended as `deliver` does."""

    def __init__(self, stack: Stack, receiver: Receiver, log: KafkaLog) -> None:
        self.stack, self.receiver, self.log = stack, receiver, log
        self.name = f"bank-{next(_numbers):03d}"
        token = mint(self.name, home=Path(stack.places.home), profile=stack.profile)
        self.http = httpx.Client(base_url=stack.gateway_url, headers={"authorization": f"Bearer {token}"}, timeout=WAIT_S)
        self.path = f"/{self.name}"

    def register(self, url: str | None = None) -> dict[str, Any]:
        where = url or f"http://127.0.0.1:{self.receiver.port}{self.path}"
        ends = time.monotonic() + WAIT_S
        while (answer := self.http.post("/v1/webhooks", json={"url": where, "kinds": ["feedback"]})).status_code == 503:
            assert time.monotonic() < ends, answer.text  # the views are being made, or late
            time.sleep(0.2)
        if answer.status_code == 409:  # the answer before was lost, the endpoint is there
            answer = self.http.post(f"/v1/webhooks/{answer.json()['endpoint_id']}/rotate", json={"immediately": True})
        assert answer.status_code in (200, 201), answer.text
        told: dict[str, Any] = answer.json()
        self.receiver.secrets[self.path] = told["secret"]
        return told

    async def issue(self, count: int) -> list[str]:
        found = [notice(next(_numbers), self.name, at=datetime.now(UTC)) for _ in range(count)]
        await self.log.append_keyed(NOTIFICATIONS, [notice_record(one, next(_numbers)) for one in found])
        return [hook_id(one) for one in found]

    async def took(self, wanted: list[str], within_s: float = WAIT_S) -> None:
        ends = time.monotonic() + within_s
        while not set(wanted) <= set(self.receiver.firsts(self.path)):
            missing = len(set(wanted) - set(self.receiver.firsts(self.path)))
            assert time.monotonic() < ends, f"{missing} of {len(wanted)} never came"
            await asyncio.sleep(0.05)


@pytest.fixture
async def log(stack: Stack) -> AsyncIterator[KafkaLog]:
    found = KafkaLog(Settings(kafka_bootstrap=stack.kafka_bootstrap), "webhooks-test")
    await found.open()
    yield found
    await found.close()


@pytest.fixture
def bank(stack: Stack, receiver: Receiver, log: KafkaLog) -> Iterator[Party]:
    found = Party(stack, receiver, log)
    yield found
    found.http.close()


async def test_a_notice_is_posted_signed_and_its_inbox_shows_the_proof(bank: Party) -> None:
    told = bank.register()
    wanted = await bank.issue(20)
    await bank.took(wanted)
    assert bank.receiver.firsts(bank.path) == wanted
    ends = time.monotonic() + WAIT_S
    while True:
        items = bank.http.get("/v1/inbox").json()["items"]
        if len(items) == 20 and all(one["delivery"]["state"] == "received" for one in items):
            break
        assert time.monotonic() < ends, items[-1:]
        await asyncio.sleep(0.1)
    assert {one["delivery"]["received"]["channel"] for one in items} == {"webhook"}
    assert bank.http.get(f"/v1/webhooks/{told['endpoint_id']}/parked").json()["parked"] == []


async def test_an_address_inside_is_refused_although_loopback_is_allowed_here(bank: Party) -> None:
    for url, slug in (
        ("http://169.254.169.254/latest/meta-data", "invalid-endpoint"),
        ("http://10.0.0.1/", "invalid-endpoint"),
        ("http://127.0.0.1:22/", "invalid-endpoint"),
        ("https://there-is-no-such-name.bank.example/", "endpoint-refused"),
    ):
        answer = bank.http.post("/v1/webhooks", json={"url": url, "kinds": ["feedback"]})
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (422, slug), answer.text


async def test_a_dead_endpoint_delays_nobody_and_gets_all_when_it_is_back(
    stack: Stack, receiver: Receiver, log: KafkaLog, bank: Party
) -> None:
    dead = Party(stack, receiver, log)
    dead.register("http://127.0.0.1:9/")
    slow = Party(stack, receiver, log)
    slow.register()
    receiver.says[slow.path] = 503
    bank.register()
    await dead.issue(500)
    late = await slow.issue(50)
    began = time.monotonic()
    wanted = await bank.issue(50)
    await bank.took(wanted)
    print(f"50 notices beside 500 of a dead endpoint: {time.monotonic() - began:.2f} s")
    assert bank.receiver.firsts(bank.path) == wanted
    receiver.says[slow.path] = 200
    await slow.took(late)
    assert receiver.firsts(slow.path) == late
    dead.http.close()
    slow.http.close()


async def test_what_was_parked_is_shown_and_sent_once_more(bank: Party) -> None:
    told = bank.register()
    bank.receiver.says[bank.path] = 403
    wanted = await bank.issue(3)
    where, ends = f"/v1/webhooks/{told['endpoint_id']}", time.monotonic() + WAIT_S
    while len(found := bank.http.get(f"{where}/parked").json()["parked"]) < 3:
        assert time.monotonic() < ends
        await asyncio.sleep(0.1)
    assert {one["reason"] for one in found} == {"the endpoint refused the message (403)"}
    bank.receiver.says[bank.path] = 200
    assert len(bank.http.post(f"{where}/redeliver").json()["redelivered"]) == 3
    await bank.took(wanted)
    assert bank.receiver.firsts(bank.path) == wanted
    while bank.http.get(f"{where}/parked").json()["parked"]:
        assert time.monotonic() < ends
        await asyncio.sleep(0.1)


@pytest.mark.parametrize("name", CRASHES)
async def test_a_kill_at_a_crash_point_loses_no_notice_and_keeps_the_order(
    stack: Stack, bank: Party, tmp_path: Path, name: str
) -> None:
    bank.register()
    before = await bank.issue(5)
    await bank.took(before)
    latch = tmp_path / "hit"
    for worker in ("webhook-0", "webhook-1"):
        stack.stop_one(worker, grace_s=0)
    wanted = await bank.issue(10)
    stack.start_one("webhook-0", env={"LIANDONG_CRASH": f"{name}@{1 if name == 'webhook.found' else 2}@{latch}"}, wait=False)
    ends = time.monotonic() + WAIT_S
    while not latch.exists():
        assert time.monotonic() < ends, f"{name} was not hit"
        wanted += await bank.issue(1)
        await asyncio.sleep(0.3)
    stack.start_one("webhook-1", wait=False)
    wanted += await bank.issue(5)
    await bank.took(wanted)
    assert bank.receiver.firsts(bank.path) == before + wanted
    again = len(bank.receiver.got[bank.path]) - len(before + wanted)
    print(f"{name}: {again} of {len(wanted)} came twice")


async def test_an_emptied_redis_loses_no_notice_and_sends_none_that_was_received_again(stack: Stack, bank: Party) -> None:
    bank.register()
    before = await bank.issue(20)
    await bank.took(before)
    await asyncio.sleep(1)  # their marks are in the log
    with Redis.from_url(stack.redis_url) as client:
        client.flushall()
    wanted = await bank.issue(20)
    await bank.took(wanted)
    assert [name for name, _ in bank.receiver.got[bank.path]][:20] == before
    assert bank.receiver.firsts(bank.path) == before + wanted
    assert sum(name in before for name, _ in bank.receiver.got[bank.path]) == 20
