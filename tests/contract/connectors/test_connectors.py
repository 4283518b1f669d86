"""What every connector keeps (connectors/contract.py). A new one adds a rig: how to make a source of good and bad rows."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import NamedTuple

import pytest

from connectors.contract import START, RowSource
from connectors.engine import feed
from connectors.filedrop.source import FileSource
from tests.unit.connectors.fakes import FakeGateway, Killed, MemoryCursor, MemoryRejects
from tests.unit.connectors.samples import csv_mapping, ndjson_mapping, write_csv, write_ndjson

ROWS = 23
BAD = frozenset({3, 4, 11, 22})


class Rig(NamedTuple):
    """`make(folder)` writes ROWS rows, those of BAD faulty, and gives a function that opens a new source on them."""

    name: str
    make: Callable[[Path], Callable[[], RowSource]]


def _csv(folder: Path) -> Callable[[], RowSource]:
    path = write_csv(folder / "a.csv", ROWS, BAD)
    return lambda: FileSource(path, csv_mapping(), settle_s=0)


def _ndjson(folder: Path) -> Callable[[], RowSource]:
    path = write_ndjson(folder / "a.ndjson", ROWS, BAD)
    return lambda: FileSource(path, ndjson_mapping(), settle_s=0)


def _growing(folder: Path) -> Callable[[], RowSource]:
    path = write_csv(folder / "a.csv", ROWS, BAD)
    return lambda: FileSource(path, csv_mapping(), follow=True)


RIGS = [Rig("csv", _csv), Rig("ndjson", _ndjson), Rig("csv-followed", _growing)]


@pytest.fixture(params=RIGS, ids=lambda rig: rig.name)
def open_source(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], RowSource]:
    return request.param.make(tmp_path)


def test_the_same_items_come_each_time_it_is_asked(open_source):
    assert list(open_source().items(START)) == list(open_source().items(START))


def test_every_row_is_an_item_with_a_body_or_a_fault(open_source):
    items = list(open_source().items(START))
    assert len(items) == ROWS
    assert [n for n, item in enumerate(items) if item.body is None] == sorted(BAD)
    assert all(item.fault for item in items if item.body is None)
    assert all(item.raw for item in items)


def test_references_are_there_and_differ(open_source):
    references = [item.body["reference"] for item in open_source().items(START) if item.body]
    assert len(set(references)) == ROWS - len(BAD)


def test_after_any_position_come_exactly_the_items_after_it(open_source):
    items = list(open_source().items(START))
    for number, item in enumerate(items):
        assert list(open_source().items(item.position)) == items[number + 1 :]


def test_progress_grows_to_the_whole(open_source):
    source = open_source()
    done = [source.progress(item.position) for item in source.items(START)]
    assert done == sorted(done)
    assert done[-1] == source.size


class _Bomb:
    """Kills at the n-th moment that it is asked about."""

    def __init__(self, at: int) -> None:
        self._moments = count()
        self._at = at

    def __call__(self) -> None:
        if next(self._moments) == self._at:
            raise Killed


@pytest.mark.parametrize("batch", [1, 5, 100])
async def test_a_kill_at_any_moment_loses_nothing_and_counts_nothing_twice(open_source, batch):
    plain_gateway, plain_rejects = FakeGateway(), MemoryRejects()
    expected = await feed(open_source(), gateway=plain_gateway, cursor=MemoryCursor(), rejects=plain_rejects, batch=batch)
    for moment in count():
        bomb = _Bomb(moment)
        gateway, cursor, rejects = FakeGateway(bomb, bomb), MemoryCursor(bomb, bomb), MemoryRejects(bomb)
        killed = False
        try:
            await feed(open_source(), gateway=gateway, cursor=cursor, rejects=rejects, batch=batch)
        except Killed:
            killed = True
        totals = await feed(open_source(), gateway=gateway, cursor=cursor, rejects=rejects, batch=batch)
        assert gateway.order == plain_gateway.order
        assert gateway.taken == plain_gateway.taken
        assert rejects.rows == plain_rejects.rows
        assert (totals.accepted, totals.rejected) == (expected.accepted, expected.rejected)
        if not killed:
            assert moment > 4, "the bomb never went off"
            return


async def test_nothing_is_saved_before_the_gateway_has_answered(open_source):
    cursor = MemoryCursor()

    def away() -> None:
        raise Killed

    with pytest.raises(Killed):
        await feed(open_source(), gateway=FakeGateway(after=away), cursor=cursor, rejects=MemoryRejects())
    assert cursor.saved.position == START


async def test_feeding_again_sends_nothing_more(open_source):
    gateway, cursor, rejects = FakeGateway(), MemoryCursor(), MemoryRejects()
    first = await feed(open_source(), gateway=gateway, cursor=cursor, rejects=rejects)
    sent = len(gateway.batches)
    assert await feed(open_source(), gateway=gateway, cursor=cursor, rejects=rejects) == first
    assert len(gateway.batches) == sent


async def test_a_row_that_the_gateway_refuses_is_rejected_with_its_reason():
    class One:
        name, size = "one", None

        def items(self, after):
            from connectors.contract import FeedItem

            if not after:
                yield FeedItem({"n": 1}, 1, "raw", {"reference": "a", "region": "bad"})

        def progress(self, position):
            return 1

    rejects = MemoryRejects()
    totals = await feed(One(), gateway=FakeGateway(), cursor=MemoryCursor(), rejects=rejects)
    assert totals == (0, 0, 1)
    assert rejects.rows[0].where == "gateway"
    assert "region" in rejects.rows[0].reason
