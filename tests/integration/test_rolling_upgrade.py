"""A rolling upgrade with real processes: workers and a gateway of a newer version beside the present ones, on the same topics.

Every version reads what the other one writes; in the end the ledger of the sender, the views and the log agree as if nothing
had been upgraded.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from rich.console import Console

from connectors.client.backoff import Backoff
from connectors.gateway_client import HttpGateway
from deploy.local.stack import Stack
from deploy.local.tokens import mint
from deploy.verify.ledger import Ledger
from deploy.verify.run import settings_of
from deploy.verify.wait_idle import wait_quiet
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, DEADLETTER, SUBMITTED, Topic
from stream_processors.state.store import connect
from stream_processors.views.api import Views
from tests.oracle.verify import verify
from tests.support.newer import MEMBER, newer

pytestmark = pytest.mark.integration
PROFILE = "upgrade"
STAGES = ("assess", "track", "timekeeper", "deliver", "oversee", "project")
BANKS = ("bank-601", "bank-602", "bank-603")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def stack(home: Path) -> Iterator[Stack]:
    made = Stack(PROFILE, home=home, external=False, redis_fsync="no", backoff_max_s=0.5, kafka_heap_mb=256)
    made.up()
    try:
        yield made
    finally:
        made.down(wipe=True)


class Sender:
    """Three banks that report the same thirty accounts, every line in a ledger."""

    def __init__(self, stack: Stack, home: Path, ledger: Ledger) -> None:
        self.stack, self.home, self.ledger = stack, home, ledger
        self.sent: dict[str, list[dict[str, Any]]] = {bank: [] for bank in BANKS}

    def bodies(self, count: int) -> Iterator[tuple[str, dict[str, Any]]]:
        start = sum(map(len, self.sent.values()))
        for n in range(start, start + count):
            bank = BANKS[n % len(BANKS)]
            account = {"kind": "account", "value": f"62220210{n // 3 % 30:08d}"}
            yield (
                bank,
                {
                    "reference": f"roll-{n}",
                    "kind": "telecom_fraud",
                    "occurred_at": f"2026-11-2{n % 4}T10:{n % 60:02d}:00+08:00",
                    "region": "630202",
                    "amount": {"minor": 100_000 * (1 + n % 7), "currency": "CNY"},
                    "indicators": [account, {"kind": "phone", "value": f"138{n % 50:08d}"}],
                },
            )

    async def send(self, count: int, *, again: bool = False) -> int:
        """So many new ones, or all that were sent before; how many the gateway knew."""
        if not again:
            for bank, body in self.bodies(count):
                self.sent[bank].append(body)
        known = 0
        async with httpx.AsyncClient(base_url=self.stack.gateway_url, timeout=20) as client:
            for bank, bodies in self.sent.items():
                token = mint(bank, home=self.home, profile=PROFILE)
                patience = Backoff(0.05, 0.5)
                gateway = HttpGateway(client, lambda token=token: token, backoff=patience, journal=self.ledger.journal(bank))
                answers = await gateway.send(bodies if again else bodies[-count // len(BANKS) :])
                assert {one.status for one in answers} == {"accepted"}
                known += sum(one.replayed for one in answers)
        return known

    @property
    def count(self) -> int:
        return sum(map(len, self.sent.values()))


async def versions(stack: Stack, topic: Topic) -> tuple[int, int]:
    """Records of the present and of the newer version."""
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.kafka_bootstrap)
    await consumer.start()
    try:
        places = [TopicPartition(topic.name, partition) for partition in range(topic.partitions)]
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        await consumer.seek_to_beginning(*places)
        old = new = 0
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    is_new = MEMBER in orjson.loads(record.value)["data"]
                    old, new = old + (not is_new), new + is_new
        return old, new
    finally:
        await consumer.stop()


async def until_both_write(stack: Stack, sender: Sender, topics: tuple[Topic, ...]) -> None:
    """Sends on until each topic has records of both versions: then old and new have worked beside each other."""
    deadline = time.monotonic() + 40
    while True:
        await sender.send(45)
        await wait_quiet(settings_of(stack), timeout_s=30)
        found = {topic.name: await versions(stack, topic) for topic in topics}
        if all(old and new for old, new in found.values()):
            return
        assert time.monotonic() < deadline, found


async def upgraded(stack: Stack, sender: Sender, tree: dict[str, str]) -> None:
    await sender.send(45)
    # A newer worker of each stage beside the present one.
    await asyncio.gather(*(asyncio.to_thread(stack.start_one, f"{stage}-1", env=tree) for stage in STAGES))
    await until_both_write(stack, sender, (ASSESSED, CASE_CHANGES))
    # The newer gateway while present workers still read what it writes, then the last of these.
    await asyncio.to_thread(stack.restart, "gateway", env=tree)
    await until_both_write(stack, sender, (SUBMITTED, CASE_COMMANDS))
    restarts = [asyncio.to_thread(stack.restart, f"{stage}-0", env=tree) for stage in STAGES]
    await asyncio.gather(sender.send(45), *restarts)
    known = await sender.send(0, again=True)
    assert known == sender.count, "the newer gateway knows every receipt of the present one"


async def counted(stack: Stack) -> dict[str, int]:
    redis = connect(settings_of(stack).redis_url)
    try:
        return await Views(redis).counters()
    finally:
        await redis.aclose()


def test_old_and_new_work_side_by_side_and_nothing_is_lost_or_doubled(stack: Stack, home: Path, tmp_path: Path) -> None:
    tree = newer(tmp_path / "newer")
    path, out = tmp_path / "ledger.ndjson", io.StringIO()
    with Ledger(path, sync=False) as ledger:
        sender = Sender(stack, home, ledger)
        asyncio.run(upgraded(stack, sender, tree))
    assert asyncio.run(verify(stack, [path], False, True, 60, Console(file=out, width=160))), out.getvalue()
    found = asyncio.run(counted(stack))
    assert {name: n for name, n in found.items() if name.partition(":")[2] in BANKS} == {
        f"assessed:{bank}": len(sent) for bank, sent in sender.sent.items()
    }, "each counted once, as a signal of its own"
    assert asyncio.run(versions(stack, DEADLETTER)) == (0, 0)
    assert [stack.process(f"{stage}-{n}")["restarts"] for stage in STAGES for n in (0, 1)] == [0] * 2 * len(STAGES), "nobody fell"
