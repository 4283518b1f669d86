"""Shared hashes: many small values share one, because a Redis key of its own costs more than most of our values.

The Redis side is in lua/shared_hash.lua (`look`, `lay`) and lua/guard.lua (`look_case`); this is how others read it. Invariant:
the shared hash is derived from the name; all versions of a signal share one; a hash outlives its entries; expired entries read as
absent even before they are purged.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import cache
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

from stream_processors.state.keys import BUCKETS, Concern, Namespace

DRAWERS = 1024
"""Hashes per concern and bucket. With 512 entries each (Redis' own bound) they store 8 million values of a concern compactly.
More values work, too, and take more memory."""
END_BYTES, _REVISION_BYTES = 6, 4
FAR = 1 << 50
"""Offset between sightings beside other subjects and the latest sightings of institutions (`FAR` in lua/guard.lua)."""
HEAD = b""
"""The name of a shared hash's header: its expiry, and the time of its last purge."""
_TAGS = {"sig-": b"\x01", "": b"\x02"}
"""Only short names in a shared hash begin with these bytes."""
_HEADS = {tag: head for head, tag in _TAGS.items()}
_LONG = re.compile(r"(sig-|)([A-Za-z0-9_-]{21}[AQgw])((?:/\d+)?)")


@cache
def read_lua(name: str) -> str:
    """A script of the state, or a part of one: `shared_hash` precedes all that read or write such entries."""
    return (Path(__file__).parent / "lua" / f"{name}.lua").read_text("utf-8")


class CaseEntry(NamedTuple):
    """`at` is the set of the case ("" none), `case` its compressed JSON."""

    revision: int
    at: str
    case: bytes


def drawer_of(name: str) -> int:
    """By the part of its checksum that does not determine its bucket (`bucket_of`)."""
    return crc32(name.partition("/")[0].encode()) // BUCKETS % DRAWERS


def drawer(keys: Namespace, bucket: int, concern: Concern, name: str) -> str:
    """The key of the hash that holds the value of this name."""
    return f"{{{keys.tag}{bucket}}}{concern}={drawer_of(name)}"


def taken(entry: bytes, now_ms: int) -> bytes | None:
    """The value of an entry; None after its expiry."""
    return entry[END_BYTES:] if int.from_bytes(entry[:END_BYTES], "big") > now_ms else None


def case_entry(entry: bytes) -> CaseEntry:
    at = _REVISION_BYTES + 1 + entry[_REVISION_BYTES]
    return CaseEntry(int.from_bytes(entry[:_REVISION_BYTES], "big"), entry[_REVISION_BYTES + 1 : at].decode(), entry[at:])


def linked(value: bytes) -> list[tuple[bytes, int]]:
    """The members of a small index (`link` in lua/guard.lua) with their expiry."""
    members, at = [], 0
    while at < len(value):
        length, ends = value[at], int.from_bytes(value[at + 1 : at + 1 + END_BYTES], "big")
        at += 1 + END_BYTES + length
        members.append((value[at - length : at], ends))
    return members


def lone(value: bytes) -> tuple[int, str, str]:
    """The only sighting of an indicator (`see` in lua/guard.lua): time, institution, content."""
    at = END_BYTES + 1 + value[END_BYTES]
    return int.from_bytes(value[:END_BYTES], "big"), value[END_BYTES + 1 : at].decode(), value[at:].decode()


def lone_rows(value: bytes) -> list[tuple[str, int]]:
    """The only sighting as members of the sorted set that it would be with others, each with its score."""
    occurred, institution, content = lone(value)
    rows = [(f"s{institution}|{content}", occurred), ("i" + institution, -occurred)]
    beside = content.partition(">")[2]
    return [*rows, ("p" + beside, -FAR - occurred)] if beside else rows


def only(value: bytes) -> tuple[int, str]:
    """The only member of a bounded set (`put` in lua/guard.lua): its score, itself."""
    return int.from_bytes(value[:END_BYTES], "big"), value[END_BYTES:].decode()


def short(name: str) -> bytes | str:
    """The id of a signal (optionally with a version), a content or a body in a shared hash: its 16 bytes after a tag, because ids
    are the larger part of small values. Any other name is unchanged."""
    match = _LONG.fullmatch(name)
    return name if match is None else _TAGS[match[1]] + urlsafe_b64decode(match[2] + "==") + match[3].encode()


def named(raw: bytes) -> str:
    """A printable name, whatever its bytes are."""
    return long(raw) if raw[:1] in _HEADS else raw.decode("utf-8", "backslashreplace")


def long(name: bytes) -> str:
    """The original of a short name."""
    if (head := _HEADS.get(name[:1])) is None:
        return name.decode()
    return head + urlsafe_b64encode(name[1:17])[:22].decode() + name[17:].decode()
