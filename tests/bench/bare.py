"""The parts of the baselines: what anybody would write with aiokafka and redis-py, without any of our rules.

Invariant: nothing here uses our stages, our log or our store, so that a change of ours changes no baseline.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from redis.asyncio import Redis

PARTITIONS, BUCKETS = 8, 16
"""As many as the pipeline has; a baseline of another shape would be another baseline."""
POLL_RECORDS = 2500
SCRIPT = "for i = 1, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end return #ARGV"
"""One call a bucket: each record leaves its key and its position."""


def bootstrap() -> str:
    return os.environ["KAFKA_BOOTSTRAP"]


async def make_topics(address: str, names: Iterable[str]) -> None:
    """Makes those that are missing, with the broker's time on each record."""
    admin = AIOKafkaAdminClient(bootstrap_servers=address)
    await admin.start()
    there = await admin.list_topics()
    config = {"message.timestamp.type": "LogAppendTime"}
    await admin.create_topics([NewTopic(name, PARTITIONS, 1, topic_configs=config) for name in names if name not in there])
    await admin.close()


async def open_producer() -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap(), acks="all", enable_idempotence=True, max_batch_size=900_000, max_request_size=8 << 20
    )
    await producer.start()
    return producer


async def open_consumer(topic: str, starts: Mapping[int, int] | None = None) -> AIOKafkaConsumer:
    """Reads all partitions from these offsets on; without them what comes from now on."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap(), enable_auto_commit=False, max_partition_fetch_bytes=4 << 20)
    await consumer.start()
    partitions = [TopicPartition(topic, p) for p in range(PARTITIONS)]
    consumer.assign(partitions)
    for tp in partitions:
        if starts is None:
            await consumer.seek_to_end(tp)
            await consumer.position(tp)
        else:
            consumer.seek(tp, starts[tp.partition])
    return consumer


async def append(producer: AIOKafkaProducer, topic: str, entries: Mapping[int, Sequence[tuple[bytes | None, bytes]]]) -> None:
    """Appends by partition, in batches; returns after the acknowledgement of all."""
    acks = []
    for partition, records in entries.items():
        batch = producer.create_batch()
        for key, value in records:
            if batch.append(key=key, value=value, timestamp=None) is None:
                acks.append(await producer.send_batch(batch, topic, partition=partition))
                batch = producer.create_batch()
                batch.append(key=key, value=value, timestamp=None)
        acks.append(await producer.send_batch(batch, topic, partition=partition))
    for ack in acks:
        await ack


def open_redis() -> Redis:
    return Redis.from_url(os.environ["REDIS_URL"], protocol=2)


async def note_records(redis: Redis, sha: str, name: str, records: Sequence[Any]) -> None:
    """One call of the script for each bucket that the records' keys fall into."""
    arguments: dict[int, list[Any]] = {}
    for record in records:
        arguments.setdefault(crc32(record.key) % BUCKETS, []).extend((record.key, record.offset))
    pipe = redis.pipeline(transaction=False)
    for bucket, own in arguments.items():
        pipe.evalsha(sha, 1, bucket_key(name, bucket), *own)
    await pipe.execute()


def bucket_key(name: str, bucket: int) -> str:
    return f"bare:{name}:{bucket}"


def key_of(name: str, record_key: bytes) -> str:
    """The hash that holds a record's key."""
    return bucket_key(name, crc32(record_key) % BUCKETS)
