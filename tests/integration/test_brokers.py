"""Three real brokers of which one dies, freezes, or two are gone: what a 202 means, who answers 503, who stays alive."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from gateway.adapters.kafka import WRITTEN, Position, RequestLog
from schemas.topics import SUBMITTED, TOPICS
from stream_processors.runtime.cluster_view import check_topics
from stream_processors.runtime.kafka import KafkaLog
from stream_processors.runtime.log import CannotLook, KeyedEntry, partition_of
from stream_processors.runtime.settings import Settings
from stream_processors.runtime.topic_check import WrongTopics
from tests.chaos.brokers import Cluster, leaders
from tests.support import real

pytestmark = pytest.mark.integration
SESSION_S = 4.0
"""After so long without a sign the cluster counts a broker as gone; until then its copies hold up every acknowledgement."""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    defaults = {"broker.session.timeout.ms": str(int(SESSION_S * 1000)), "min.insync.replicas": "1"}
    with Cluster(3, tmp_path_factory.mktemp("brokers"), defaults=defaults) as found:
        asyncio.run(real.create(found.bootstrap, TOPICS.values(), copies=3))
        yield found


@pytest.fixture
async def log(cluster: Cluster) -> AsyncIterator[RequestLog]:
    found = RequestLog({"bootstrap_servers": cluster.bootstrap.split(",")}, append_timeout_s=10)
    await found.open()
    await until(lambda: found.health.is_ready, 30, lambda: found.health)
    yield found
    await found.close()


async def until(holds: Callable[[], bool], timeout_s: float, describe: Callable[[], Any] = lambda: "") -> float:
    """Waits; how long it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < timeout_s, describe()
        await asyncio.sleep(0.1)
    return time.monotonic() - began


def key_of(partition: int) -> bytes:
    return next(key for n in range(10_000) if partition_of(key := b"%d" % n, SUBMITTED.partitions) == partition)


class Load:
    """Ten records a second to each partition, and what became of them."""

    def __init__(self, log: RequestLog) -> None:
        self.acknowledged: dict[bytes, Position] = {}
        self.refused: list[tuple[float, int]] = []
        self._log, self._over = log, asyncio.Event()
        self._keys = [key_of(p) for p in range(SUBMITTED.partitions)]

    async def _one(self, partition: int) -> None:
        value, began = secrets.token_hex(12).encode(), time.monotonic()
        (place,) = await self._log.append(SUBMITTED, [KeyedEntry(self._keys[partition], value)])
        if isinstance(place, Position):
            self.acknowledged[value] = place
        else:
            self.refused.append((began, partition))

    async def run(self) -> None:
        works = []
        while not self._over.is_set():
            works += [asyncio.create_task(self._one(p)) for p in range(SUBMITTED.partitions)]
            await asyncio.sleep(0.1)
        await asyncio.gather(*works)

    def end(self) -> None:
        self._over.set()


async def records_of(bootstrap: str) -> dict[tuple[int, int], bytes]:
    """Everything in the topic, by place."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        parts = [TopicPartition(SUBMITTED.name, p) for p in range(SUBMITTED.partitions)]
        consumer.assign(parts)
        ends = await consumer.end_offsets(parts)
        await consumer.seek_to_beginning(*parts)
        found: dict[tuple[int, int], bytes] = {}
        while len(found) < sum(ends.values()):
            for at, records in (await consumer.getmany(timeout_ms=1000)).items():
                found |= {(at.partition, record.offset): record.value or b"" for record in records}
        return found
    finally:
        await consumer.stop()


async def set_config(bootstrap: str, name: str, value: str) -> None:
    """As an operator might, by Kafka's own tools: the other settings of the table stay."""
    configs = SUBMITTED.config(3) | {name: value}
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        for answer in await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, SUBMITTED.name, configs)]):
            assert all(not code for code, *_ in answer.resources), answer
        await asyncio.sleep(1)
    finally:
        await admin.close()


async def test_a_topic_below_the_table_is_refused_at_a_start_with_the_command_that_mends_it(cluster: Cluster) -> None:
    options = {"bootstrap_servers": cluster.bootstrap}
    await check_topics(options, WRITTEN)
    await set_config(cluster.bootstrap, "min.insync.replicas", "1")
    try:
        refusal = await refused(options)
        assert "min.insync.replicas is 1, the topic table requires at least 2" in refusal
        assert refusal.endswith("--add-config min.insync.replicas=2")
        log = RequestLog({"bootstrap_servers": cluster.bootstrap.split(",")}, append_timeout_s=10)
        await log.open()
        try:
            await asyncio.sleep(2)
            assert not log.connected
            assert "min.insync.replicas is 1" in log.health.text
            await set_config(cluster.bootstrap, "min.insync.replicas", "2")
            await until(lambda: log.connected and log.health.is_ready, 10, lambda: log.health)
        finally:
            await log.close()
    finally:
        await set_config(cluster.bootstrap, "min.insync.replicas", "2")


async def refused(options: dict[str, Any]) -> str:
    """Why a start is refused. A changed setting reaches the brokers a moment later."""
    for _ in range(50):
        try:
            await check_topics(options, WRITTEN)
        except WrongTopics as error:
            return str(error)
        await asyncio.sleep(0.2)
    return "not refused"


@pytest.mark.parametrize("how", ["kill", "freeze"])
async def test_one_leader_that_goes_away_stops_its_own_partitions_only_and_every_202_stands_in_the_log(
    cluster: Cluster, log: RequestLog, how: str
) -> None:
    leading = await leaders(cluster.bootstrap, SUBMITTED.name)
    victim = leading[0]
    load = Load(log)
    work = asyncio.create_task(load.run())
    await asyncio.sleep(2)
    (cluster.freeze if how == "freeze" else cluster.kill)(victim)
    try:
        await asyncio.sleep(SESSION_S)
        recent: set[int] = set()
        deadline = time.monotonic() + 60  # a slow machine elects slowly
        while recent != set(leading) and time.monotonic() < deadline:
            again = len(load.acknowledged)
            await asyncio.sleep(2)
            recent = {place.partition for place in list(load.acknowledged.values())[again:]}
        assert recent == set(leading)  # all again, while the broker is still away
        await until(lambda: log.health.is_ready, 60, lambda: log.health)
    finally:
        if how == "freeze":
            cluster.thaw(victim)
        else:
            cluster.start_one(victim, wait=False)
            await asyncio.to_thread(cluster.wait_registered, victim)
    load.end()
    await work
    others = [partition for _, partition in load.refused if leading[partition] != victim]
    assert others == []
    places = await records_of(cluster.bootstrap)
    deadline = time.monotonic() + 30  # a broker that was just thawed still answers as the leader that it was
    while any((place.partition, place.offset) not in places for place in load.acknowledged.values()):
        assert time.monotonic() < deadline, "acknowledged, and not in the log"
        await asyncio.sleep(1)
        places = await records_of(cluster.bootstrap)
    for value, place in load.acknowledged.items():
        assert places[place.partition, place.offset] == value
    values = [value for value in places.values() if value in load.acknowledged]
    assert len(values) == len(set(values))  # none twice


async def test_an_idle_gateway_is_red_within_seconds_without_a_quorum_and_green_again_by_itself(
    cluster: Cluster, log: RequestLog
) -> None:
    leading = await leaders(cluster.bootstrap, SUBMITTED.name)
    for node in (1, 2):
        cluster.kill(node)
    try:
        took_s = await until(lambda: not log.health.is_ready, 20, lambda: log.health)
        assert took_s < 15
        assert "quorum" in log.health.text or "answered" in log.health.text
    finally:
        for node in (1, 2):
            cluster.start_one(node, wait=False)
    await asyncio.to_thread(cluster.wait_registered, 1, 2, 3)
    await until(lambda: log.health.is_ready, 30, lambda: log.health)
    assert leading


async def test_a_look_up_that_no_leader_answers_is_could_not_look_and_comes_back(cluster: Cluster) -> None:
    log = KafkaLog(Settings(kafka_bootstrap=cluster.bootstrap), "test")
    await log.open()
    log._reader._request_timeout_ms = 3000  # type: ignore[union-attr]  # the test has no 40 s
    try:
        before = await _patiently(lambda: log.ends(SUBMITTED))
        for node in cluster.nodes:
            cluster.freeze(node)
        try:
            with pytest.raises(CannotLook):
                await log.ends(SUBMITTED)
        finally:
            for node in cluster.nodes:
                cluster.thaw(node)
        assert await _patiently(lambda: log.ends(SUBMITTED)) == before
    finally:
        await log.close()


async def _patiently(look: Callable[[], Awaitable[dict[int, int]]]) -> dict[int, int]:
    for _ in range(20):
        try:
            return await look()
        except CannotLook:
            await asyncio.sleep(1)
    return await look()
