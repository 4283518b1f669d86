"""JSON responses: from plain values for the busiest routes, from models for the others.

Invariant: a response omits members without a value, so absence has one meaning.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from pydantic import BaseModel
from starlette.responses import Response


def json_reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json")


def dumped(model: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(model.model_dump_json(exclude_none=True), status, headers, "application/json")
