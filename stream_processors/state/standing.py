"""What a version of a signal left standing, packed small: one value a signal that counts (assess, `j:`)."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from schemas.retractions import Standing
from stream_processors.state import packing
from stream_processors.state.packing import Form


class Placed(NamedTuple):
    """A standing and the partition in whose order it was made."""

    partition: int
    standing: Standing


_FIELDS = (
    "version",
    "institution",
    "kind",
    "score",
    "amount_minor",
    "currency",
    "trust",
    "content_id",
    "primary",
    "sighted",
    "traces",
    "queues",
)


def pack(partition: int, standing: Standing) -> bytes:
    row = orjson.dumps((partition, *(getattr(standing, name) for name in _FIELDS)))
    return packing.pack(Form.STANDING, row)


def unpack(signal_id: str, raw: bytes) -> Placed:
    """What `pack` wrote under the name of a version of this signal."""
    partition, *values = orjson.loads(packing.unpack(raw))
    fields = {name: _tuples(one) for name, one in zip(_FIELDS, values, strict=True)}
    return Placed(partition, Standing.trusted(signal_id=signal_id, **fields))


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
