"""Compares two JSON Schemas: the changes, and whether the new one accepts less or more than the old one.

Invariant: a change that this does not understand counts as accepting less, and is never ignored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, NamedTuple

Schema = Mapping[str, Any]


class What(StrEnum):
    """LESS: something valid is not valid any more. MORE: something invalid is valid now."""

    FIELD_REMOVED = "removed"
    FIELD_REQUIRED_NEW = "new and required"
    FIELD_OPTIONAL_NEW = "new and optional"
    BECAME_REQUIRED = "was optional, is required"
    BECAME_OPTIONAL = "was required, is optional"
    TYPE_LESS = "type taken away"
    TYPE_MORE = "type added"
    ENUM_LESS = "value taken away"
    ENUM_MORE = "value added"
    BOUND_LESS = "narrower"
    BOUND_MORE = "wider"
    FORM_CHANGED = "form changed"


class Change(NamedTuple):
    """`path` like `data.subjects[].kind`."""

    path: str
    what: What
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.path or 'the whole'}: {self.what.value}{f' ({self.detail})' if self.detail else ''}"


_LOWER, _UPPER = (
    ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"),
    (
        "maximum",
        "exclusiveMaximum",
        "maxLength",
        "maxItems",
        "maxProperties",
    ),
)
_FORMS = ("pattern", "format", "multipleOf", "uniqueItems", "contentMediaType", "contentEncoding", "propertyNames")
_NOTES = {"title", "description", "default", "examples", "example", "deprecated", "$comment", "discriminator", "readOnly"}
_KNOWN = {*_LOWER, *_UPPER, *_FORMS, *_NOTES, "type", "enum", "const", "properties", "required", "items", "prefixItems"} | {
    "additionalProperties",
    "$ref",
    "anyOf",
    "oneOf",
    "allOf",
    "contentSchema",
}


class Compare:
    """`changes(old, new)` of two schemas, each with the definitions of its references."""

    def __init__(self, old_named: Schema, new_named: Schema) -> None:
        self._old, self._new = old_named, new_named
        self._open: set[tuple[str, str]] = set()

    def changes(self, old: Schema, new: Schema, path: str = "") -> Iterator[Change]:
        pair = (str(old.get("$ref")), str(new.get("$ref")))
        if "$ref" in old and "$ref" in new:
            if pair in self._open:  # a schema within itself
                return
            self._open.add(pair)
        try:
            yield from self._compare_kinds(_list_alternatives(old, self._old), _list_alternatives(new, self._new), path)
        finally:
            self._open.discard(pair)

    def _compare_kinds(self, old: list[Schema], new: list[Schema], path: str) -> Iterator[Change]:
        """Matches each alternative of the old schema with its counterpart in the new one."""
        free = list(new)
        unmatched: list[Schema] = []
        for alternative in old:
            counterpart = _find_counterpart(alternative, free)
            if counterpart is None:
                unmatched.append(alternative)
                continue
            free.remove(counterpart)
            yield from self._compare_pair(alternative, counterpart, path)
        for alternative in unmatched:
            wider = next((other for other in new if _name_type(alternative) == "integer" and _name_type(other) == "number"), None)
            if any(not _name_type(other) for other in new):
                yield Change(path, What.TYPE_MORE, "anything")
            elif wider is None:
                yield Change(path, What.TYPE_LESS, _name_schema(alternative))
        for alternative in free:
            yield Change(path, What.TYPE_MORE, _name_schema(alternative))

    def _compare_pair(self, old: Schema, new: Schema, path: str) -> Iterator[Change]:
        yield from _compare_values(old, new, path)
        yield from _compare_bounds(old, new, path)
        yield from _compare_forms(old, new, path)
        yield from self._compare_fields(old, new, path)
        yield from self._compare_inner(old, new, path)

    def _compare_fields(self, old: Schema, new: Schema, path: str) -> Iterator[Change]:
        before, after = old.get("properties", {}), new.get("properties", {})
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        for name in before:
            at = f"{path}.{name}" if path else name
            if name not in after:
                yield Change(at, What.FIELD_REMOVED)
                continue
            if name in needs - needed:
                yield Change(at, What.BECAME_REQUIRED)
            if name in needed - needs:
                yield Change(at, What.BECAME_OPTIONAL)
            yield from self.changes(before[name], after[name], at)
        for name in after:
            if name not in before:
                at = f"{path}.{name}" if path else name
                yield Change(at, What.FIELD_REQUIRED_NEW if name in needs else What.FIELD_OPTIONAL_NEW)

    def _compare_inner(self, old: Schema, new: Schema, path: str) -> Iterator[Change]:
        """Compares members of lists and maps. A missing schema, or `true`, accepts anything."""
        for key, mark in (("items", "[]"), ("additionalProperties", "{}"), ("contentSchema", "")):
            before, after = old.get(key, True), new.get(key, True)
            if isinstance(before, Mapping) and isinstance(after, Mapping):
                yield from self.changes(before, after, path + mark)
            elif before != after and not (before in (True, {}) and after in (True, {})):
                less = after is False or (isinstance(after, Mapping) and before is not False)
                yield Change(path + mark, What.TYPE_LESS if less else What.TYPE_MORE, key)
        places, now = old.get("prefixItems", []), new.get("prefixItems", [])
        if len(places) != len(now):
            yield Change(path, What.FORM_CHANGED, "prefixItems")
        for n, (old_place, new_place) in enumerate(zip(places, now, strict=False)):
            yield from self.changes(old_place, new_place, f"{path}[{n}]")


def _list_alternatives(schema: Schema, named: Schema) -> list[Schema]:
    """Returns the alternatives of a schema, with references followed and `allOf` merged."""
    if "$ref" in schema:
        return _list_alternatives(named[str(schema["$ref"]).rpartition("/")[2]], named)
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return [kind for option in schema[key] for kind in _list_alternatives(option, named)]
    if "allOf" in schema:
        merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
        for member in schema["allOf"]:
            for part in _list_alternatives(member, named):
                merged = {**part, **merged, "properties": {**part.get("properties", {}), **merged.get("properties", {})}}
        return [merged]
    if isinstance(schema.get("type"), list):
        return [{**schema, "type": type_name} for type_name in schema["type"]]
    return [schema]


def _name_type(schema: Schema) -> str:
    if "type" in schema:
        return str(schema["type"])
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if values and all(isinstance(value, str) for value in values):
        return "string"
    return "object" if "properties" in schema else ""


def _name_schema(schema: Schema) -> str:
    return str(schema.get("title") or _name_type(schema) or "anything")


def _find_counterpart(alternative: Schema, others: list[Schema]) -> Schema | None:
    """Returns the alternative of the same type; of several, the one of the same name."""
    same = [other for other in others if _name_type(other) == _name_type(alternative)]
    return next((other for other in same if other.get("title") == alternative.get("title")), same[0] if same else None)


def _compare_values(old: Schema, new: Schema, path: str) -> Iterator[Change]:
    before, after = _list_values(old), _list_values(new)
    if before is None and after is None:
        return
    if before is None:
        yield Change(path, What.ENUM_LESS, f"only {', '.join(map(repr, after or ()))}")
    elif after is None:
        yield Change(path, What.ENUM_MORE, "any")
    else:
        yield from (Change(path, What.ENUM_LESS, repr(value)) for value in before if value not in after)
        yield from (Change(path, What.ENUM_MORE, repr(value)) for value in after if value not in before)


def _list_values(schema: Schema) -> list[Any] | None:
    return [schema["const"]] if "const" in schema else schema.get("enum")


def _compare_bounds(old: Schema, new: Schema, path: str) -> Iterator[Change]:
    for keys, sign in ((_LOWER, 1), (_UPPER, -1)):
        for key in keys:
            before, after = old.get(key), new.get(key)
            if before == after:
                continue
            less = before is None or (after is not None and sign * (after - before) > 0)
            yield Change(path, What.BOUND_LESS if less else What.BOUND_MORE, f"{key} {before} -> {after}")


def _compare_forms(old: Schema, new: Schema, path: str) -> Iterator[Change]:
    for key in _FORMS:
        if old.get(key) != new.get(key):
            what = What.FORM_CHANGED if key in new else What.BOUND_MORE
            yield Change(path, what, f"{key} {old.get(key)!r} -> {new.get(key)!r}")
    for key in sorted({*old, *new} - _KNOWN):
        if not key.startswith("x-") and old.get(key) != new.get(key):
            yield Change(path, What.FORM_CHANGED, key)
