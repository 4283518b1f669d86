"""Encodes cases as members of sorted sets: short, because there are many; and indexes an indicator's token to its cases.

A member of the index is the case id's own 12 bytes and 4 bytes for the queue that its signals are routed to, so that a small set
keeps Redis's compact form and an officer's search skips other queues without reading a case. Its score is the expiry of the
entry. For a case that was ever transferred (`moved`) only the case itself names its queue. Invariant: a member follows from case
id and queue alone. Entries are only added, and the latest expiry counts; so it does not matter which comes first, the signal or
the transfer.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from zlib import crc32

_CASE_ID = re.compile(r"case-([0-9a-f]{24})", re.ASCII)
_ID_BYTES, _QUEUE_BYTES = 12, 4
_OTHER = bytes(_ID_BYTES)


class Indexed(NamedTuple):
    """An entry: `queue` is the hash of the queue (`queue_mark`), not its name."""

    case_id: str
    queue: bytes


def brief(case_id: str) -> bytes:
    """A case as a member of a ranking: its id's own 12 bytes, in the same order; an id of another form follows a marker."""
    form = _CASE_ID.fullmatch(case_id)
    if form is not None:
        return bytes.fromhex(form[1])
    raw = case_id.encode()
    return b"=" * (2 if len(raw) == _ID_BYTES - 1 else 1) + raw  # never as long as the others


def in_full(member: bytes) -> str:
    """The case id that `brief` wrote."""
    return f"case-{member.hex()}" if len(member) == _ID_BYTES else member.lstrip(b"=").decode()


def queue_mark(queue: str) -> bytes:
    """Four bytes for a queue. Two names may share them: the case itself names its queue."""
    return crc32(queue.encode()).to_bytes(_QUEUE_BYTES, "big")


def member_of(case_id: str, queue: str) -> bytes:
    """16 bytes; an id of another form than decision 3 defines follows them unchanged."""
    form = _CASE_ID.fullmatch(case_id)
    if form is None:
        return _OTHER + queue_mark(queue) + case_id.encode()
    return bytes.fromhex(form[1]) + queue_mark(queue)


def indexed(member: bytes) -> Indexed:
    """What `member_of` wrote."""
    head, queue, rest = member[:_ID_BYTES], member[_ID_BYTES : _ID_BYTES + _QUEUE_BYTES], member[_ID_BYTES + _QUEUE_BYTES :]
    return Indexed(rest.decode() if rest else f"case-{head.hex()}", queue)
