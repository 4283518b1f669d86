"""Identifies the log: cluster id, topic ids and partition counts, from the broker.

aiokafka speaks Metadata up to version 5, which has no topic ids; version 12 (Kafka 2.8 and newer) is described here. Invariant: a
topic that was deleted and created again has another identity, although its name is the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any
from uuid import UUID

from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from schemas.topics import Topic


class WrongLog(RuntimeError):
    """A topic is missing, or its number of partitions differs from the topic table."""


class _Uuid:
    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: BytesIO) -> bytes:
        return data.read(16)

    @classmethod
    def repr(cls, value: bytes) -> str:
        return str(UUID(bytes=value))


_text = CompactString("utf-8")


class MetadataResponseV12(Response):
    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(("node_id", Int32), ("host", _text), ("port", Int32), ("rack", _text), ("tags", TaggedFields))),
        ("cluster_id", _text),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _text),
                ("topic_id", _Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class MetadataRequestV12(RequestStruct):
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = MetadataResponseV12
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("name", _text), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class MetadataRequest(Request[MetadataRequestV12]):
    API_KEY = 3

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names

    def build(self, request_struct_class: type[MetadataRequestV12]) -> MetadataRequestV12:
        return request_struct_class([(bytes(16), name, {}) for name in self._names], False, False, {})


async def _read_metadata(client_options: dict[str, Any], topics: Sequence[Topic]) -> Any:
    client = AIOKafkaClient(**client_options)
    try:
        await client.bootstrap()
        return await client.send(client.get_random_node(), MetadataRequest([topic.name for topic in topics]))
    finally:
        await client.close()


async def count_elections(client_options: dict[str, Any], topics: Sequence[Topic]) -> int:
    """The number of leader elections of these topics' partitions. A broker that comes back is a new leader."""
    answer = await _read_metadata(client_options, topics)
    return sum(int(leader_epoch) for _, _, _, _, partitions, _, _ in answer.topics for _, _, _, leader_epoch, *_ in partitions)


async def describe(client_options: dict[str, Any], topics: Sequence[Topic]) -> str:
    """`cluster|topic=id:partitions|…`. WrongLog if a topic is missing or has another partition count."""
    answer = await _read_metadata(client_options, topics)
    described = {name: (code, topic_id, len(partitions)) for code, name, topic_id, _, partitions, _, _ in answer.topics}
    parts = [str(answer.cluster_id)]
    for topic in topics:
        code, topic_id, count = described.get(topic.name, (3, bytes(16), 0))
        if code:
            raise WrongLog(f"topic {topic.name} does not exist (Kafka error {code}): create the topics, or run `liandong up`")
        if count != topic.partitions:
            raise WrongLog(f"topic {topic.name} has {count} partitions, but the topic table requires {topic.partitions}")
        parts.append(f"{topic.name}={UUID(bytes=topic_id)}:{count}")
    return "|".join(parts)
