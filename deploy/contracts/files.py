"""All generated and committed files, as one table of path and text.

Invariant: the same code gives the same bytes, so a difference is a change of the contract, or a file edited by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from deploy.contracts import asyncapi
from deploy.contracts.typed import signal_module
from deploy.local.paths import project_root
from gateway.app import ENDPOINTS
from gateway.http.openapi import document
from gateway.http.problem_table import render

FOLDER = Path("docs/contracts")
OPENAPI, ASYNCAPI = FOLDER / "openapi.json", FOLDER / "asyncapi.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def made() -> dict[Path, str]:
    """Path below the project -> text."""
    http, log = document(ENDPOINTS), asyncapi.document()
    texts = {OPENAPI: as_text(http), ASYNCAPI: as_text(log)}
    for topic in asyncapi.ALL:
        texts[FOLDER / "schemas" / f"{asyncapi.label(topic)}.json"] = as_text(alone(log, asyncapi.payload_name(topic)))
    for name in bodies(http):
        texts[FOLDER / "schemas" / "http" / f"{name}.json"] = as_text(alone(http, name))
    texts[Path("connectors/client/signals.py")] = signal_module()
    texts[Path("docs/reference/errors.md")] = render()
    return texts


def differences(root: Path | None = None) -> list[str]:
    """Returns the differences from the code, one sentence for each file."""
    root = root or project_root()
    expected = made()
    sentences = [f"{path} is missing" for path in expected if not (root / path).exists()]
    there = {path: text for path, text in expected.items() if (root / path).exists()}
    sentences += [f"{path} differs" for path, text in there.items() if _read_text(root / path) != text]
    return sentences + [f"{path} belongs to no contract" for path in _left_over(root, expected)]


def write(root: Path | None = None) -> list[Path]:
    """Writes the files and returns those that changed."""
    root = root or project_root()
    expected = made()
    changed = [path for path, text in expected.items() if not (root / path).exists() or _read_text(root / path) != text]
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(expected[path], "utf-8")
    for path in (stale := list(_left_over(root, expected))):
        (root / path).unlink()
    return changed + stale


def as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def bodies(http: dict[str, Any]) -> list[str]:
    """Returns the names of the schemas that are a whole request or response."""
    names = set()
    for path in http["paths"].values():
        for operation in path.values():
            for part in (operation.get("requestBody", {}), *operation["responses"].values()):
                for media in part.get("content", {}).values():
                    schema = media["schema"].get("contentSchema", media["schema"])
                    names |= {form["$ref"].rpartition("/")[2] for form in _list_forms(schema) if "$ref" in form}
    return sorted(names)


def _list_forms(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [schema, *schema.get("allOf", ()), *schema.get("anyOf", ())]


def alone(contract: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns one schema with everything it refers to, for a validator."""
    named = contract["components"]["schemas"]
    needed, pending = set[str](), [name]
    while pending:
        referrer = pending.pop()
        for reference in _find_references(named[referrer]):
            if reference not in needed:
                needed.add(reference)
                pending.append(reference)
    schema = {"$schema": _DIALECT, **_point_inside(named[name])}
    return schema | ({"$defs": {definition: _point_inside(named[definition]) for definition in sorted(needed)}} if needed else {})


def _find_references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(reference := value.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for member in value.values():
            yield from _find_references(member)
    elif isinstance(value, list):
        for member in value:
            yield from _find_references(member)


def _point_inside(value: Any) -> Any:
    """Returns the same with references into `$defs`."""
    if isinstance(value, dict):
        moved = {key: _point_inside(member) for key, member in value.items()}
        if isinstance(value.get("$ref"), str):
            moved["$ref"] = "#/$defs/" + value["$ref"].rpartition("/")[2]
        return moved
    return [_point_inside(member) for member in value] if isinstance(value, list) else value


def _left_over(root: Path, expected: dict[Path, str]) -> Iterator[Path]:
    for path in sorted((root / FOLDER / "schemas").rglob("*.json")):
        if path.relative_to(root) not in expected:
            yield path.relative_to(root)


def _read_text(path: Path) -> str:
    return path.read_text("utf-8")
