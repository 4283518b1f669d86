"""`liandong topics`: prints the topic table, commands for Kafka's own tools that create topics and grant access, and the
differences of a cluster.

Invariant: an institution may write only its own raw topic and read only its own receipts. Every line follows from the table.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.topics import MOST_COPIES, OURS, Topic, all_topics, least_in_sync

if TYPE_CHECKING:
    from stream_processors.runtime.settings import Settings
    from stream_processors.runtime.topic_check import Fault

RAW_BYTES_PER_S = 1 << 20
"""Byte rate of an institution: about a thousand signals per second. A flood queues at its sender, not at the gateway."""


def register(app: typer.Typer) -> None:
    app.command("topics")(command)


def command(
    raw: Annotated[
        str | None, typer.Option(help="Institutions with raw topics: bank-001,pay-002. Default: LIANDONG_RAW_INSTITUTIONS.")
    ] = None,
    acls: Annotated[bool, typer.Option("--acls", help="Print the kafka-acls.sh and kafka-configs.sh commands.")] = False,
    create: Annotated[bool, typer.Option("--create", help="Print the kafka-topics.sh commands that create the topics.")] = False,
    copies: Annotated[int, typer.Option(help="Replicas of each partition, with --create.", min=1)] = MOST_COPIES,
    check: Annotated[bool, typer.Option("--check", help="Compare the topics at KAFKA_BOOTSTRAP with the topic table.")] = False,
) -> None:
    """Print the topics, the commands that create them or restrict access, or the differences of a cluster."""
    from pydantic import ValidationError

    from stream_processors.runtime.settings import Settings
    from stream_processors.runtime.topic_check import create_command

    try:
        settings = Settings() if raw is None else Settings(raw_institutions=raw)
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"]) from None
    topics = all_topics(settings.raw_institutions)
    if check:
        raise typer.Exit(tell_faults(settings, topics))
    lines = [create_command(topic, copies) for topic in topics] if create else access(topics) if acls else table(topics)
    for line in lines:
        typer.echo(line)


def tell_faults(settings: Settings, topics: list[Topic]) -> int:
    """Prints the differences from the table. Returns the exit code: 0 none, 1 some, 2 if Kafka does not respond."""
    from aiokafka.errors import KafkaError

    try:
        faults = asyncio.run(find_real_faults(settings, topics))
    except (KafkaError, OSError, TimeoutError) as error:
        typer.echo(f"cannot read the topics of Kafka at {settings.kafka_bootstrap}: {type(error).__name__}: {error}", err=True)
        return 2
    for fault in faults:
        typer.echo(fault.sentence())
    if not faults:
        typer.echo(f"{len(topics)} topics match the topic table")
    return 1 if faults else 0


async def find_real_faults(settings: Settings, topics: list[Topic]) -> list[Fault]:
    """Returns the differences of the configured cluster from the table. KafkaError if it does not respond."""
    from aiokafka.client import AIOKafkaClient

    from stream_processors.runtime.cluster_view import look
    from stream_processors.runtime.topic_check import find_faults

    client = AIOKafkaClient(bootstrap_servers=settings.kafka_bootstrap, request_timeout_ms=10_000, **settings.kafka_auth())
    try:
        await client.bootstrap()
        view = await look(client, topics, with_configs=True)
    finally:
        await client.close()
    return find_faults(topics, view.topics, view.brokers)


def table(topics: Iterable[Topic]) -> list[str]:
    """One topic a line: name, partitions, copies (of these in sync at an acknowledgement), days kept, writers, readers."""
    copies = f"{MOST_COPIES} ({least_in_sync(MOST_COPIES)})"
    rows = [
        (
            topic.name,
            str(topic.partitions),
            copies,
            str(topic.retention_days),
            ",".join(topic.producers),
            ",".join(topic.consumers),
        )
        for topic in topics
    ]
    heads = ("topic", "partitions", "copies", "days", "written by", "read by")
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (heads, *rows)]


def access(topics: list[Topic]) -> list[str]:
    """Commands for an authorizer that denies by default. `$KAFKA` is `--bootstrap-server host:port --command-config file`."""
    lines = []
    for topic in topics:
        for operation, parties in (("Write", topic.producers), ("Read", topic.consumers)):
            lines += [_allow_operation(user(topic, party), operation, f"--topic {topic.name}") for party in parties]
        if topic.party is None:
            lines.append(_allow_operation(f"{OURS}gateway", "Describe", f"--topic {topic.name}"))
        ours = dict.fromkeys(party for party in (*topic.producers, *topic.consumers) if party != topic.party)
        lines += [_allow_operation(user(topic, party), "DescribeConfigs", f"--topic {topic.name}") for party in ours]
    lines.append(_allow_operation(f"{OURS}gateway", "Describe", "--cluster"))
    stages = dict.fromkeys(party for topic in topics for party in topic.consumers if party != topic.party)
    lines += [_allow_operation(f"{OURS}{stage}", "Read", f"--group {OURS}{stage}") for stage in stages]
    for party in dict.fromkeys(topic.party for topic in topics if topic.party):
        lines.append(_allow_operation(party, "Read", f"--group {party}. --resource-pattern-type prefixed"))
        lines.append(
            f"kafka-configs.sh $KAFKA --alter --entity-type users --entity-name {party} "
            f"--add-config producer_byte_rate={RAW_BYTES_PER_S}"
        )
    return lines


def user(topic: Topic, party: str) -> str:
    """Returns the Kafka user of a writer or reader in the table."""
    return party if party == topic.party else f"{OURS}{party}"


def _allow_operation(principal: str, operation: str, on: str) -> str:
    return f"kafka-acls.sh $KAFKA --add --allow-principal User:{principal} --operation {operation} {on}"
