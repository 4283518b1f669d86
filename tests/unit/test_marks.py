"""Watermarks: the names that they have in Redis, which a running state already bears."""

from __future__ import annotations

import itertools

import pytest

from stream_processors.state.marks import (
    PLACES,
    Mark,
    MarkKind,
    MarkStream,
    RequestOrigin,
    decode,
    fact_mark,
    origin_mark,
    source_mark,
)

NAMES = {
    "f3": fact_mark(3),
    "fc11": fact_mark(11, MarkStream.CASES),
    "s0": source_mark(0),
    "sw7": source_mark(7, MarkStream.RETRACTIONS),
    "saw7": source_mark(7, MarkStream.SIGNAL_RETRACTIONS),
    "e3": Mark(MarkKind.SETTLED, 3),
    "ea3": Mark(MarkKind.SETTLED_SECOND, 3),
    "eb3": Mark(MarkKind.SETTLED_THIRD, 3),
    "el3": Mark(MarkKind.PENDING_NOTICES, 3),
    "em3": Mark(MarkKind.PENDING_DELIVERIES, 3),
    "h3": Mark(MarkKind.HANDED_ON, 3),
    "hw3": Mark(MarkKind.HANDED_ON, 3, MarkStream.RETRACTIONS),
    "l2": Mark(MarkKind.ELECTIONS, 2),
    "n2": Mark(MarkKind.PROOF, 2),
    "o3:4": origin_mark(3, 4),
    "o3:w4": origin_mark(3, 4, source_stream=MarkStream.RETRACTIONS),
    "oi3:4": origin_mark(3, 4, stream=MarkStream.NOTICES),
    "i3:15": Mark(MarkKind.NOTICES, 3, source=15),
    "j3:15": Mark(MarkKind.REQUESTS, 3, source=15),
}


@pytest.mark.parametrize("name", NAMES)
def test_a_mark_has_the_name_that_it_always_had(name: str) -> None:
    assert NAMES[name].encode() == name
    assert decode(name) == NAMES[name]


def test_no_two_marks_have_one_name() -> None:
    streams = [stream for stream in MarkStream if not {stream.value} & {"l", "m", "b"}]
    sources = [(None, MarkStream.OWN), *((q, stream) for q in (0, 15) for stream in streams)]
    marks = [
        Mark(kind, p, stream, *source)
        for kind, p, stream, source in itertools.product(MarkKind, (0, 15), streams, sources)
        if kind not in PLACES or stream is MarkStream.OWN  # places have no streams
    ]
    assert len({mark.encode() for mark in marks}) == len(marks)
    assert all(decode(mark.encode()) == mark for mark in marks)


@pytest.mark.parametrize("name", ["", "stamp", "3", "f", "fx3", "f3:", "f-1", "q1", "f3:4:5", "f３"])
def test_any_other_name_is_none_of_a_mark(name: str) -> None:
    with pytest.raises(ValueError):
        decode(name)


@pytest.mark.parametrize("text", ["3:1024", "w0:1", "c15:7"])
def test_an_origin_of_a_request_is_read_as_it_was_written(text: str) -> None:
    origin = RequestOrigin.parse(text)
    assert str(origin) == text
    assert origin.mark_in(9).encode() == f"o9:{text.partition(':')[0]}"


@pytest.mark.parametrize("text", ["", "3", "3:", ":4", "x3:4", "3:4:5", "w:4"])
def test_anything_else_is_no_origin(text: str) -> None:
    with pytest.raises(ValueError):
        RequestOrigin.parse(text)
