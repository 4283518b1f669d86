"""What drawers hold, as readers want it: the members of a small index, the JSON of a case."""

from __future__ import annotations

from stream_processors.state.compression import unpack
from stream_processors.state.shared_hashes import case_entry, linked, taken


def newest(entry: bytes | None, now_ms: int) -> list[bytes]:
    """The members of a small index that have not ended, as a sorted set would give them: the longest time first."""
    value = None if entry is None else taken(entry, now_ms)
    rows = sorted(((ends, member) for member, ends in linked(value or b"") if ends > now_ms), reverse=True)
    return [member for _, member in rows]


def case_json(entry: bytes) -> bytes:
    return unpack(case_entry(entry).case)
