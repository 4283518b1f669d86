"""Records to bytes and back, by the topic table. An older record passes the upcasters of its topic first.

Invariant: `decode(topic, encode(topic, ...))` gives back what went in; what cannot be read raises CodecError, nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas.envelope import Envelope, Origin
from schemas.topics import Topic

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: dict[str, Upcaster] = {}
"""CloudEvents type of an older version -> the whole envelope one version newer (its `type` too)."""


@cache
def _adapter(model: type[BaseModel]) -> TypeAdapter[Envelope[Any]]:
    return TypeAdapter(Envelope[model])  # type: ignore[valid-type]


class CodecError(ValueError):
    """The bytes are no record of this topic; the message says where and why, without repeating values."""


def encode(
    topic: Topic,
    data: BaseModel,
    *,
    id: str,
    source: str,
    actor: str,
    time: datetime,
    origin: Origin | None = None,
    subject: str | None = None,
) -> bytes:
    """The record's value. `source` is the URI of the writer (`/gateway`), `time` an aware UTC instant."""
    head = {
        "specversion": "1.0",
        "id": id,
        "source": source,
        "type": topic.type,
        "time": time,
        "subject": subject,
        "datacontenttype": "application/json",
        "actor": actor,
        "origin": str(origin) if origin else None,
        "data": data.__dict__,
    }
    return orjson.dumps(head, _fields, orjson.OPT_UTC_Z)


def dump(data: BaseModel) -> bytes:
    """A record's JSON as `encode` writes it: half the cost of pydantic's own for these small models."""
    return orjson.dumps(_fields(data), _fields, orjson.OPT_UTC_Z)


def _fields(inner: Any) -> Any:
    if isinstance(inner, BaseModel):
        return {**inner.__dict__, **extra} if (extra := inner.__pydantic_extra__) else inner.__dict__
    raise TypeError(f"a {type(inner).__name__} has no place in a record")


def decode(topic: Topic, value: bytes | None, view: type[BaseModel] | None = None) -> Envelope[Any]:
    """The envelope with its typed data. CodecError for anything that is not a record of this topic.

    `view` is a smaller model with the fields that a reader uses; what it leaves out costs nothing.
    """
    adapter = _adapter(view or topic.model)
    if value is None:
        raise CodecError("the record has no value")
    try:
        envelope = adapter.validate_json(value)
    except ValidationError as error:
        older = _upcast(topic, value, adapter)
        if older is None:
            raise CodecError(_said(error)) from None
        envelope = older
    if envelope.type != topic.type:
        older = _upcast(topic, value, adapter)
        if older is None:
            raise CodecError(f"a record of type {envelope.type[:80]!r} on topic {topic.name}")
        envelope = older
    return envelope


def _upcast(topic: Topic, value: bytes, adapter: TypeAdapter[Envelope[Any]]) -> Envelope[Any] | None:
    try:
        raw = orjson.loads(value)
        kind = raw.get("type") if isinstance(raw, dict) else None
        if not isinstance(kind, str) or kind not in UPCASTERS:
            return None
        for _ in range(len(UPCASTERS) + 1):  # no way is longer than all of them
            if raw["type"] == topic.type:
                return adapter.validate_json(orjson.dumps(raw))
            raw = UPCASTERS[raw["type"]](raw)
        raise LookupError("the upcasters go round in a circle")
    except ValidationError as error:
        raise CodecError(_said(error)) from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # An upcaster met what its version never wrote: a dead letter, not the end of the worker.
        raise CodecError(f"no way from this version to {topic.type}: {type(error).__name__}") from None


def _said(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "record"
    return f"{where}: {first['msg']}"
