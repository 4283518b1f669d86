"""The real ports for the contract suites: topics of a test's own in Kafka, keys of its own in Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import UnknownTopicOrPartitionError

from schemas.topics import Topic


@asynccontextmanager
async def admin(bootstrap: str) -> AsyncIterator[Any]:
    client = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def create(bootstrap: str, topics: Iterable[Topic], copies: int = 1) -> None:
    async with admin(bootstrap) as client:
        wanted = [NewTopic(one.name, one.partitions, copies, topic_configs=one.config(copies)) for one in topics]
        answer = await client.create_topics(wanted)
        refused = [row for row in answer.topic_errors if row[1]]
        assert not refused, refused


async def delete(bootstrap: str, topics: Iterable[Topic]) -> None:
    async with admin(bootstrap) as client:
        with suppress(UnknownTopicOrPartitionError):
            await client.delete_topics([one.name for one in topics])
