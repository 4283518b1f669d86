"""Watermarks: how far a stage is in a partition, as a value; the name by which each bucket of Redis keeps it.

Invariant: `encode` and `decode` are the only two that know the names, and each is the other's inverse.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from typing import NamedTuple


class MarkKind(StrEnum):
    """What the number of a mark counts. The value is how its name begins."""

    FACT = "f"
    """The next fact of a stream that the state has not folded."""
    SOURCE = "s"
    """The next record of a topic that facts are about."""
    SETTLED = "e"
    """The next record whose consequences are not in the log yet. Of the inputs of a stage whose state
    is its places there is one each."""
    SETTLED_SECOND = "ea"
    SETTLED_THIRD = "eb"
    HANDED_ON = "h"
    """Beside SETTLED: the next record that the facts before it are about."""
    ELECTIONS = "l"
    """How often the partitions were given a leader when the requests in them were last known to be there."""
    PROOF = "n"
    """No number: the nonce of the step that wrote to the bucket last."""
    ORIGIN = "o"
    """The next number of what one partition of a source topic asks for."""
    NOTICES = "i"
    """Behind the newest notice that deliver wrote to a partition."""
    REQUESTS = "j"
    """Behind the newest request that deliver wrote to a partition."""
    PENDING_NOTICES = "el"
    """The lowest notice that webhook must read to know what is pending."""
    PENDING_DELIVERIES = "em"
    """The lowest delivery mark that it must read for that."""


OF_FACTS = frozenset((MarkKind.FACT, MarkKind.SOURCE, MarkKind.ORIGIN))
"""Those that the facts alone give exactly. The others they give back only to within a poll (topology.py): after a loss they may
differ by bucket, and the lowest holds."""
PLACES = (MarkKind.SETTLED, MarkKind.SETTLED_SECOND, MarkKind.SETTLED_THIRD)
"""Of the inputs of a stage whose state is its places, in their order."""


class MarkStream(StrEnum):
    """Which of a stage's streams a mark is about."""

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
    """`partition` is that of the topic that the stage folds or reads; `source` is the partition of `source_stream` that the
    number counts, for marks that tell several sources of one partition apart (ORIGIN, NOTICES, REQUESTS)."""

    kind: MarkKind
    partition: int = 0
    stream: MarkStream = MarkStream.OWN
    source: int | None = None
    source_stream: MarkStream = MarkStream.OWN

    def at(self, partition: int) -> Mark:
        return self._replace(partition=partition)

    def encode(self) -> str:
        """The name in the state."""
        return _encode(self)

    def __str__(self) -> str:
        return _encode(self)


Marks = dict[Mark, int]
STAMP = "stamp"
"""Stands among the names of a bucket's marks: which state this is (keys.py)."""

_NAME = re.compile(r"(e[ablm]|[a-z])([a-z]*)(\d+)(?::([a-z]*)(\d+))?", re.ASCII)
_NUMBERED_SOURCE = re.compile(r"([a-z]*)(\d+):(\d+)", re.ASCII)


@cache
def _encode(mark: Mark) -> str:
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
    """Which record of a source partition asked for an action, as a number that grows along the partition."""

    stream: MarkStream
    partition: int
    number: int

    def __str__(self) -> str:
        """As a change of a case tells it: `w3:1024`."""
        return f"{self.stream}{self.partition}:{self.number}"

    def mark_in(self, partition: int) -> Mark:
        """The mark, in a partition of the actions, that tells echoes of it apart."""
        return origin_mark(partition, self.partition, source_stream=self.stream)

    @classmethod
    def parse(cls, text: str) -> RequestOrigin:
        """What `str` gave. ValueError for anything else."""
        match = _NUMBERED_SOURCE.fullmatch(text)
        if match is None:
            raise ValueError(f"{text!r} is no origin of a request")
        return cls(MarkStream(match[1]), int(match[2]), int(match[3]))
