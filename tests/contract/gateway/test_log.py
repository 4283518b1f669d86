"""The log: an append tells where each record landed."""

from __future__ import annotations

import asyncio
import secrets

from gateway.adapters.kafka import Position, RequestLog
from schemas.topics import SUBMITTED
from stream_processors.runtime.log import KeyedEntry, partition_of


def entries(n: int, size: int = 100) -> list[KeyedEntry]:
    return [KeyedEntry(secrets.token_bytes(12), bytes(size)) for _ in range(n)]


async def test_a_record_lands_in_the_partition_of_its_key(log: RequestLog):
    some = entries(30)
    for entry, place in zip(some, await log.append(SUBMITTED, some), strict=True):
        assert isinstance(place, Position)
        assert (place.topic, place.partition) == (SUBMITTED.name, partition_of(entry.key, SUBMITTED.partitions))
        assert place.timestamp_ms > 1_600_000_000_000


async def test_one_or_many_the_offsets_follow_each_other_in_the_order_given(log: RequestLog):
    key = secrets.token_bytes(12)
    places = []
    for n in (1, 5, 1, 1, 200):
        places += await log.append(SUBMITTED, [KeyedEntry(key, b"x") for _ in range(n)])
    offsets = [place.offset for place in places if isinstance(place, Position)]
    assert offsets == list(range(offsets[0], offsets[0] + 208))


async def test_many_appends_at_once_have_places_of_their_own(log: RequestLog):
    found = await asyncio.gather(*(log.append(SUBMITTED, entries(1 + n % 7)) for n in range(60)))
    places = [place for answer in found for place in answer]
    assert all(isinstance(place, Position) for place in places)
    assert len({(place.partition, place.offset) for place in places if isinstance(place, Position)}) == len(places)


async def test_more_than_a_batch_holds_is_several_batches(log: RequestLog):
    key = secrets.token_bytes(12)
    places = await log.append(SUBMITTED, [KeyedEntry(key, bytes(200_000)) for _ in range(12)])
    assert all(isinstance(place, Position) for place in places)
    assert len({place.offset for place in places if isinstance(place, Position)}) == 12


async def test_the_span_ends_behind_the_last_record(log: RequestLog):
    before = await log.span(SUBMITTED)
    places = await log.append(SUBMITTED, entries(50))
    after = await log.span(SUBMITTED)
    assert sum(after.ends.values()) - sum(before.ends.values()) == len(places)
    assert set(after.starts) == set(after.ends) == set(range(SUBMITTED.partitions))
