"""The check against the last release finds each kind of break, in every member of every record, request and answer."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.contracts import asyncapi, baseline, files
from deploy.contracts.breaking import Breaches, of_http, of_log
from gateway.app import ENDPOINTS
from gateway.http.openapi import document

Schema = dict[str, Any]


def _bare(told: Schema) -> Schema:
    """What is compared: no examples, which only make a copy dear."""
    bare: Schema = json.loads(files.as_text(told))
    bare["components"].pop("examples", None)
    for message in bare["components"].get("messages", {}).values():
        message.pop("examples")
    return bare


HTTP, LOG = _bare(document(ENDPOINTS)), _bare(asyncapi.document())


def test_the_same_breaks_nothing() -> None:
    assert of_log(LOG, copy.deepcopy(LOG)) == of_http(HTTP, copy.deepcopy(HTTP)) == Breaches([], [])


# Each mutation changes a member of a schema, or says that it does not apply (False).


def removed(schema: Schema, name: str) -> bool:
    del schema["properties"][name]
    schema["required"] = [one for one in schema.get("required", []) if one != name]
    return True


def renamed(schema: Schema, name: str) -> bool:
    schema["properties"][name + "_renamed"] = schema["properties"][name]
    return removed(schema, name)


def required(schema: Schema, name: str) -> bool:
    if name in schema.get("required", []):
        return False
    schema["required"] = [*schema.get("required", []), name]
    return True


def optional(schema: Schema, name: str) -> bool:
    if name not in schema.get("required", []):
        return False
    schema["required"] = [one for one in schema["required"] if one != name]
    return True


def another_type(schema: Schema, name: str) -> bool:
    schema["properties"][name] = {"type": "array", "items": {"type": "boolean"}, "title": "Other"}
    return True


def a_number_that_was_text(schema: Schema, name: str) -> bool:
    return _each(schema["properties"][name], "string", lambda one: one.update(type="number"))


def shorter(schema: Schema, name: str) -> bool:
    return _each(schema["properties"][name], "string", lambda one: one.update(maxLength=one.get("maxLength", 9) - 1))


def longer_at_least(schema: Schema, name: str) -> bool:
    return _each(schema["properties"][name], "string", lambda one: one.update(minLength=one.get("minLength", 0) + 1))


def of_a_form(schema: Schema, name: str) -> bool:
    return _each(schema["properties"][name], "string", lambda one: one.update(pattern="^x$"))


def smaller(schema: Schema, name: str) -> bool:
    return _each(schema["properties"][name], "integer", lambda one: one.update(maximum=one.get("maximum", 9) - 1))


def fewer(schema: Schema, name: str) -> bool:
    return _each(schema["properties"][name], "array", lambda one: one.update(maxItems=one.get("maxItems", 9) - 1))


def other_items(schema: Schema, name: str) -> bool:
    return _each(schema["properties"][name], "array", lambda one: one.update(items={"type": "boolean"}))


def other_values_of_a_map(schema: Schema, name: str) -> bool:
    if not isinstance(schema["properties"][name].get("additionalProperties"), dict):
        return False
    schema["properties"][name]["additionalProperties"] = {"type": "boolean"}
    return True


def not_null(schema: Schema, name: str) -> bool:
    kinds = schema["properties"][name].get("anyOf", [])
    left = [one for one in kinds if one != {"type": "null"}]
    if len(left) == len(kinds):
        return False
    schema["properties"][name]["anyOf"] = left
    return True


def or_null(schema: Schema, name: str) -> bool:
    old = schema["properties"][name]
    if {"type": "null"} in old.get("anyOf", []):
        return False
    schema["properties"][name] = {"anyOf": [old, {"type": "null"}]}
    return True


def of_fewer_values(schema: Schema, name: str) -> bool:
    return _each(schema["properties"][name], "string", lambda one: one.update(enum=["only-this"])) or False


def _each(schema: Schema, kind: str, change: Callable[[Schema], None]) -> bool:
    """Changes every alternative of the type; False when there is none."""
    kinds = [one for one in (schema, *schema.get("anyOf", [])) if one.get("type") == kind]
    found = [one for one in kinds if "enum" not in one and "const" not in one]
    for one in found:
        change(one)
    return bool(found)


LESS = [required, a_number_that_was_text, shorter, longer_at_least, of_a_form, smaller, fewer, not_null, of_fewer_values]
EITHER = [removed, renamed, another_type, other_items]
MORE = [optional, or_null]


def members(told: Schema, roots: set[str]) -> Iterator[tuple[str, str]]:
    """Every member of the schemas, and of those that they refer to."""
    for name in _reached(told, roots):
        yield from ((name, member) for member in told["components"]["schemas"][name].get("properties", {}))


def _reached(told: Schema, roots: Iterable[str]) -> list[str]:
    left, seen = list(roots), dict[str, None]()
    while left:
        name = left.pop()
        if name not in seen:
            seen[name] = None
            left += _names(told["components"]["schemas"][name])
    return list(seen)


def _names(value: Any) -> list[str]:
    return [one.rpartition("/")[2] for one in _references(value) if "/schemas/" in one]


def alone(told: Schema, part: str) -> dict[str, Schema]:
    """For each schema a document with one place (a route's request or answers, a topic) that reaches it, the smallest: to compare
    the whole for each of thousands of mutations takes ten minutes."""
    if part == "record":
        whole = told["components"]["messages"]
        places = [(_names(one["payload"]), {**told, "channels": {name: told["channels"][name]}}) for name, one in whole.items()]
    else:
        key = {"request": "requestBody", "answer": "responses"}[part]
        routes = [(path, method, one) for path, methods in told["paths"].items() for method, one in methods.items()]
        places = [
            (_names(one.get(key, {})), {**told, "paths": {path: {method: one}}}) for path, method, one in routes if one.get(key)
        ]
    found: dict[str, Schema] = {}
    reached = [(_reached(told, names), one) for names, one in places]
    for names, one in sorted(reached, key=lambda it: len(it[0]), reverse=True):
        found |= dict.fromkeys(names, one)
    return found


def _references(value: Any) -> Iterator[str]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if isinstance(value, dict) and isinstance(value.get("$ref"), str):
        yield value["$ref"]
    for one in inner:
        yield from _references(one)


RECORDS = {name for name in LOG["components"]["schemas"] if name.endswith("Record")}
TAKEN = {name for name in files.bodies(HTTP) if name.endswith("In")}
GIVEN = {name for name in files.bodies(HTTP) if name.endswith("Out")}
PLACES: list[tuple[str, Schema, set[str], Callable[[Schema, Schema], Breaches], list[Any]]] = [
    ("record", LOG, RECORDS, of_log, [*LESS, *EITHER, other_values_of_a_map]),
    ("request", HTTP, TAKEN, of_http, [*LESS, *EITHER]),
    ("answer", HTTP, GIVEN, of_http, [*MORE, *EITHER, other_values_of_a_map]),
]


@pytest.mark.parametrize(
    ("place", "told", "roots", "compare", "mutation"),
    [pytest.param(place, t, r, c, m, id=f"{place}-{m.__name__}") for place, t, r, c, some in PLACES for m in some],
)
def test_a_break_of_any_member_is_found_and_its_path_named(
    place: str, told: Schema, roots: set[str], compare: Any, mutation: Any
) -> None:
    tried, smallest = 0, alone(told, place)
    for schema, member in members(told, roots):
        named = told["components"]["schemas"]
        changed = copy.deepcopy(named[schema])
        if not mutation(changed, member):
            continue
        reaching = smallest[schema]
        mutated = {**reaching, "components": {**told["components"], "schemas": {**named, schema: changed}}}
        tried += 1
        breaks = compare(reaching, mutated).breaks
        is_named = any(f"{member}{mark}" in one for one in breaks for mark in (":", "[]", "{}"))
        assert is_named, (schema, member, breaks)
    assert tried, "the mutation fits nothing: it proves nothing"


def test_an_optional_member_may_come_anywhere() -> None:
    for told, compare in ((LOG, of_log), (HTTP, of_http)):
        more = copy.deepcopy(told)
        for schema in more["components"]["schemas"].values():
            if "properties" in schema:
                schema["properties"]["of_tomorrow"] = {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None}
        assert compare(told, more) == Breaches([], [])


def test_a_member_that_is_needed_may_come_in_an_answer_only() -> None:
    def needing(told: Schema, names: set[str]) -> Schema:
        more = copy.deepcopy(told)
        for name in names:
            more["components"]["schemas"][name]["properties"]["of_tomorrow"] = {"type": "string"}
            more["components"]["schemas"][name].setdefault("required", []).append("of_tomorrow")
        return more

    assert of_http(HTTP, needing(HTTP, GIVEN)).breaks == []
    asked = of_http(HTTP, needing(HTTP, TAKEN)).breaks
    assert "POST /v1/signals: request.of_tomorrow: new and required" in asked
    written = of_log(LOG, needing(LOG, RECORDS)).breaks
    assert len([one for one in written if one.endswith("of_tomorrow: new and required")]) == len(RECORDS)


def _enums(told: Schema, roots: set[str]) -> set[str]:
    reached = {name for name, _ in members(told, roots)}
    left = [one for name in reached for one in _names(told["components"]["schemas"][name])]
    return {name for name in left if "enum" in told["components"]["schemas"][name]}


def test_a_value_taken_from_an_enumeration_breaks_records_and_requests() -> None:
    for told, roots, compare in ((LOG, RECORDS, of_log), (HTTP, TAKEN, of_http)):
        for name in _enums(told, roots):
            less = copy.deepcopy(told)
            gone = less["components"]["schemas"][name]["enum"].pop()
            assert any(f"value taken away ({gone!r})" in one for one in compare(told, less).breaks), name


def test_a_value_added_to_an_enumeration_breaks_answers_and_is_a_notice_for_records() -> None:
    for name in _enums(HTTP, GIVEN) - _enums(HTTP, TAKEN):
        more = copy.deepcopy(HTTP)
        more["components"]["schemas"][name]["enum"].append("of_tomorrow")
        assert any("value added ('of_tomorrow')" in one for one in of_http(HTTP, more).breaks), name
    for name in _enums(LOG, RECORDS):
        more = copy.deepcopy(LOG)
        more["components"]["schemas"][name]["enum"].append("of_tomorrow")
        found = of_log(LOG, more)
        assert found.breaks == [] and any("value added" in one for one in found.notices), name
    more = copy.deepcopy(HTTP)
    more["components"]["schemas"]["SignalKind"]["enum"].append("of_tomorrow")
    assert of_http(HTTP, more).breaks == [], "a request may take more"


WHOLE: dict[str, tuple[str, Callable[[Schema, Schema], None], str]] = {
    "a topic is gone": ("log", lambda h, a: a["channels"].pop("signals.assessed.v1"), "signals.assessed.v1: topic removed"),
    "other partitions": (
        "log",
        lambda h, a: a["channels"]["cases.commands.v1"]["bindings"]["kafka"].update(partitions=16),
        "cases.commands.v1: partitions 8 -> 16",
    ),
    "another key": (
        "log",
        lambda h, a: a["channels"]["cases.commands.v1"].update({"x-key": "officer"}),
        "the key 'case id' -> 'officer'",
    ),
    "kept shorter": (
        "log",
        lambda h, a: a["channels"]["cases.changed.v1"]["bindings"]["kafka"]["topicConfiguration"].update({"retention.ms": 1}),
        "cases.changed.v1: kept",
    ),
    "another type": (
        "log",
        lambda h, a: a["components"]["messages"]["cases.changed.v1"].update(name="cn.liandong.cases.changed.v2"),
        "cases.changed.v1: record type",
    ),
    "a route is gone": ("http", lambda h, a: h["paths"].pop("/v1/queues"), "GET /v1/queues: route removed"),
    "a parameter is gone": (
        "http",
        lambda h, a: h["paths"]["/v1/queues/{queue}/cases"]["get"]["parameters"].pop(1),
        "query parameter severity: removed",
    ),
    "a parameter is needed": (
        "http",
        lambda h, a: h["paths"]["/v1/queues"]["get"].update(
            parameters=[{"name": "x", "in": "query", "required": True, "schema": {}}]
        ),
        "GET /v1/queues: query parameter x: new and required",
    ),
    "a role is locked out": (
        "http",
        lambda h, a: h["paths"]["/v1/signals"]["post"].update({"x-roles": ["operator"]}),
        "POST /v1/signals: role institution loses access",
    ),
    "closed to the public": (
        "http",
        lambda h, a: h["paths"]["/livez"]["get"].update({"x-roles": ["operator"]}),
        "GET /livez: was open to everybody",
    ),
    "a body is needed": (
        "http",
        lambda h, a: h["paths"]["/v1/queues/{queue}/next"]["post"]["requestBody"].update(required=True),
        "next: request: body became required",
    ),
    "another media type": (
        "http",
        lambda h, a: h["paths"]["/v1/signals"]["post"]["requestBody"].update(content={"text/csv": {"schema": {}}}),
        "POST /v1/signals: request: application/json no longer accepted",
    ),
    "another status": (
        "http",
        lambda h, a: h["paths"]["/v1/signals"]["post"]["responses"].update(
            {"200": h["paths"]["/v1/signals"]["post"]["responses"].pop("202")}
        ),
        "POST /v1/signals: response 202: removed",
    ),
    "a header is gone": (
        "http",
        lambda h, a: h["paths"]["/v1/signals"]["post"]["responses"]["202"]["headers"].pop("Location"),
        "POST /v1/signals: response 202: header Location removed",
    ),
}


@pytest.mark.parametrize("name", WHOLE)
def test_a_break_of_the_whole_is_found(name: str) -> None:
    which, mutate, said = WHOLE[name]
    http, log = copy.deepcopy(HTTP), copy.deepcopy(LOG)
    mutate(http, log)
    found = of_log(LOG, log) if which == "log" else of_http(HTTP, http)
    assert any(said in one for one in found.breaks), found.breaks


def test_new_topics_and_routes_break_nothing() -> None:
    http, log = copy.deepcopy(HTTP), copy.deepcopy(LOG)
    http["paths"]["/v1/more"] = http["paths"]["/v1/queues"]
    log["channels"]["more.v1"] = log["channels"]["cases.commands.v1"]
    assert of_http(HTTP, http) == of_log(LOG, log) == Breaches([], [])


def test_a_break_may_be_decided_on_and_a_decision_without_its_break_is_an_error(tmp_path: Path) -> None:
    found = Breaches(["x: gone", "y: gone"], ["z"])
    assert baseline.but_for(["x: gone"], found) == Breaches(["y: gone"], ["z"])
    assert "accepts a break that does not exist: w: gone" in baseline.but_for(["w: gone"], Breaches([], [])).breaks[0]
    (tmp_path / baseline.BASELINES).mkdir(parents=True)
    (tmp_path / baseline.ACCEPTED).write_text('[{"break": "x: gone", "why": " "}]', "utf-8")
    with pytest.raises(ValueError, match="no reason for x: gone"):
        baseline.accepted(tmp_path)


def test_a_release_becomes_the_baseline_once_and_the_newest_counts(tmp_path: Path) -> None:
    with pytest.raises(baseline.NoBaseline):
        baseline.last(tmp_path)
    for version in ("0.9.0", "0.10.0"):
        (tmp_path / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n', "utf-8")
        assert baseline.release(tmp_path) == baseline.last(tmp_path) == tmp_path / baseline.BASELINES / version
    assert baseline.compared(tmp_path) == Breaches([], [])
    with pytest.raises(FileExistsError):
        baseline.release(tmp_path)
