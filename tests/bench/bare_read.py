"""The baseline of a rebuild: reads the same records of the log, as often, and does nothing with them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.bench import bare
from tests.bench.harness import answer, request


async def read_topic(consumer: AIOKafkaConsumer, partitions: Sequence[TopicPartition]) -> int:
    """All its records from the first to where it ends now; how many."""
    starts, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
    remaining = {tp for tp in partitions if starts[tp] < ends[tp]}
    for tp in partitions:
        consumer.seek(tp, starts[tp])
    count = 0
    while remaining:
        for tp, records in (await consumer.getmany(*remaining, timeout_ms=1000, max_records=2000)).items():
            count += len(records)
            if records[-1].offset + 1 >= ends[tp]:
                remaining.discard(tp)
    return count


async def main(asked: dict[str, Any]) -> dict[str, float]:
    """Assigned once: an aiokafka consumer on uvloop that is assigned the same partitions again gives nothing any more."""
    began, count = time.perf_counter(), 0
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bare.bootstrap(), enable_auto_commit=False, fetch_max_wait_ms=50, max_partition_fetch_bytes=4 << 20
    )
    await consumer.start()
    topics = [[TopicPartition(topic, p) for p in range(partitions)] for topic, partitions in asked["topics"]]
    consumer.assign({tp for partitions in topics for tp in partitions})
    for partitions in topics:
        count += await read_topic(consumer, partitions)
    await consumer.stop()
    return {"records": count, "seconds": time.perf_counter() - began}


if __name__ == "__main__":
    answer(uvloop.run(main(request())))
