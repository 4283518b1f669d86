"""Every body that a route takes is bounded in what it may hold, so its faults are, too."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from gateway.app import ENDPOINTS

BODIES = sorted({one.body for one in ENDPOINTS if one.body is not None}, key=lambda model: model.__name__)


def _arrays(schema: Any, at: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(schema, dict):
        if schema.get("type") == "array":
            yield at, schema
        for name, inner in schema.items():
            yield from _arrays(inner, f"{at}/{name}")
    elif isinstance(schema, list):
        for n, inner in enumerate(schema):
            yield from _arrays(inner, f"{at}/{n}")


@pytest.mark.parametrize("model", BODIES, ids=lambda model: model.__name__)
def test_a_list_says_how_long_it_may_be_and_a_longer_one_is_one_fault(model: type[BaseModel]) -> None:
    for at, schema in _arrays(model.model_json_schema()):
        assert "maxItems" in schema, at
    for name in model.model_fields:
        if not dict(_arrays(model.model_json_schema().get("properties", {}).get(name))):
            continue
        with pytest.raises(ValidationError) as found:
            model.model_validate_json(json.dumps({name: [{"x": 0}] * 5000}))
        mine = [one for one in found.value.errors() if one["loc"][0] == name]
        assert [one["type"] for one in mine] == ["too_long"], name
