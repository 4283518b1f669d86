"""Creates the topics of the table. An existing topic stays; a difference from the table is an error, and is never changed.

Invariant: no reader of a topic starts before all topics exist (an agent on a missing topic would never consume).
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deploy.local.errors import LauncherError

if TYPE_CHECKING:
    from schemas.topics import Topic

TOPIC_ALREADY_EXISTS = 36


def client_options() -> dict[str, Any]:
    """Returns aiokafka's options for a protected cluster, from the same variables that the workers read."""
    protocol = os.environ.get("LIANDONG_KAFKA_SECURITY_PROTOCOL", "PLAINTEXT")
    options: dict[str, Any] = {"security_protocol": protocol}
    if "SSL" in protocol:
        options["ssl_context"] = ssl.create_default_context(cafile=os.environ.get("LIANDONG_KAFKA_SSL_CAFILE"))
        if certfile := os.environ.get("LIANDONG_KAFKA_SSL_CERTFILE"):
            options["ssl_context"].load_cert_chain(certfile, os.environ.get("LIANDONG_KAFKA_SSL_KEYFILE"))
    if protocol.startswith("SASL"):
        options |= {
            "sasl_mechanism": os.environ.get("LIANDONG_KAFKA_SASL_MECHANISM", "PLAIN"),
            "sasl_plain_username": os.environ.get("LIANDONG_KAFKA_SASL_USERNAME"),
            "sasl_plain_password": os.environ.get("LIANDONG_KAFKA_SASL_PASSWORD"),
        }
    return options


def create_topics(bootstrap: str, raw_institutions: Sequence[str] = ()) -> list[str]:
    """Creates missing topics, one copy on each broker and three at most; returns their names.

    LauncherError if an institution's name is not valid, the broker refuses, or a topic differs from the table.
    """
    from pydantic import ValidationError

    from schemas.topics import all_topics
    from stream_processors.runtime.settings import Settings

    try:
        names = Settings(raw_institutions=tuple(raw_institutions)).raw_institutions
    except ValidationError as error:
        raise LauncherError(f"LIANDONG_RAW_INSTITUTIONS: {error.errors()[0]['msg']}", "like bank-001,telecom-001") from error
    return asyncio.run(_create_missing(bootstrap, all_topics(names)))


async def _create_missing(bootstrap: str, topics: list[Topic]) -> list[str]:
    from aiokafka.admin import AIOKafkaAdminClient, NewTopic
    from aiokafka.errors import KafkaError

    from schemas.topics import MOST_COPIES
    from stream_processors.runtime.cluster_view import check_topics
    from stream_processors.runtime.topic_check import WrongTopics

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=30_000, **client_options())
    try:
        await admin.start()
        there = await _read_partitions(admin)
        for topic in topics:
            if there.get(topic.name, topic.partitions) != topic.partitions:
                raise LauncherError(
                    f"topic {topic.name} has {there[topic.name]} partitions, but the topic table requires {topic.partitions}",
                    "keys would change their partitions; create a new cluster or profile, or revert the table",
                )
        copies = min(MOST_COPIES, len((await admin.describe_cluster())["brokers"]))
        missing = [topic for topic in topics if topic.name not in there]
        new_topics = [NewTopic(topic.name, topic.partitions, copies, topic_configs=topic.config(copies)) for topic in missing]
        if new_topics:
            _check_response(await admin.create_topics(new_topics))
        there_before = [topic for topic in topics if topic.name in there]
        await check_topics({"bootstrap_servers": bootstrap, **client_options()}, there_before)
        return [topic.name for topic in missing]
    except WrongTopics as error:
        raise LauncherError(str(error)) from error
    except (KafkaError, OSError) as error:
        raise LauncherError(f"Kafka at {bootstrap} refused the request: {type(error).__name__}: {error}") from error
    finally:
        await admin.close()


async def _read_partitions(admin: Any) -> dict[str, int]:
    names = await admin.list_topics()
    if not names:
        return {}
    return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(names)}


def _check_response(response: Any) -> None:
    for name, code, *message in response.topic_errors:
        if code not in (0, TOPIC_ALREADY_EXISTS):
            raise LauncherError(f"cannot create topic {name}: error {code} {' '.join(str(part) for part in message if part)}")


async def broker_is_ready(bootstrap: str) -> bool:
    """Whether a broker is registered and answers requests, not only whether something listens."""
    from aiokafka.client import AIOKafkaClient
    from aiokafka.errors import KafkaError

    client = AIOKafkaClient(bootstrap_servers=bootstrap, request_timeout_ms=2_000, **client_options())
    try:
        await client.bootstrap()
        return bool(client.cluster.brokers())
    except (KafkaError, OSError):
        return False
    finally:
        await client.close()
