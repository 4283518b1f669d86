"""All that is made from the code and committed, as one table of path and text.

Invariant: the same code gives the same bytes, so that a difference is a change of the contract, or a file edited by hand.
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
from gateway.problems import render

FOLDER = Path("docs/contracts")
OPENAPI, ASYNCAPI = FOLDER / "openapi.json", FOLDER / "asyncapi.json"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def made() -> dict[Path, str]:
    """Path below the project -> text."""
    http, log = document(ENDPOINTS), asyncapi.document()
    found = {OPENAPI: as_text(http), ASYNCAPI: as_text(log)}
    for topic in asyncapi.ALL:
        found[FOLDER / "schemas" / f"{asyncapi.label(topic)}.json"] = as_text(alone(log, asyncapi.payload_name(topic)))
    for name in bodies(http):
        found[FOLDER / "schemas" / "http" / f"{name}.json"] = as_text(alone(http, name))
    found[Path("connectors/client/signals.py")] = signal_module()
    found[Path("docs/reference/errors.md")] = render()
    return found


def differences(root: Path | None = None) -> list[str]:
    """What is not as the code says, one sentence a file."""
    root = root or project_root()
    wanted = made()
    told = [f"{path} is missing" for path in wanted if not (root / path).exists()]
    told += [f"{path} differs" for path, text in wanted.items() if (root / path).exists() and _read(root / path) != text]
    return told + [f"{path} is of nothing that there is" for path in _left_over(root, wanted)]


def write(root: Path | None = None) -> list[Path]:
    """Makes it so; the files that changed."""
    root = root or project_root()
    wanted = made()
    changed = [path for path, text in wanted.items() if not (root / path).exists() or _read(root / path) != text]
    for path in changed:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(wanted[path], "utf-8")
    for path in (gone := list(_left_over(root, wanted))):
        (root / path).unlink()
    return changed + gone


def as_text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"


def bodies(http: dict[str, Any]) -> list[str]:
    """The names of the schemas that are a whole body or answer."""
    found = set()
    for path in http["paths"].values():
        for operation in path.values():
            for part in (operation.get("requestBody", {}), *operation["responses"].values()):
                for media in part.get("content", {}).values():
                    schema = media["schema"].get("contentSchema", media["schema"])
                    found |= {one["$ref"].rpartition("/")[2] for one in _forms(schema) if "$ref" in one}
    return sorted(found)


def _forms(schema: dict[str, Any]) -> list[dict[str, Any]]:
    return [schema, *schema.get("allOf", ()), *schema.get("anyOf", ())]


def alone(whole: dict[str, Any], name: str) -> dict[str, Any]:
    """One schema with all that it refers to, for a validator."""
    named = whole["components"]["schemas"]
    needed, left = set[str](), [name]
    while left:
        one = left.pop()
        for found in _references(named[one]):
            if found not in needed:
                needed.add(found)
                left.append(found)
    schema = {"$schema": _DIALECT, **_moved(named[name])}
    return schema | ({"$defs": {one: _moved(named[one]) for one in sorted(needed)}} if needed else {})


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(found := value.get("$ref"), str):
            yield found.rpartition("/")[2]
        for one in value.values():
            yield from _references(one)
    elif isinstance(value, list):
        for one in value:
            yield from _references(one)


def _moved(value: Any) -> Any:
    """The same with references into `$defs`."""
    if isinstance(value, dict):
        moved = {key: _moved(one) for key, one in value.items()}
        if isinstance(value.get("$ref"), str):
            moved["$ref"] = "#/$defs/" + value["$ref"].rpartition("/")[2]
        return moved
    return [_moved(one) for one in value] if isinstance(value, list) else value


def _left_over(root: Path, wanted: dict[Path, str]) -> Iterator[Path]:
    for path in sorted((root / FOLDER / "schemas").rglob("*.json")):
        if path.relative_to(root) not in wanted:
            yield path.relative_to(root)


def _read(path: Path) -> str:
    return path.read_text("utf-8")
