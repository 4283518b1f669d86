"""The OpenAPI 3.1 document, made from the table that serves the routes.

It is made from the Endpoints and not by FastAPI, whose machinery the requests bypass: the document describes the handlers.
Invariant: the document contains every status, media type and problem that a route can answer (a fuzzer checks this:
tests/contract/gateway/test_conformance.py).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

import schemas
from gateway.http.endpoint import Endpoint, ProblemBody
from gateway.http.problem_table import PROBLEMS, TYPE_PREFIX, Kind
from gateway.http.problems import MEDIA_TYPE

EXAMPLES = Path(schemas.__file__).parent / "examples" / "http"
_REF = "#/components/schemas/{model}"
_SHOWN = "#/components/examples/"
_FILED_AS = {"SignalIn": "signal"}
_INFO = {
    "title": "Liandong",
    "version": "1",
    "summary": "Exchange fraud and illicit-finance signals, and follow each one to its outcome.",
    "description": "Errors are problem details (RFC 9457); docs/reference/errors.md lists every type. Responses omit members "
    "without a value. Members, routes and problem types may be added at any time; ignore those that you do not "
    "know.",
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
_HEADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Idempotency-Key": (
        "Identifies the request. A repeated request with the same key gets the same response and counts once.",
        {"type": "string", "pattern": "^[!-~]{1,124}$"},
    ),
    "Idempotency-Replayed": ("Set on a repeated request, which gets its first receipt.", {"type": "string", "const": "true"}),
    "Last-Event-ID": ("The id of the last event received. The stream resumes with the events after it.", {"type": "string"}),
    "Location": ("The URL of the status of the accepted request.", {"type": "string"}),
    "Retry-After": ("Seconds to wait before a retry.", {"type": "string", "pattern": "^[0-9]+$"}),
}
_PATH_PARAMETERS: dict[str, tuple[str, str]] = {
    "signal_id": ("The id of the receipt.", "sig-Nk3b0vQm1x2yq8YpWc5f7A"),
    "case_id": ("The case.", "case-5v1Jx0kq9sT2"),
    "order_id": ("The order.", "ord-5v1Jx0kq9sT2-1c9b2f7e04aa"),
    "dissuasion_id": ("The dissuasion.", "dissuasion-5v1Jx0kq9sT2-77d0a1b2c3e4"),
    "appeal_id": ("The appeal.", "obj-5v1Jx0kq9sT2-0f1e2d3c4b5a"),
    "action_id": ("The id of the action, from the response to it.", "act-9fK2mQ"),
    "queue": ("The name of a queue.", "public-security-630202"),
    "notification_id": ("The id of the notice, from the inbox.", "act-9fK2mQ/ord-5v1Jx0kq9sT2/0"),
    "year": ("The year of an appraisal.", "2025"),
    "dispute_id": ("The id of the dispute, from the appraisal.", "dis-9fK2mQ"),
    "record_id": ("The id of the supervision action or data request, from the response to it.", "sup-9fK2mQ"),
    "campaign_id": ("The id of the campaign, from the response to it.", "cam-9fK2mQ"),
    "number": ("The receipt number of a tip.", "7K3F-0Q2M-9XVA-41BD-ZP8T"),
}


class OpenApiOut(BaseModel):
    """An OpenAPI 3.1 document."""

    model_config = ConfigDict(extra="allow")
    openapi: str


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """Returns the whole document in the order of the routes."""
    listed = list(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in listed:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _describe_operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "paths": paths,
        "components": {
            "schemas": _collect_schemas(listed),
            "examples": _collect_examples(listed),
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def examples_of(model: type[BaseModel]) -> dict[str, Any]:
    """Returns the committed examples of a body by name: `<Model>.<name>.json` in schemas/examples/http."""
    prefix = _FILED_AS.get(model.__name__, model.__name__)
    return {path.name.split(".")[1]: _read_examples(path) for path in sorted(EXAMPLES.glob(f"{prefix}.*.json"))}


@cache
def _read_examples(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


def _describe_operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": " ".join(endpoint.description.split()),
        "x-roles": sorted(endpoint.roles),
        "security": [{"bearer": []}] if endpoint.roles else [],
    }
    if parameters := [
        *_path_parameters(endpoint),
        *_query_parameters(endpoint),
        *map(_header_parameter, endpoint.request_headers),
    ]:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        content = {endpoint.body_media: _example_of(endpoint.body, endpoint.body_media)}
        operation["requestBody"] = {"required": endpoint.is_body_required, "content": content}
    operation["responses"] = {str(status): response for status, response in sorted(_describe_responses(endpoint).items())}
    return operation


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    parameters = []
    for name in re.findall(r"{(\w+)}", endpoint.path):
        description, example = _PATH_PARAMETERS.get(name, ("", ""))
        parameter: dict[str, Any] = {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
        parameters.append(parameter | ({"description": description, "example": example} if description else {}))
    return parameters


def _query_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    schema = _drop_null(endpoint.query.model_json_schema(ref_template=_REF))
    needed = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in needed, "schema": property_schema}
        for name, property_schema in schema["properties"].items()
    ]


def _header_parameter(name: str) -> dict[str, Any]:
    description, schema = _HEADERS[name]
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def _example_of(model: type[BaseModel], media: str) -> dict[str, Any]:
    """The media type object of a body. For NDJSON the schema describes one line."""
    content: dict[str, Any] = {"schema": {"$ref": _REF.format(model=model.__name__)}}
    shown = examples_of(model)
    examples: dict[str, Any] = {name: {"$ref": f"{_SHOWN}{model.__name__}.{name}"} for name in shown}
    if media != "application/json":
        content["schema"] = {"type": "string", "contentMediaType": media, "contentSchema": content["schema"]}
        examples = {"lines": {"value": "".join(map(_write_line, shown.values()))}} if shown else {}
    return content | ({"examples": examples} if examples else {})


def _any_of(model: type[BaseModel], others: tuple[type[BaseModel], ...], media: str) -> dict[str, Any]:
    """The media type object of a response with several forms, by the caller's role."""
    content = _example_of(model, media)
    for other in others:
        more = _example_of(other, media)
        content["schema"] = {"anyOf": [*content["schema"].get("anyOf", [content["schema"]]), more["schema"]]}
        content["examples"] = content.get("examples", {}) | {
            f"{other.__name__}.{name}": example for name, example in more.get("examples", {}).items()
        }
    return content


def _write_line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _describe_responses(endpoint: Endpoint) -> dict[int, dict[str, Any]]:
    responses: dict[int, dict[str, Any]] = {}
    for status, model in endpoint.responses.items():
        response: dict[str, Any] = {"description": _describe_model(model) if model else endpoint.summary}
        if model is not None:
            response["content"] = {endpoint.media: _any_of(model, endpoint.alternate_responses.get(status, ()), endpoint.media)}
        elif status != 204:
            response["content"] = {endpoint.media: {"schema": {"type": "string"}}}
        if status == 200 and endpoint.alternate_media:
            response["content"][endpoint.alternate_media] = {"schema": {"type": "string"}}
        if headers := endpoint.response_headers.get(status):
            response["headers"] = {name: _describe_header(name) for name in headers}
        responses[status] = response
    by_status: dict[int, list[Kind]] = {}
    for slug in endpoint.all_problems:
        by_status.setdefault(PROBLEMS[slug].status, []).append(PROBLEMS[slug])
    for status, kinds in by_status.items():
        responses[status] = _merge_responses(responses.get(status), _describe_problems(status, kinds))
    return responses


def _merge_responses(answer: dict[str, Any] | None, problem: dict[str, Any]) -> dict[str, Any]:
    """A status that is both a response and a problem (readiness), by media type."""
    return problem if answer is None else {**problem, **answer, "content": {**answer["content"], **problem["content"]}}


def _describe_model(model: type[BaseModel]) -> str:
    return " ".join((model.__doc__ or model.__name__).split())


def _describe_header(name: str) -> dict[str, Any]:
    description, schema = _HEADERS[name]
    return {"description": description, "schema": schema}


def _describe_problems(status: int, kinds: list[Kind]) -> dict[str, Any]:
    """All problems of one status: their types, and one example of each."""
    types = [TYPE_PREFIX + kind.slug for kind in kinds]
    response: dict[str, Any] = {
        "description": "; ".join(f"`{kind.slug}`: {kind.title}" for kind in kinds),
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "allOf": [
                        {"$ref": _REF.format(model="Problem")},
                        {"properties": {"type": {"enum": types}, "status": {"const": status}}},
                    ]
                },
                "examples": {kind.slug: {"$ref": _SHOWN + kind.slug} for kind in kinds},
            }
        },
    }
    if status in (409, 429, 503):
        response["headers"] = {"Retry-After": _describe_header("Retry-After")}
    return response


def problem_example(kind: Kind) -> dict[str, Any]:
    return {"type": TYPE_PREFIX + kind.slug, "title": kind.title, "status": kind.status, "detail": kind.meaning}


def _collect_examples(endpoints: list[Endpoint]) -> dict[str, Any]:
    """Every example of a request and response, and every problem."""
    models = {endpoint.body for endpoint in endpoints} | {model for endpoint in endpoints for model in endpoint.models}
    examples = {
        f"{model.__name__}.{name}": {"value": value}
        for model in sorted(filter(None, models), key=lambda model: model.__name__)
        for name, value in examples_of(model).items()
    }
    slugs = {slug for endpoint in endpoints for slug in endpoint.all_problems}
    return examples | {
        slug: {"summary": PROBLEMS[slug].title, "value": problem_example(PROBLEMS[slug])} for slug in sorted(slugs)
    }


def _collect_schemas(endpoints: list[Endpoint]) -> dict[str, Any]:
    """The schemas of all requests and responses. One name is one schema."""
    bodies = {endpoint.body for endpoint in endpoints if endpoint.body is not None}
    queries = {endpoint.query for endpoint in endpoints if endpoint.query is not None}
    answers = {model for endpoint in endpoints for model in endpoint.models}
    components: dict[str, Any] = {}
    for name, schema in sorted([*_define_models(bodies, "validation").items(), *_collect_inner(queries).items()]):
        components[name] = schema
    for name, schema in _define_models(answers | {ProblemBody}, "serialization").items():
        shown = _drop_null(schema)
        if components.setdefault(name, shown) != shown:
            raise ValueError(f"{name} has one schema as a request and another as a response; give them two names")
    described = {"description": f"RFC 9457; `type` is {TYPE_PREFIX}<slug>, see docs/reference/errors.md."}
    components["Problem"] = components.pop("ProblemBody") | described
    return dict(sorted(components.items()))


def _define_models(models: set[type[BaseModel]], mode: Any) -> dict[str, Any]:
    listed = sorted(models, key=lambda model: model.__name__)
    _, generated = models_json_schema([(model, mode) for model in listed], ref_template=_REF)
    definitions: dict[str, Any] = generated.get("$defs", {})
    return definitions


def _collect_inner(queries: set[type[BaseModel]]) -> dict[str, Any]:
    """The definitions that the parameters refer to; the parameters themselves are in their operation."""
    own = {model.__name__ for model in queries}
    return {name: schema for name, schema in _define_models(queries, "validation").items() if name not in own}


def _drop_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A model's schema in which `null` means absence, as in responses (gateway/http/responses.py) and queries."""
    if "properties" not in schema:
        return schema
    fields, required = {}, list(schema.get("required", ()))
    for name, property_schema in schema["properties"].items():
        fields[name] = property_schema
        kinds = property_schema.get("anyOf", [])
        if {"type": "null"} in kinds:
            remaining = [kind for kind in kinds if kind != {"type": "null"}]
            rest = {key: value for key, value in property_schema.items() if key != "anyOf" and (key, value) != ("default", None)}
            fields[name] = {**rest, **(remaining[0] if len(remaining) == 1 else {"anyOf": remaining})}
            required = [other for other in required if other != name]
    rewritten = {**schema, "properties": fields, "required": required}
    return rewritten if required else {key: value for key, value in rewritten.items() if key != "required"}
