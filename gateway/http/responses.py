"""JSON responses: from plain values for the busiest routes, from models for the others.

Invariant: a response omits members without a value, so absence has one meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import BaseModel
from starlette.responses import Response

from schemas.orders.requests import ANSWERS


class LinksOut(BaseModel):
    self: str


def json_reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json")


def dumped(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(model.model_dump_json(exclude_none=True), status, headers, "application/json")


def copy_fields(model: type[BaseModel], record: BaseModel, *made: str) -> dict[str, Any]:
    """The members of an answer that its record has under the same name: all but those that are `made`. AttributeError for another
    one that the record has not."""
    return {name: getattr(record, name) for name in model.model_fields if name not in made}


_WORDS = {event.value: word for word, event in ANSWERS.items()} | {"attempt": "attempts", "succeed": "attempts"}


def words(moves: tuple[str, ...] | list[str]) -> list[str]:
    """Returns actions by their names in the interface: the last part of a path, or the `result` of an answer."""
    return list(dict.fromkeys(_WORDS.get(move, move.replace("_", "-")) for move in moves))
