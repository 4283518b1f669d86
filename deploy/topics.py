"""`liandong topics`: the table of topics, and who may do what there as commands for Kafka's own tools.

Invariant: an institution may write only to its own raw topic and read only its own receipts; every line follows from the table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

from schemas.topics import OURS, Topic, all_topics

RAW_BYTES_PER_S = 1 << 20
"""An institution's share: about a thousand signals a second. A flood waits with its sender, not with us."""


def register(app: typer.Typer) -> None:
    app.command("topics")(command)


def command(
    raw: Annotated[
        str | None, typer.Option(help="Institutions that write raw, like bank-001,pay-002; default LIANDONG_RAW_INSTITUTIONS.")
    ] = None,
    acls: Annotated[bool, typer.Option("--acls", help="Print kafka-acls.sh and kafka-configs.sh commands instead.")] = False,
) -> None:
    """Print the topics; with --acls what an operator runs so that each party reaches its own topics only."""
    from pydantic import ValidationError

    from stream_processors.settings import Settings

    try:
        settings = Settings() if raw is None else Settings(raw_institutions=raw)
    except ValidationError as error:
        raise typer.BadParameter(error.errors()[0]["msg"]) from None
    topics = all_topics(settings.raw_institutions)
    for line in access(topics) if acls else table(topics):
        typer.echo(line)


def table(topics: Iterable[Topic]) -> list[str]:
    """One topic a line: name, partitions, days kept, writers, readers."""
    rows = [
        (one.name, str(one.partitions), str(one.retention_days), ",".join(one.producers), ",".join(one.consumers))
        for one in topics
    ]
    heads = ("topic", "partitions", "days", "written by", "read by")
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in (heads, *rows)]


def access(topics: list[Topic]) -> list[str]:
    """Commands for an authorizer that denies by default. `$KAFKA` is `--bootstrap-server host:port --command-config file`."""
    lines = []
    for topic in topics:
        for operation, parties in (("Write", topic.producers), ("Read", topic.consumers)):
            lines += [_allow(user(topic, party), operation, f"--topic {topic.name}") for party in parties]
        if topic.party is None:
            lines.append(_allow(f"{OURS}gateway", "Describe", f"--topic {topic.name}"))
    stages = dict.fromkeys(party for topic in topics for party in topic.consumers if party != topic.party)
    lines += [_allow(f"{OURS}{stage}", "Read", f"--group {OURS}{stage}") for stage in stages]
    for party in dict.fromkeys(topic.party for topic in topics if topic.party):
        lines.append(_allow(party, "Read", f"--group {party}. --resource-pattern-type prefixed"))
        lines.append(
            f"kafka-configs.sh $KAFKA --alter --entity-type users --entity-name {party} "
            f"--add-config producer_byte_rate={RAW_BYTES_PER_S}"
        )
    return lines


def user(topic: Topic, party: str) -> str:
    """The Kafka user of a writer or reader in the table."""
    return party if party == topic.party else f"{OURS}{party}"


def _allow(principal: str, operation: str, on: str) -> str:
    return f"kafka-acls.sh $KAFKA --add --allow-principal User:{principal} --operation {operation} {on}"
