"""Watermarks: the progress of a stage in a partition, as a value; and its name in each bucket of Redis.

Invariant: only `encode` and `decode` know the names, and each is the other's inverse.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from typing import NamedTuple


class MarkKind(StrEnum):
    """The meaning of a watermark's number. The value begins its name."""

    FACT = "f"
    """The next fact of a stream that the state has not projected."""
    SOURCE = "s"
    """The next source record of a topic's facts."""
    SETTLED = "e"
    """The next record whose consequences are not in the log yet. A stage whose state consists of positions has one for each
    input."""
    SETTLED_SECOND = "ea"
    SETTLED_THIRD = "eb"
    HANDED_ON = "h"
    """Beside SETTLED: the next source record of the facts before it."""
    ELECTIONS = "l"
    """The number of leader elections of the partitions when their requests were last known to be there."""
    PROOF = "n"
    """Not a number: the nonce of the last step that wrote to the bucket."""
    ORIGIN = "o"
    """The next number of the requests of one partition of a source topic."""
    NOTICES = "i"
    """The end of the notices that deliver wrote to a partition."""
    REQUESTS = "j"
    """The end of the requests that deliver wrote to a partition."""
    PENDING_NOTICES = "el"
    """The lowest notice that webhook must read to find pending deliveries."""
    PENDING_DELIVERIES = "em"
    """The lowest delivery mark that it must read for that."""


OF_FACTS = frozenset((MarkKind.FACT, MarkKind.SOURCE, MarkKind.ORIGIN))
"""Watermarks that the facts restore exactly. The others are restored only to within a poll (topology.py): after a loss they may
differ by bucket, and the lowest counts."""
PLACES = (MarkKind.SETTLED, MarkKind.SETTLED_SECOND, MarkKind.SETTLED_THIRD)
"""Of the inputs of a stage whose state is its places, in their order."""


class MarkStream(StrEnum):
    """The stream of a stage that a watermark concerns."""

    OWN = ""  # the stage's own facts and its first input: what every stage has
    RETRACTIONS = "w"  # of signals, as assess reads them
    CASES = "c"  # their changes, as a stage folds them that does not write them
    SIGNALS = "a"  # decisions about them, as project folds them
    SIGNAL_RETRACTIONS = "aw"  # what those are about beside signals
    NOTICES = "i"
    DELIVERIES = "d"
    ENDPOINTS = "h"
    OVERSIGHT = "v"


class Mark(NamedTuple):
    """`partition` is that of the projected or read topic; `source` is the partition of `source_stream` that the number counts,
    for watermarks that distinguish several sources of one partition (ORIGIN, NOTICES, REQUESTS)."""

    kind: MarkKind
    partition: int = 0
    stream: MarkStream = MarkStream.OWN
    source: int | None = None
    source_stream: MarkStream = MarkStream.OWN

    def at(self, partition: int) -> Mark:
        return self._replace(partition=partition)

    def encode(self) -> str:
        """The name in the state."""
        return _encode_mark(self)


Marks = dict[Mark, int]
STAMP = "stamp"
"""Among the names of a bucket's watermarks: the stamp of the state (keys.py)."""

_NAME = re.compile(r"(e[ablm]|[a-z])([a-z]*)(\d+)(?::([a-z]*)(\d+))?", re.ASCII)
_NUMBERED_SOURCE = re.compile(r"([a-z]*)(\d+):(\d+)", re.ASCII)


@cache
def _encode_mark(mark: Mark) -> str:
    name = f"{mark.kind}{mark.stream}{mark.partition}"
    return name if mark.source is None else f"{name}:{mark.source_stream}{mark.source}"


@cache
def decode(name: str) -> Mark:
    """What `encode` gave. ValueError for any other name."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is the name of no mark")
    kind, stream, partition, source_stream, source = match.groups()
    return Mark(
        MarkKind(kind),
        int(partition),
        MarkStream(stream),
        None if source is None else int(source),
        MarkStream(source_stream or ""),
    )


@cache
def fact_mark(partition: int, stream: MarkStream = MarkStream.OWN) -> Mark:
    return Mark(MarkKind.FACT, partition, stream)


@cache
def source_mark(partition: int, stream: MarkStream = MarkStream.OWN) -> Mark:
    return Mark(MarkKind.SOURCE, partition, stream)


@cache
def origin_mark(
    partition: int, source: int, *, stream: MarkStream = MarkStream.OWN, source_stream: MarkStream = MarkStream.OWN
) -> Mark:
    """Of what partition `source` of the source topic asks for in a partition."""
    return Mark(MarkKind.ORIGIN, partition, stream, source, source_stream)


class RequestOrigin(NamedTuple):
    """The record of a source partition that requested an action, as a number that grows along the partition."""

    stream: MarkStream
    partition: int
    number: int

    def __str__(self) -> str:
        """As a change of a case tells it: `w3:1024`."""
        return f"{self.stream}{self.partition}:{self.number}"

    def mark_in(self, partition: int) -> Mark:
        """The watermark, in a partition of the actions, that identifies its redeliveries."""
        return origin_mark(partition, self.partition, source_stream=self.stream)

    @classmethod
    def parse(cls, text: str) -> RequestOrigin:
        """What `str` gave. ValueError for anything else."""
        match = _NUMBERED_SOURCE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no origin of a request")
        return cls(MarkStream(match[1]), int(match[2]), int(match[3]))
