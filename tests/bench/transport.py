"""transport: records/s through a Faust agent that does nothing, our poll transport against stock Faust.

Both read the same topic of one size of records, each in a fresh process, in turns.
"""

from __future__ import annotations

import asyncio
import os
from statistics import median
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from schemas.topics import PARTITIONS
from tests.bench.figures import AtLeast, Figure, Row
from tests.bench.harness import Setting, child

RECORD_BYTES = 380  # as large as a record of the peers bench
OURS, STOCK = 800_000, 40_000


def run(setting: Setting) -> list[Row]:
    """The stock one reads a part of the topic only: it needs 25 times as long for each record."""
    ours, stock = setting.size(OURS, 4000), setting.size(STOCK, 800)
    rates: dict[str, list[float]] = {"poll": [], "stock": []}
    with setting.stack("transport", services=("kafka",)) as stack:
        asyncio.run(fill(stack.kafka_bootstrap, "transport", ours))
        for number in range(setting.runs):
            for mode, count in (("poll", ours), ("stock", stock)):
                rates[mode].append(rate(stack.kafka_bootstrap, mode, count, number))
                setting.said(f"transport: {mode} run {number + 1}: {rates[mode][-1]:,.0f} records/s")
    pairs = [mine / theirs for mine, theirs in zip(rates["poll"], rates["stock"], strict=True)]
    against = {"stock faust-streaming 0.15.3 as it comes, async for": median(rates["stock"])}
    return [
        Figure("transport", "poll transport over stock Faust", "x", pairs, AtLeast(25)),
        Figure("transport", "records through an agent", "records/s", rates["poll"], against=against),
    ]


def rate(bootstrap: str, mode: str, count: int, number: int) -> float:
    asked: dict[str, Any] = {"mode": mode, "count": count, "bootstrap": bootstrap, "group": f"bench-{mode}-{number}"}
    told = child("tests.bench.transport_child", asked, timeout_s=300)
    return float(told["records"] / told["seconds"])


async def fill(bootstrap: str, topic: str, count: int) -> None:
    """`count` records of random bytes (nothing to compress), evenly over the partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, PARTITIONS, 1, topic_configs={"message.timestamp.type": "LogAppendTime"})])
    await admin.close()
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, max_batch_size=1 << 19)
    await producer.start()
    try:
        value, sent = os.urandom(RECORD_BYTES), []
        for partition in range(PARTITIONS):
            batch, left = producer.create_batch(), count // PARTITIONS
            while left:
                if batch.append(key=None, value=value, timestamp=None) is None:
                    sent.append(await producer.send_batch(batch, topic, partition=partition))
                    batch = producer.create_batch()
                    continue
                left -= 1
            sent.append(await producer.send_batch(batch, topic, partition=partition))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
