"""Encodes and decodes records by the topic table. Older records pass the upcasters of their topic first.

Invariant: `decode(topic, encode(topic, ...))` returns the input. Unreadable bytes raise CodecError and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Generic, TypeVar

import msgspec
import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from schemas.envelope import Envelope, Origin
from schemas.topics import Topic

Upcaster = Callable[[dict[str, Any]], dict[str, Any]]

UPCASTERS: dict[str, Upcaster] = {}
"""CloudEvents type of an older version -> function that returns the whole envelope one version newer, `type` included."""


Data = TypeVar("Data")
View = type[BaseModel] | type[msgspec.Struct]
"""The class that a reader decodes a record into: a pydantic model (full validation) or a struct (a tenth of the time)."""


class RowEnvelope(msgspec.Struct, Generic[Data], frozen=True):
    """The members of an envelope that a projection reads; its data is a struct."""

    type: str
    time: Annotated[datetime, msgspec.Meta(tz=True)]
    actor: str
    data: Data
    origin: str | None = None


AnyEnvelope = Envelope[Any] | RowEnvelope[Any]


@cache
def _reader(view: View) -> Callable[[bytes], AnyEnvelope]:
    if issubclass(view, msgspec.Struct):
        return msgspec.json.Decoder(RowEnvelope[view]).decode  # type: ignore[valid-type]
    return TypeAdapter(Envelope[view]).validate_json  # type: ignore[valid-type]


class CodecError(ValueError):
    """The bytes are not a record of this topic. The message gives the place and the reason, without values."""


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
    """Returns the record's value. `source` is the URI of the writer (`/gateway`), `time` an aware UTC instant."""
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
    """Returns the JSON that `encode` writes, at half the cost of pydantic's own dump for these small models."""
    return orjson.dumps(_fields(data), _fields, orjson.OPT_UTC_Z)


def _fields(inner: Any) -> Any:
    if isinstance(inner, BaseModel):
        fields = {**inner.__dict__, **extra} if (extra := inner.__pydantic_extra__) else inner.__dict__
        seldom = getattr(inner, "seldom", ())
        return {name: value for name, value in fields.items() if value or name not in seldom} if seldom else fields
    raise TypeError(f"a record cannot contain a {type(inner).__name__}")


def decode(topic: Topic, value: bytes | None, view: View | None = None) -> Any:
    """Returns the envelope with its typed data (AnyEnvelope). CodecError for anything that is not a record of this topic.

    `view` is a smaller model with the members that a reader uses; the omitted ones cost nothing.
    """
    read = _reader(view or topic.model)
    if value is None:
        raise CodecError("the record has no value")
    try:
        envelope = read(value)
    except _UNREADABLE as error:
        older = _upcast(topic, value, read)
        if older is None:
            raise CodecError(_describe_error(error)) from None
        envelope = older
    if envelope.type != topic.type:
        older = _upcast(topic, value, read)
        if older is None:
            raise CodecError(f"topic {topic.name} does not carry records of type {envelope.type[:80]!r}")
        envelope = older
    return envelope


_UNREADABLE = (ValidationError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def _upcast(topic: Topic, value: bytes, read: Callable[[bytes], AnyEnvelope]) -> AnyEnvelope | None:
    try:
        raw = orjson.loads(value)
        kind = raw.get("type") if isinstance(raw, dict) else None
        if not isinstance(kind, str) or kind not in UPCASTERS:
            return None
        for _ in range(len(UPCASTERS) + 1):  # no way is longer than all of them
            if raw["type"] == topic.type:
                return read(orjson.dumps(raw))
            raw = UPCASTERS[raw["type"]](raw)
        raise LookupError("the upcasters form a cycle")
    except _UNREADABLE as error:
        raise CodecError(_describe_error(error)) from None
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # An upcaster met what its version never wrote: a dead letter, not the end of the worker.
        raise CodecError(f"cannot upgrade this version to {topic.type}: {type(error).__name__}") from None


def _describe_error(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "record"
        return f"{where}: {first['msg']}"
    if isinstance(error, msgspec.MsgspecError):
        return re.sub(r"(['\"]).*\1", "...", str(error), flags=re.DOTALL)  # an unknown value is quoted there
    return f"record: {type(error).__name__}"
