"""The contribution of a signal's version, compressed: one value for each signal that counts (assess, `j:`)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import orjson

from schemas.signals.retraction import Contribution
from stream_processors.state import compression as packing
from stream_processors.state.compression import Form


class Placed(NamedTuple):
    """A contribution and the partition that ordered it."""

    partition: int
    contribution: Contribution


EPOCH, _US = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
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
    "sighting_tokens",
    "traces",
    "queues",
)


def pack(partition: int, contribution: Contribution) -> bytes:
    """The times to the microsecond: what is taken away must fall into the same day and the same bucket again."""
    at, noticed_at = contribution.accepted_at, contribution.known_at
    times = (at and (at - EPOCH) // _US, at and noticed_at and (at - noticed_at) // _US)
    key = () if contribution.case_key is None else (contribution.case_key,)  # seldom: most cases are the primary subject's
    row = orjson.dumps((partition, *(getattr(contribution, name) for name in _FIELDS), *times, *key))
    return packing.pack(Form.STANDING, row)


def unpack(signal_id: str, raw: bytes) -> Placed:
    """What `pack` wrote under the name of a version of this signal."""
    partition, *values = orjson.loads(packing.unpack(raw))
    at_us, took_us, *key = values[len(_FIELDS) :]
    fields = {name: _to_tuples(value) for name, value in zip(_FIELDS, values, strict=False)}
    at = None if at_us is None else EPOCH + at_us * _US
    noticed_at = None if at is None or took_us is None else at - took_us * _US
    fields |= {"accepted_at": at, "known_at": noticed_at, "case_key": key[0] if key else None}
    return Placed(partition, Contribution.trusted(signal_id=signal_id, **fields))


def _to_tuples(value: Any) -> Any:
    return tuple(map(_to_tuples, value)) if isinstance(value, list) else value
