"""The committed documents are what the code says, are valid, and show an example of everything that they declare."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from deploy.contracts import asyncapi, baseline, files
from deploy.contracts.main import COMMAND
from deploy.local.paths import project_root
from gateway.app import ENDPOINTS
from gateway.http.endpoint import Endpoint
from gateway.http.openapi import document, examples_of
from gateway.http.problem_table import PROBLEMS, TYPE_PREFIX
from schemas.topics import TOPICS
from tests.support import examples

HTTP, LOG = document(ENDPOINTS), asyncapi.document()
ROOT = project_root()
BODIES = files.bodies(HTTP)


def test_the_committed_files_are_what_the_code_says() -> None:
    differ = files.differences()
    assert not differ, f"{'; '.join(differ)}. Run: {COMMAND} (and commit; never merge these files by hand)"


def test_the_code_is_compatible_with_the_last_release() -> None:
    found = baseline.compared()
    assert not found.breaks, (
        f"breaks the contract of {baseline.last().name}: {'; '.join(found.breaks)}. Keep the member, give a new one a "
        f"default, or decide: {baseline.ACCEPTED} (docs/contracts/README.md)"
    )


def test_a_file_that_differs_or_is_missing_or_too_many_is_said_and_written_again(tmp_path: Path) -> None:
    assert len(files.write(tmp_path)) == len(files.made())
    assert files.differences(tmp_path) == [] == files.write(tmp_path)
    (tmp_path / files.ASYNCAPI).write_text("{}", "utf-8")
    (tmp_path / files.OPENAPI).unlink()
    (tmp_path / files.FOLDER / "schemas" / "of.nothing.json").write_text("{}", "utf-8")
    assert files.differences(tmp_path) == [
        "docs/contracts/openapi.json is missing",
        "docs/contracts/asyncapi.json differs",
        "docs/contracts/schemas/of.nothing.json belongs to no contract",
    ]
    files.write(tmp_path)
    assert files.differences(tmp_path) == []


def test_the_openapi_document_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(HTTP).iter_errors()) == []


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: f"{one.method} {one.path}")
def test_a_route_shows_its_bodies_and_answers(endpoint: Endpoint) -> None:
    for model in filter(None, [endpoint.body, *endpoint.models]):
        assert examples_of(model), f"add schemas/examples/http/{model.__name__}.<name>.json"
    assert endpoint.responses, "say what it answers"


@pytest.mark.parametrize("slug", PROBLEMS)
def test_every_problem_is_documented_where_it_can_be_answered(slug: str) -> None:
    shown = HTTP["components"]["examples"].get(slug)
    # Of any route, and not to be expected:
    everywhere = {"internal", "method-not-allowed", "headers-too-large", "header-timeout", "invalid-head"}
    in_lines = {"line-too-long", "too-many-lines", "invalid-encoding"}  # in the answer to a line of a batch
    if slug in everywhere | in_lines:
        assert shown is None
        return
    assert shown is not None, f"no route declares {slug}"
    Draft202012Validator(files.alone(HTTP, "Problem")).validate(shown["value"])
    assert shown["value"]["type"] == TYPE_PREFIX + slug


def _shown() -> Iterator[tuple[str, str, Any]]:
    for name, one in HTTP["components"]["examples"].items():
        model, dot, variant = name.partition(".")
        if dot:
            yield model, variant, one["value"]


@pytest.mark.parametrize(("model", "name", "value"), list(_shown()))
def test_an_example_of_http_fits_its_schema(model: str, name: str, value: Any) -> None:
    schema = json.loads((ROOT / files.FOLDER / "schemas" / "http" / f"{model}.json").read_text("utf-8"))
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)
    properties = _members(schema)
    assert model == "OpenApiOut" or set(value) <= properties, "an example of what there is"


def _members(schema: dict[str, Any]) -> set[str]:
    """The members of a body, of all its forms when it has several."""
    named = [schema["$defs"][one["$ref"].rpartition("/")[2]] for one in schema.get("oneOf", ())]
    return {name for one in (schema, *named) for name in one.get("properties", ())}


@pytest.mark.parametrize("topic", examples.WRITTEN, ids=asyncapi.label)
def test_an_example_of_a_topic_fits_its_schema_and_a_damaged_one_does_not(topic: Any) -> None:
    schema = json.loads((ROOT / files.FOLDER / "schemas" / f"{asyncapi.label(topic)}.json").read_text("utf-8"))
    check = Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
    for raw in examples.of(topic).values():
        value = json.loads(raw)
        check.validate(value)
        assert not check.is_valid({**value, "type": "cn.liandong.other.v1"})
        assert not check.is_valid({key: one for key, one in value.items() if key != "data"})


# The structure of AsyncAPI 3.0, as far as we use it; no maintained package of the index carries the whole specification.
_REF = {"type": "object", "required": ["$ref"], "properties": {"$ref": {"type": "string"}}, "additionalProperties": False}
_KAFKA = {
    "type": "object",
    "required": ["kafka"],
    "properties": {"kafka": {"type": "object", "required": ["bindingVersion"]}},
    "additionalProperties": False,
}
_SHAPE: dict[str, Any] = {
    "type": "object",
    "required": ["asyncapi", "info", "channels", "operations", "components"],
    "additionalProperties": False,
    "properties": {
        "asyncapi": {"const": "3.0.0"},
        "defaultContentType": {"type": "string"},
        "info": {
            "type": "object",
            "required": ["title", "version"],
            "properties": {
                "title": {"type": "string"},
                "version": {"type": "string"},
                "description": {"type": "string"},
                "license": {"required": ["name"]},
            },
            "additionalProperties": False,
        },
        "channels": {
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "required": ["address", "messages"],
                "properties": {
                    "address": {"type": "string"},
                    "title": {"type": "string"},
                    "description": {"type": "string"},
                    "parameters": {"additionalProperties": {"type": "object", "propertyNames": {"const": "description"}}},
                    "messages": {"minProperties": 1, "additionalProperties": _REF},
                    "bindings": _KAFKA,
                },
                "patternProperties": {"^x-": {}},
                "additionalProperties": False,
            },
        },
        "operations": {
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "required": ["action", "channel"],
                "properties": {
                    "action": {"enum": ["send", "receive"]},
                    "channel": _REF,
                    "summary": {"type": "string"},
                    "messages": {"type": "array", "items": _REF},
                },
                "additionalProperties": False,
            },
        },
        "components": {
            "type": "object",
            "properties": {
                "schemas": {"type": "object", "propertyNames": {"pattern": r"^[\w\d\.\-_]+$"}},
                "messages": {
                    "type": "object",
                    "propertyNames": {"pattern": r"^[\w\d\.\-_]+$"},
                    "additionalProperties": {
                        "type": "object",
                        "required": ["name", "payload", "contentType", "examples"],
                        "properties": {
                            "name": {"type": "string"},
                            "title": {"type": "string"},
                            "summary": {"type": "string"},
                            "contentType": {"type": "string"},
                            "payload": _REF,
                            "bindings": _KAFKA,
                            "examples": {"type": "array", "minItems": 1, "items": {"required": ["payload"]}},
                        },
                        "additionalProperties": False,
                    },
                },
            },
            "additionalProperties": False,
        },
    },
}


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)


@pytest.mark.parametrize("told", [HTTP, LOG], ids=["openapi", "asyncapi"])
def test_every_reference_leads_somewhere(told: Any) -> None:
    for reference in set(_references(told)):
        at = told
        for part in reference.removeprefix("#/").split("/"):
            at = at[part]


def test_the_asyncapi_document_has_the_structure_of_3_0() -> None:
    Draft202012Validator(_SHAPE).validate(LOG)
    for schema in LOG["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


def test_an_operation_uses_messages_of_its_own_channel_only() -> None:
    for name, operation in LOG["operations"].items():
        for message in operation["messages"]:
            assert message["$ref"].startswith(operation["channel"]["$ref"] + "/messages/"), name


def test_the_asyncapi_document_has_the_table_of_topics() -> None:
    assert list(LOG["channels"]) == [*TOPICS, "signals.raw.v1", "signals.receipts.v1"]
    for topic in asyncapi.ALL:
        name = asyncapi.label(topic)
        kafka = LOG["channels"][name]["bindings"]["kafka"]
        assert (kafka["partitions"], kafka["topicConfiguration"]["retention.ms"]) == (
            topic.partitions,
            topic.retention_days * 86_400_000,
        )
        told = {(key.split(".")[0], one["action"]) for key, one in LOG["operations"].items() if key.endswith("." + name)}
        wanted = [("send", one) for one in topic.producers] + [("receive", one) for one in topic.consumers]
        assert told == {(one.strip("{}"), action) for action, one in wanted}


def test_an_institutions_own_topics_stand_once_for_all_institutions() -> None:
    for form in ("raw", "receipts"):
        channel = LOG["channels"][f"signals.{form}.v1"]
        assert channel["address"] == f"signals.{form}.{{institution}}"
        assert set(channel["parameters"]) == {"institution"}
    said = LOG["components"]["messages"]["signals.raw.v1"]
    assert (said["contentType"], said["payload"]["$ref"]) == ("application/json", "#/components/schemas/SignalIn")
    assert len(said["examples"]) >= 2
