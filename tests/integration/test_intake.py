"""A bank's own Kafka client against a real Kafka, Redis and workers: receipts, queues, poison, kills."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError
from redis.asyncio import Redis

from deploy.local.stack import Stack
from schemas.codec import decode
from schemas.security import AesGcmSealer, Keyring
from schemas.signals.receipts import RawOutcome, RawReceipt
from schemas.topics import DEADLETTER, raw, receipts
from stream_processors.recovery.rebuild import digest
from stream_processors.runtime.crash_points import POINTS
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.settings import Settings
from stream_processors.topology import all_stages
from stream_processors.views.api import Views
from tests.support.builders import account, body, phone
from tests.support.waiting import until

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="function")]
BANK, SHOP = "bank-001", "pay-002"
WAIT_S = 40
ENV = {"LIANDONG_SESSION_TIMEOUT_S": "6", "LIANDONG_HEARTBEAT_S": "0.5"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    services = ("kafka", "redis", "workers")
    home = tmp_path_factory.mktemp("intake")
    with Stack(
        "intake",
        home=home,
        services=services,
        backoff_max_s=0.5,
        kafka_heap_mb=256,
        raw_institutions=(BANK, SHOP),
        env=ENV,
    ) as found:
        yield found
        found.down(wipe=True)


class Bank:
    """An institution: a plain producer, and a reader of its receipts that drops echoes by their origin."""

    def __init__(self, stack: Stack, name: str = BANK) -> None:
        self.name, self.stack = name, stack
        self.producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap, acks="all", max_request_size=16 << 20)
        self.reader = AIOKafkaConsumer(
            receipts(name).name,
            bootstrap_servers=stack.kafka_bootstrap,
            group_id=None,
            auto_offset_reset="earliest",
        )
        self.told: dict[str, RawReceipt] = {}
        self.echoes = 0

    async def write(self, value: bytes | None, partition: int | None = None) -> str:
        sent = await self.producer.send_and_wait(raw(self.name).name, value, key=None if value else b"k", partition=partition)
        return f"{raw(self.name).name}/{sent.partition}/{sent.offset}/0"

    async def receipts_of(self, origins: Sequence[str]) -> list[RawReceipt]:
        deadline = time.monotonic() + WAIT_S
        while not set(origins) <= self.told.keys():
            left = set(origins) - self.told.keys()
            assert time.monotonic() < deadline, f"no receipt for {left}\n{self.stack.log('intake-0')[-2000:]}"
            for found in (await self.reader.getmany(timeout_ms=200)).values():
                for record in found:
                    envelope = decode(receipts(self.name), record.value)
                    self.echoes += envelope.origin in self.told
                    self.told.setdefault(str(envelope.origin), envelope.data)
        return [self.told[one] for one in origins]


@pytest.fixture
async def bank(stack: Stack) -> AsyncIterator[Bank]:
    made = Bank(stack)
    await made.producer.start()
    await made.reader.start()
    try:
        yield made
    finally:
        await made.producer.stop()
        await made.reader.stop()


@pytest.fixture
async def views(stack: Stack) -> AsyncIterator[Views]:
    redis = Redis.from_url(stack.redis_url, protocol=2)
    try:
        yield Views(redis)
    finally:
        await redis.aclose()


def value(reference: str, **over: Any) -> bytes:
    return json.dumps({**body(**over).model_dump(mode="json", exclude_none=True), "reference": reference}).encode()


async def _until(what: str, holds: Callable[[], Awaitable[Any]]) -> Any:
    return await until(what, holds, WAIT_S)


async def _seen(views: Views, signal_id: str | None) -> Any:
    assert signal_id
    return await _until(f"{signal_id} in the views", lambda: views.receipt(signal_id))


async def test_a_raw_signal_gets_a_receipt_and_reaches_its_queue(bank: Bank, stack: Stack, views: Views) -> None:
    await bank.receipts_of([await bank.write(value("way-1", indicators=[account(1), phone(1)]))])
    await bank.producer.send_and_wait(raw(SHOP).name, value("way-1", indicators=[account(1)]))
    await bank.write(value("way-2", indicators=[account(1), phone(2)]))
    (receipt,) = await bank.receipts_of([await bank.write(value("way-3", indicators=[account(1), phone(3)]))])
    assert (receipt.outcome, receipt.reference) == (RawOutcome.ACCEPTED, "way-3")
    seen = await _seen(views, receipt.signal_id)
    assert (seen.institution, seen.outcome) == (BANK, "assessed")
    assert seen.queues == ("public-security-630202",)
    await _until("the case", lambda: views.case(seen.cases[0]))
    assert seen.cases[0] in {case.case_id for case in (await views.page(seen.queues[0], limit=10)).cases}


async def test_poison_is_refused_with_its_reason_and_stops_nobody(bank: Bank, stack: Stack) -> None:
    poison = {
        None: "invalid-signal",
        b"": "invalid-signal",
        b"\xff\xfe\x00": "invalid-signal",
        b"[" * 60_000: "json-too-deep",
        b" " * 900_000: "body-too-large",
        value("x")[:-1] + b', "institution": "bank-002"}': "invalid-signal",
        value("x").replace(b'"reference": "x"', b'"stage": null'): "reference-missing",
    }
    origins = [await bank.write(one, partition=0) for one in poison]
    good = await bank.write(value("after-poison"), partition=0)
    *refused, accepted = await bank.receipts_of([*origins, good])
    assert [one.problem for one in refused] == list(poison.values())
    assert all(one.outcome is RawOutcome.REFUSED and one.detail and one.signal_id is None for one in refused)
    assert accepted.outcome is RawOutcome.ACCEPTED
    sealer = AesGcmSealer(Keyring.load(stack.places.keys))
    log = KafkaLog(Settings(kafka_bootstrap=stack.kafka_bootstrap), "test")
    await log.open()
    try:
        (end,) = (await log.ends(DEADLETTER)).values()
        letters = [decode(DEADLETTER, one.value) async for some in log.read(DEADLETTER, 0, 0, end) for one in some]
    finally:
        await log.close()
    mine = {one.origin: one.data for one in letters if one.origin in origins}
    assert mine.keys() == set(origins)
    assert sealer.unseal(mine[origins[3]].value_sealed, f"deadletter/{origins[3]}") == "[" * 60_000


async def test_a_batch_that_is_small_only_while_compressed_is_refused_by_the_broker(bank: Bank, stack: Stack) -> None:
    bomb = AIOKafkaProducer(
        bootstrap_servers=stack.kafka_bootstrap, acks="all", compression_type="gzip", max_request_size=64 << 20
    )
    await bomb.start()
    try:
        with pytest.raises(MessageSizeTooLargeError):
            await bomb.send_and_wait(raw(BANK).name, b"[" * (32 << 20), partition=1)
        sent = await bomb.send_and_wait(raw(BANK).name, value("compressed"), partition=1)
    finally:
        await bomb.stop()
    (receipt,) = await bank.receipts_of([f"{raw(BANK).name}/1/{sent.offset}/0"])
    assert receipt.outcome is RawOutcome.ACCEPTED


async def test_transactions_leave_gaps_and_what_was_aborted_is_no_signal(bank: Bank, stack: Stack) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack.kafka_bootstrap, transactional_id="bank-001.t")
    await producer.start()
    try:
        async with producer.transaction():
            first = await producer.send_and_wait(raw(BANK).name, value("tx-1"), partition=2)
        await producer.begin_transaction()
        aborted = await producer.send_and_wait(raw(BANK).name, value("tx-aborted"), partition=2)
        await producer.abort_transaction()
        async with producer.transaction():
            last = await producer.send_and_wait(raw(BANK).name, value("tx-2"), partition=2)
    finally:
        await producer.stop()
    place = f"{raw(BANK).name}/2"
    told = await bank.receipts_of([f"{place}/{first.offset}/0", f"{place}/{last.offset}/0"])
    assert [one.reference for one in told] == ["tx-1", "tx-2"]
    assert f"{place}/{aborted.offset}/0" not in bank.told
    (after,) = await bank.receipts_of([await bank.write(value("tx-3"), partition=2)])
    assert after.reference == "tx-3"


async def test_killed_between_its_appends_intake_tells_each_record_once_and_no_signal_counts_twice(
    bank: Bank, stack: Stack, views: Views, tmp_path: Path
) -> None:
    origins: list[str] = []
    await bank.receipts_of([await bank.write(value("before-the-kills", indicators=[account(999)]))])
    for earlier in bank.told.values():  # what earlier tests sent may still be on its way, and is not to be counted here
        if earlier.signal_id:
            await _seen(views, earlier.signal_id)
    before = await views.counters()
    for number, point in enumerate(name for name in POINTS if name.startswith("intake.")):
        latch = tmp_path / point
        await asyncio.to_thread(stack.stop_one, "intake-0", grace_s=0)
        stack.start_one("intake-0", env={"LIANDONG_CRASH": f"{point}@2@{latch}"}, wait=False)
        deadline = time.monotonic() + WAIT_S
        n = 0
        while not latch.exists():
            assert time.monotonic() < deadline, point
            origins.append(await bank.write(value(f"kill-{number}-{n}", indicators=[account(number * 1000 + n)])))
            n += 1
            await asyncio.sleep(0.02)
    told = await bank.receipts_of(origins)
    assert {one.outcome for one in told} == {RawOutcome.ACCEPTED}
    assert len({one.signal_id for one in told}) == len(origins)
    for one in told:
        await _seen(views, one.signal_id)
    after = await views.counters()
    grown = {name: n - before.get(name, 0) for name, n in after.items() if n != before.get(name, 0) and name.endswith(BANK)}
    assert grown[f"assessed:{BANK}"] == len(origins)
    assert grown.get(f"duplicate_reference:{BANK}", 0) >= 1, "the kill between signals and receipts appends signals again"
    assert set(grown) <= {f"assessed:{BANK}", f"duplicate_reference:{BANK}"}


async def test_an_emptied_redis_is_rebuilt_from_the_receipts(bank: Bank, stack: Stack) -> None:
    settings = Settings(kafka_bootstrap=stack.kafka_bootstrap, redis_url=stack.redis_url, raw_institutions=(BANK, SHOP))
    names = [name for name in all_stages(settings.raw_institutions) if name.startswith("intake")]
    await bank.receipts_of([await bank.write(value("before-flush"))])
    await asyncio.sleep(0.5)

    async def digests() -> list[str]:
        return [await digest(stack.redis_url, name, int(time.time() * 1000), settings.policy()) for name in names]

    before = await digests()
    assert len(set(before)) == 2
    redis = Redis.from_url(stack.redis_url, protocol=2)
    try:
        await redis.flushall()
        deadline = time.monotonic() + WAIT_S
        while await digests() != before:
            assert time.monotonic() < deadline, stack.log("intake-0")[-2000:]
            await asyncio.sleep(0.1)
    finally:
        await redis.aclose()
    known = set(bank.told)
    origin = await bank.write(value("after-flush"))
    (receipt,) = await bank.receipts_of([origin])
    assert receipt.outcome is RawOutcome.ACCEPTED
    assert set(bank.told) - known == {origin}
