"""Changes of cases are read as the views project them: of the same stream, with the same marks, and each once."""

from __future__ import annotations

from datetime import datetime

from schemas.cases.case import ActionKind, CaseChange
from schemas.codec import encode
from schemas.envelope import Origin
from schemas.topics import CASE_CHANGES, CASE_COMMANDS
from stream_processors.runtime.log import Record
from stream_processors.topology import STAGES
from stream_processors.views.case_feed import STREAM, CaseFeed, FeedStart
from tests.support.builders import T0, case_in

PROJECTED = next(stream for stream in STAGES["project"].streams if stream.topic is CASE_CHANGES)


def record(offset: int, source: int, *, case: bool = True, at: datetime = T0) -> Record:
    """The change that the request `source` made, at an offset of partition 3."""
    change = CaseChange(
        outcome="applied",
        action_id=f"act-{source}",
        kind=ActionKind.CLAIM,
        actor="officer:officer-1",
        at=at,
        origin=str(Origin(CASE_COMMANDS.name, 3, source)),
        case_id="case-1",
        case=case_in("open") if case else None,
    )
    origin = Origin(CASE_COMMANDS.name, 3, source)
    value = encode(CASE_CHANGES, change, id=f"chg-{offset}", source="/track", actor="stage:track", time=at, origin=origin)
    return Record(3, offset, 0, b"case-1", value)


def test_the_feed_is_of_the_stream_that_the_views_project() -> None:
    assert STREAM.topic is PROJECTED.topic
    for partition in range(CASE_CHANGES.partitions):
        assert STREAM.fact_mark(partition) == PROJECTED.fact_mark(partition)
        assert STREAM.source_mark(partition) == PROJECTED.source_mark(partition)
        origin = str(Origin(CASE_COMMANDS.name, partition, 7))
        assert STREAM.source_of(origin, partition) == PROJECTED.source_of(origin, partition)


def test_each_change_counts_once_and_what_the_views_had_already_does_not() -> None:
    feed = CaseFeed(FeedStart("cluster|x#1", {3: 10}, {3: 5}))
    records = [
        record(10, 4),
        record(11, 5),
        record(12, 5),
        record(13, 6, case=False),
        Record(3, 14, 0, b"x", b"{"),
        record(15, 7),
    ]
    assert [offset for offset, _ in feed.read_cases(3, records[:4])] == [11]
    assert [offset for offset, _ in feed.read_cases(3, records[4:])] == [15]
    assert feed.ends == {3: 16}


def test_a_start_names_its_log_and_not_its_generation() -> None:
    assert FeedStart("cluster|x#7", {}, {}).log == "cluster|x"
