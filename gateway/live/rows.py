"""Rows of a live queue, and the position in the log that the id of an event holds, so that any gateway can
resume from it.

Invariant: a row is the entry of the case in `GET /v1/queues/{queue}/cases` at that revision.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from schemas.cases.case import Case

Render = Callable[[Case], bytes]


class LiveRow:
    """A case at a revision, and the position of its change. Its JSON is made once, for all clients."""

    __slots__ = ("_json", "case", "offset", "partition")

    def __init__(self, case: Case, partition: int, offset: int) -> None:
        self.case, self.partition, self.offset = case, partition, offset
        self._json: bytes | None = None

    def json(self, render: Render) -> bytes:
        if self._json is None:
            self._json = render(self.case)
        return self._json


class FeedPlace(NamedTuple):
    """The log, and the next offset of each partition of `cases.changed.v1`."""

    log: str
    offsets: tuple[int, ...]

    def holds(self, row: LiveRow) -> bool:
        """Whether the row is before this place."""
        return row.offset < self.offsets[row.partition]


_PLACE = re.compile(r"([0-9a-f]{8})((?:-[0-9a-z]{1,11}){1,64})", re.ASCII)


def write_place(place: FeedPlace) -> str:
    """`1f0a93bc-2s-0-1a-…`: the log, then the offsets in base 36."""
    return "-".join((place.log, *map(_write_base36, place.offsets)))


def read_place(text: str) -> FeedPlace | None:
    """Parses what `write_place` wrote; None for anything else."""
    match = _PLACE.fullmatch(text)
    return None if match is None else FeedPlace(match[1], tuple(int(offset, 36) for offset in match[2].split("-")[1:]))


def reaches(place: FeedPlace, floor: Mapping[int, int]) -> bool:
    """Whether the rows kept from `floor` on include everything after the place."""
    return len(place.offsets) == len(floor) and all(place.offsets[p] >= first for p, first in floor.items())


def _write_base36(n: int) -> str:
    digits = ""
    while n or not digits:
        n, digit = divmod(n, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
    return digits
