"""Renders a JSON Schema as Python's TypedDicts: the signal's type in the client, which must not import our schemas.

Invariant: the type that mypy checks has the members and alternatives of the gateway's schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from schemas.signals.submission import SignalIn

SOURCE = "schemas/signals/submission.py"
HEAD = f'''"""A signal for a type checker. Made by `liandong contracts write` from {SOURCE}: do not edit.

Times are text with an offset (RFC 3339) or aware datetimes.
"""

from __future__ import annotations
'''
WIDTH = 120
ROOT = "Signal"
_OBJECTS = {name for name, definition in SignalIn.model_json_schema()["$defs"].items() if "properties" in definition}
_PLAIN = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
_NEEDED = {ROOT: ("reference",)}
"""Optional on the wire (an Idempotency-Key can replace it), but required in the client, because it makes a retry safe."""


def signal_module() -> str:
    """connectors/client/signals.py."""
    schema = SignalIn.model_json_schema()
    named = {**schema.pop("$defs", {}), ROOT: schema}
    aliases = ["\n".join(_write_alias(name, kind)) for name, kind in sorted(named.items()) if "properties" not in kind]
    models = sorted((name for name in named if "properties" in named[name]), key=lambda name: (name == ROOT, name))
    classes = ["\n".join(_write_class(name, named[name])) for name in models]
    body = "\n".join([*aliases, "", *classes]).rstrip("\n") + "\n"
    names = [name for name in ("Any", "Literal", "NotRequired", "TypedDict") if re.search(rf"\b{name}\b", body)]
    moments = "from datetime import datetime\n" if re.search(r"\bdatetime\b", body) else ""
    return f"{HEAD}\n{moments}from typing import {', '.join(names)}\n\n{body}"


def _write_alias(name: str, schema: dict[str, Any]) -> list[str]:
    line = f"{name} = {_name_type(schema)}"
    if len(line) <= WIDTH or "enum" not in schema:
        return [line]
    return [f"{name} = Literal[", *(f"    {_write_literal(value)}," for value in schema["enum"]), "]"]


def _write_class(name: str, schema: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield f"class {_python_name(name)}(TypedDict):"
    doc_lines = [line.strip() for line in str(schema.get("description", "")).splitlines()]
    if doc_lines:
        yield f'    """{doc_lines[0]}' + ('"""' if len(doc_lines) == 1 else "")
        yield from (f"    {line}".rstrip() for line in doc_lines[1:])
        if len(doc_lines) > 1:
            yield '    """'
        yield ""
    required = {*schema.get("required", ()), *_NEEDED.get(name, ())}
    for field, inner in schema["properties"].items():
        annotation = _name_type(inner)
        if field in _NEEDED.get(name, ()):
            annotation = annotation.removesuffix(" | None")
        yield f"    {field}: {annotation}" if field in required else f"    {field}: NotRequired[{annotation}]"
    yield ""


def _name_type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _python_name(str(schema["$ref"]).rpartition("/")[2])
    if "enum" in schema:
        return f"Literal[{', '.join(map(_write_literal, schema['enum']))}]"
    if "const" in schema:
        return f"Literal[{_write_literal(schema['const'])}]"
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return " | ".join(dict.fromkeys(map(_name_type, schema[key])))
    kind = schema.get("type")
    if kind == "array":
        return f"list[{_name_type(schema.get('items', {}))}]"
    if kind == "object":
        inner = schema.get("additionalProperties")
        return f"dict[str, {_name_type(inner) if isinstance(inner, dict) else 'Any'}]"
    if kind == "string" and schema.get("format") == "date-time":
        return "str | datetime"
    return _PLAIN.get(str(kind), "Any")


def _python_name(name: str) -> str:
    """The gateway's own classes have the plain names."""
    return f"{name}Dict" if name in _OBJECTS else name


def _write_literal(value: object) -> str:
    return '"' + value.replace('"', '\\"') + '"' if isinstance(value, str) else repr(value)
