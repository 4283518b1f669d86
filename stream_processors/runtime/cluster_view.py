"""Reads Kafka's description of itself: living brokers, leaders and copies, effective settings, a quorum of controllers.

Invariant: it only reads. An answer is one broker's knowledge at that moment; without a quorum of controllers it may be long
outdated, so `has_quorum` is read beside it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import NoBrokersAvailable, for_code
from aiokafka.protocol.admin import DescribeConfigsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from schemas.topics import Topic
from stream_processors.runtime.cluster_identity import MetadataRequest
from stream_processors.runtime.topic_check import Partition, TopicState, find_faults, refuse

_TOPIC_RESOURCE = 2
_NOT_ALLOWED = frozenset({29, 31})
"""Kafka error codes: the user lacks the permission for a topic, for the cluster."""
_UNKNOWN_TOPIC = 3
_SPREAD_S = (0.2, 0.5, 1.0)
_text = CompactString("utf-8")
_replica = CompactArray(("replica_id", Int32), ("log_end_offset", Int64), ("tags", TaggedFields))


class DescribeQuorumResponseV0(Response):
    API_KEY = 55
    API_VERSION = 0
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            CompactArray(
                ("name", _text),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("high_watermark", Int64),
                        ("voters", _replica),
                        ("observers", _replica),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class DescribeQuorumRequestV0(RequestStruct):
    API_KEY = 55
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = DescribeQuorumResponseV0
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("name", _text),
                ("partitions", CompactArray(("partition", Int32), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeQuorumRequest(Request[DescribeQuorumRequestV0]):
    API_KEY = 55

    def build(self, request_struct_class: type[DescribeQuorumRequestV0]) -> DescribeQuorumRequestV0:
        return request_struct_class([("__cluster_metadata", [(0, {})], {})], {})


class View(NamedTuple):
    """The living brokers, and each existing topic, with its settings if they were requested."""

    brokers: tuple[int, ...]
    topics: dict[str, TopicState]


async def look(client: AIOKafkaClient, topics: Sequence[Topic], node: int | None = None, *, with_configs: bool = False) -> View:
    """Asks one broker, a random one by default. KafkaError if it does not answer."""
    at = client.get_random_node() if node is None else node
    answer = await client.send(at, MetadataRequest([topic.name for topic in topics]))
    partitions_by_topic = {name: partitions for code, name, _, _, partitions, _, _ in answer.topics if code != _UNKNOWN_TOPIC}
    configs = await _read_configs(client, at, list(partitions_by_topic)) if with_configs and partitions_by_topic else {}
    states = {
        name: TopicState(
            tuple(
                Partition(number, leader, tuple(replicas), tuple(in_sync))
                for _, number, leader, _, replicas, in_sync, *_ in sorted(partitions, key=lambda partition: partition[1])
            ),
            configs.get(name),
        )
        for name, partitions in partitions_by_topic.items()
    }
    return View(tuple(sorted(broker[0] for broker in answer.brokers)), states)


async def _read_configs(client: AIOKafkaClient, node: int, names: Sequence[str]) -> dict[str, dict[str, str] | None]:
    answer = await client.send(node, DescribeConfigsRequest([(_TOPIC_RESOURCE, name, None) for name in names]))
    configs: dict[str, dict[str, str] | None] = {}
    for code, _, _, name, entries in answer.resources:
        if code and code not in _NOT_ALLOWED:
            raise for_code(code)(f"the configuration of topic {name}")
        configs[name] = None if code else {entry[0]: entry[1] for entry in entries}
    return configs


async def has_quorum(client: AIOKafkaClient, node: int | None = None) -> bool | None:
    """Whether the controllers have a leader; None if this user may not ask or the cluster cannot tell. KafkaError if nobody
    answers in time, as in a cluster without a quorum."""
    try:
        answer = await client.send(client.get_random_node() if node is None else node, _DescribeQuorumRequest())
    except NotImplementedError:
        return None
    if answer.error_code:
        if answer.error_code in _NOT_ALLOWED:
            return None
        raise for_code(answer.error_code)("the quorum of controllers")
    return any(partition[2] >= 0 and not partition[1] for topic in answer.topics for partition in topic[1])


async def check_topics(client_options: dict[str, Any], topics: Sequence[Topic]) -> None:
    """WrongTopics if a topic differs from the table; KafkaError if Kafka does not answer. A new topic is not known to every
    broker at once."""
    client = AIOKafkaClient(**client_options)
    try:
        await client.bootstrap()
        for pause_s in (*_SPREAD_S, None):
            view = await look(client, topics, with_configs=True)
            if pause_s is None or len(view.topics) == len(topics):
                break
            await asyncio.sleep(pause_s)
    finally:
        await client.close()
    if not view.brokers:
        raise NoBrokersAvailable("no broker is registered")
    refuse(find_faults(topics, view.topics, view.brokers))
