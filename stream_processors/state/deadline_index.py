"""The timekeeper's index in Redis: the encoding of a case's moments, their storage, and their reading.

An entry for each case in a shared hash (by the end of its id): revision (4 bytes), its first moment (6), the count (1), then each
as its distance from the first, run and step, and the deadline's name. The cases are in the order of their first moments
(lua/dues.lua). Invariant: entry and place follow from the case's newest change alone; a bucket belongs to one partition of the
cases, so only its owner requests its due moments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple
from zlib import crc32

from schemas.deadlines import DeadlineStep
from schemas.topics import CASE_CHANGES
from stream_processors.domain.deadlines.due_index import Moment
from stream_processors.runtime.log import partition_of
from stream_processors.state.case_refs import brief, in_full
from stream_processors.state.effects import Effect, settle
from stream_processors.state.keys import BUCKETS, TIMEKEEPER

NAMES = (
    "acknowledge", "verify_stop", "emergency_stop", "quick_freeze", "return_of_funds", "return_notice", "suspicious_report",
    "warn", "block", "report", "dissuade", "written_notice", "appeal", "release", "answer_letter", "order_answer",
    "order_validity", "order_approval", "order_lift", "dispose",
)  # fmt: skip
"""Common names of deadlines, encoded as one byte. Append new names at the end; other names are written in full."""
_CODES = {name: code for code, name in enumerate(NAMES)}
_IN_FULL = 128
_STEPS = tuple(DeadlineStep)


def share_of_buckets(buckets: int, partitions: int) -> int:
    """The number of buckets for each partition of the cases. ValueError if there is not one for each: only its owner requests the
    due moments of a bucket, so no two partitions can share one."""
    if partitions > buckets:
        raise ValueError(
            f"{partitions} partitions of {CASE_CHANGES.name} cannot share {buckets} buckets of the timekeeper: at most {buckets} "
            "partitions are possible (schemas/topics.py: PARTITIONS), or more buckets (stream_processors/state/keys.py: BUCKETS)"
        )
    return buckets // partitions


_SHARE = share_of_buckets(BUCKETS, CASE_CHANGES.partitions)
_AT_BYTES, _HEAD_BYTES = 6, 4 + 6 + 1
MOST_MS = (1 << 47) - 1
"""A time later than any moment."""


class Indexed(NamedTuple):
    """A case of the index with its moments; `member` is its place in the order."""

    member: bytes
    case_id: str
    moments: tuple[Moment, ...]


class Sweep:
    """A bucket scanned for due moments, a part at a time. `behind` is the place to continue from, `open` the number of moments;
    `oldest_ms` the first due time at the beginning, `due` the number of cases in the last full scan."""

    def __init__(self) -> None:
        self.behind, self.open, self.due = b"", 0, 0
        self.oldest_ms: int | None = None
        self._seen = 0

    def went(self, count: int, cases: Sequence[Indexed], most: int) -> None:
        """A scan that asked for `most` cases; 0: only for the first, which leaves the place unchanged."""
        self.open = count
        if not most or not self.behind:
            self.oldest_ms = cases[0].moments[0].at_ms if cases else None
        if not most:
            return
        self._seen += len(cases)
        if len(cases) < most:
            self.behind, self.due, self._seen = b"", self._seen, 0
        else:
            self.behind, self.due = cases[-1].member, max(self.due, self._seen)


def bucket_of_case(case_id: str) -> int:
    raw = case_id.encode()
    return partition_of(raw, CASE_CHANGES.partitions) * _SHARE + crc32(raw) % _SHARE


def buckets_of(partition: int) -> range:
    return range(partition * _SHARE, (partition + 1) * _SHARE)


def partition_of_bucket(bucket: int) -> int:
    return bucket // _SHARE


def settled(case_id: str, revision: int, moments: Sequence[Moment]) -> Effect:
    """The case has these sorted moments from this revision on; an older one changes nothing."""
    first = moments[0].at_ms if moments else 0
    packed = pack(moments, first)
    return settle(bucket_of_case(case_id), brief(case_id), revision, first, len(moments), packed)


def pack(moments: Sequence[Moment], first_ms: int) -> bytes:
    packed = bytearray()
    for at_ms, clock, run, step in moments:
        _append_number(packed, at_ms - first_ms)
        _append_number(packed, run * len(_STEPS) + _STEPS.index(step))
        if (code := _CODES.get(clock)) is not None:
            packed.append(code)
        else:
            packed.append(_IN_FULL + len(clock))
            packed += clock.encode()
    return bytes(packed)


def _append_number(to: bytearray, value: int) -> None:
    """Seven bits in each byte, the lowest first; the last byte is below 128."""
    while value > 127:
        to.append(value & 127 | 128)
        value >>= 7
    to.append(value)


def indexed(member: bytes, entry: bytes) -> Indexed:
    """The index entry of a case, from the order and the shared hash."""
    return Indexed(member, in_full(member[_AT_BYTES:]), tuple(_read_moments(entry)))


def _list_entries(key: bytes, drawer: Mapping[bytes, bytes]) -> dict[str, str]:
    """The entries of a shared hash by case."""
    head = key.partition(b"}")[0].decode()
    return {
        f"{head}}}c:{in_full(case)}": f"{int.from_bytes(entry[:4], 'big')} {list(map(str, _read_moments(entry)))}"
        for case, entry in drawer.items()
    }


def _list_order(key: bytes, part: Sequence[tuple[bytes, float]]) -> dict[str, str]:
    """The places of a part. The division of the order into parts depends on arrival and has no meaning."""
    head = key.partition(b"}")[0].decode()
    return {f"{head}}}d:{place.hex()}": "there" for place, _ in part}


READ: dict[tuple[str, bytes], Callable[[bytes, Any], dict[str, str]]] = {
    (TIMEKEEPER.tag, b"c"): _list_entries,
    (TIMEKEEPER.tag, b"d"): _list_order,
    (TIMEKEEPER.tag, b"o"): lambda key, parts: {},
}
"""Namespace and concern -> function that renders a value of the index as text, to compare two states."""


def _read_moments(entry: bytes) -> Iterator[Moment]:
    first_ms, at = int.from_bytes(entry[4:10], "big"), _HEAD_BYTES

    def number() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = entry[at]
            at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    while at < len(entry):
        later_ms = number()
        run, step = divmod(number(), len(_STEPS))
        code = entry[at]
        at += 1
        if code < _IN_FULL:
            name = NAMES[code]
        else:
            name = entry[at : at + code - _IN_FULL].decode()
            at += code - _IN_FULL
        yield Moment(first_ms + later_ms, name, run, _STEPS[step])
