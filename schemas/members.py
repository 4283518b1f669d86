"""Checks that no member occurs twice in an object of a JSON text. RFC 8259 leaves open which one counts; here both are refused.

A reader of the first member (a firewall, the sender's own signer) would see another message than a reader of the last. Invariant:
every reader checks this before it uses a value, and the check is exact for every spelling of a name.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import orjson

Place = tuple[str | int, ...]


class Unreadable(ValueError):
    """The bytes are not a JSON text in UTF-8."""


def has_single_members(raw: bytes) -> bool:
    """Whether each member certainly occurs once in its object; False if that requires a closer look.

    A parser keeps one of two equal names, so the text written from its result has fewer colons. Colons inside of texts are equal
    in both, unless one is escaped. This decides nearly every text in two microseconds.
    """
    try:
        again = orjson.dumps(orjson.loads(raw))
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return False  # perhaps it holds a number that other parsers read, NaN
    return again.count(b":") == raw.count(b":") and b"u003a" not in raw and b"u003A" not in raw


def repeated_members(raw: bytes) -> Iterator[Place]:
    """Returns the place of each member that occurs twice in its object. Unreadable if the text is not JSON."""
    try:
        return _repeated(_DECODER.decode(raw.decode()), ())
    except (ValueError, RecursionError):
        raise Unreadable("not a JSON text in UTF-8") from None


class _Repeated(dict[str, Any]):
    """An object with repeated names."""

    names: list[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) == len(pairs):
        return members
    repeated = _Repeated(members)
    repeated.names = [name for name, times in Counter(name for name, _ in pairs).items() if times > 1]
    return repeated


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_int=str, parse_float=str, strict=False)


def _repeated(part: Any, place: Place) -> Iterator[Place]:
    if isinstance(part, _Repeated):
        yield from ((*place, name) for name in part.names)
    inner = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for name, value in inner:
        yield from _repeated(value, (*place, name))
