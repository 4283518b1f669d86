"""The AsyncAPI 3.0 document of the log, made from the topic table, with an example of every kind of record.

Invariant: the document contains every topic with its key, partitions, retention, writers and readers as in the table.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

import schemas
from schemas.envelope import Envelope
from schemas.topics import MOST_COPIES, TOPICS, Topic, raw, receipts

_OWN = "{institution}"
ALL = [*TOPICS.values(), raw(_OWN), receipts(_OWN)]
"""The topic table, with the topics of each institution listed once."""
EXAMPLES = Path(schemas.__file__).parent / "examples"
_REF = "#/components/schemas/{model}"
_INFO = {
    "title": "Liandong: the log",
    "version": "1",
    "description": "Records are CloudEvents 1.0 in structured JSON. Records may gain optional members at any time; ignore those "
    "that you do not know. The first record per `origin` counts, and later ones are redeliveries (docs/laws.md).",
    "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
}


def document() -> dict[str, Any]:
    """Returns the whole document in the order of the table."""
    topics = ALL
    return {
        "asyncapi": "3.0.0",
        "info": _INFO,
        "defaultContentType": "application/cloudevents+json",
        "channels": {label(topic): _describe_channel(topic) for topic in topics},
        "operations": {
            f"{stage.strip('{}')}.{action}.{label(topic)}": _describe_operation(topic, action, stage.strip("{}"))
            for topic in topics
            for action, stages in (("send", topic.producers), ("receive", topic.consumers))
            for stage in stages
        },
        "components": {
            "messages": {label(topic): _describe_message(topic) for topic in topics},
            "schemas": _collect_schemas(topics),
        },
    }


def label(topic: Topic) -> str:
    """Returns the name of a topic in the document, without an institution."""
    return topic.form or topic.name


def is_ours(topic: Topic) -> bool:
    """Whether our own stages write it; an institution writes no envelope."""
    return topic.party not in topic.producers


def payload_name(topic: Topic) -> str:
    """Returns the name of a topic's record, envelope included."""
    return f"{topic.model.__name__}Record" if is_ours(topic) else topic.model.__name__


def _describe_channel(topic: Topic) -> dict[str, Any]:
    config = topic.config(MOST_COPIES)
    owner = {"institution": {"description": "The institution that owns the topic (docs/guide/raw-topics.md)."}}
    whose = {"parameters": owner} if topic.party else {}
    return {
        "address": topic.name,
        **whose,
        "title": label(topic),
        "description": f"Key: {topic.key}. Retention: {topic.retention_days} days.",
        "messages": {topic.model.__name__: {"$ref": f"#/components/messages/{label(topic)}"}},
        "bindings": {
            "kafka": {
                **({} if topic.party else {"topic": topic.name}),
                "partitions": topic.partitions,
                "topicConfiguration": {
                    "cleanup.policy": config["cleanup.policy"].split(","),
                    "retention.ms": int(config["retention.ms"]),
                    "max.message.bytes": int(config["max.message.bytes"]),
                },
                "bindingVersion": "0.5.0",
            }
        },
        "x-key": topic.key,
        "x-timestamp": config["message.timestamp.type"],
    }


def _describe_operation(topic: Topic, action: str, stage: str) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{label(topic)}"},
        "summary": f"{stage} {'writes' if action == 'send' else 'reads'} {topic.name}",
        "messages": [{"$ref": f"#/channels/{label(topic)}/messages/{topic.model.__name__}"}],
    }


def _describe_message(topic: Topic) -> dict[str, Any]:
    message: dict[str, Any] = {
        "name": topic.type,
        "title": topic.model.__name__,
        "summary": " ".join((topic.model.__doc__ or topic.name).split("\n\n")[0].split()),
        "contentType": "application/cloudevents+json" if is_ours(topic) else "application/json",
        "payload": {"$ref": _REF.format(model=payload_name(topic))},
        "bindings": {"kafka": {"key": {"type": "string", "description": topic.key}, "bindingVersion": "0.5.0"}},
    }
    if shown := [{"name": path.stem, "payload": json.loads(path.read_text("utf-8"))} for path in _list_examples(topic)]:
        message["examples"] = shown
    return message


def _list_examples(topic: Topic) -> list[Path]:
    if not is_ours(topic):
        return sorted((EXAMPLES / "http").glob("signal.*.json"))
    name, _, version = label(topic).rpartition(".")
    return sorted((EXAMPLES / name / version).glob("*.json"))


def _collect_schemas(topics: list[Topic]) -> dict[str, Any]:
    """Returns each record's schema as a reader validates it, and all referenced ones."""
    models = [
        (Envelope[topic.model] if is_ours(topic) else topic.model, "validation")  # type: ignore[name-defined]
        for topic in topics
    ]
    refs, generated = models_json_schema(models, ref_template=_REF)  # type: ignore[arg-type]
    definitions: dict[str, Any] = dict(generated["$defs"])
    for topic, pair in zip(topics, models, strict=True):
        if not is_ours(topic):
            continue
        name = refs[pair]["$ref"].rpartition("/")[2]  # type: ignore[index]
        schema = definitions.pop(name)
        fields = {**schema["properties"], "type": {"const": topic.type, "type": "string"}}
        definitions[payload_name(topic)] = schema | {"title": payload_name(topic), "properties": fields}
    return dict(sorted(definitions.items()))
