"""Whatever a bank's client writes, and whatever dies meanwhile: one receipt that counts for each record, and none is stuck."""

from __future__ import annotations

import asyncio
import copy
import json
import os
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import decode
from schemas.parsing import Refused
from schemas.security.signal_reader import SignalReader
from schemas.signals.assessed import AssessOutcome
from schemas.signals.receipts import RawOutcome
from schemas.topics import ASSESSED, DEADLETTER, RAW_PARTITIONS, raw, receipts
from stream_processors.runtime.crash_points import POINTS
from tests.support import examples
from tests.support.builders import SEALER, T0, TOKENIZER
from tests.support.crashing import crashing
from tests.support.world import BODY_LIMIT_BYTES, World, content, sources

BANK = "bank-001"
STAGE = f"intake {BANK}"
READER = SignalReader(TOKENIZER, SEALER, 16, "/test")
BODIES = [json.loads(path.read_bytes()) for path in sorted((examples.ROOT / "http").glob("signal.*.json"))]
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@st.composite
def _nearly(draw: st.DrawFn) -> bytes:
    """A body as it must be, often with one member replaced or one byte."""
    body: dict[str, Any] = {**copy.deepcopy(draw(st.sampled_from(BODIES))), "reference": draw(st.sampled_from("abcdefgh"))}
    how = draw(st.integers(0, 3))
    if how == 1:
        body[draw(st.sampled_from([*body, "institution"]))] = draw(_json)
    raw_body = bytearray(json.dumps(body).encode())
    if how == 2:
        raw_body[draw(st.integers(0, len(raw_body) - 1))] = draw(st.integers(0, 255))
    return bytes(raw_body)


VALUES = st.one_of(_nearly(), st.none(), st.binary(max_size=60), st.just(b" " * (BODY_LIMIT_BYTES + 1)))
RECORDS = st.lists(st.tuples(st.integers(0, RAW_PARTITIONS - 1), VALUES), min_size=1, max_size=12)
FAULTS = st.lists(
    st.one_of(
        st.sampled_from([name for name in POINTS if name.startswith("intake.")]),
        st.tuples(st.sampled_from(["cut", "after", "freeze"]), st.integers(1, 4)),
        st.sampled_from(["flush", "none"]),
    ),
    max_size=6,
)


def _is_taken(value: bytes | None) -> bool:
    """What the reader says by itself."""
    try:
        if value is None or len(value) > BODY_LIMIT_BYTES:
            return False
        body = READER.body(value)
        if body.reference is None:
            return False
        READER.submission(body, institution=BANK, reference=body.reference, now=T0)
        return True
    except Refused:
        return False


async def _day(records: list[tuple[int, bytes | None]], faults: list[Any], limit: int) -> World:
    world = await World(institutions=(BANK,)).up()
    with crashing() as crasher:
        for partition, value in records:
            world.log.put(raw(BANK), partition, b"k", value)
        for number, fault in enumerate(faults):
            if fault == "flush":
                world.redis[STAGE].flush()
                await world.restart(STAGE, 0)
                await world.restart(STAGE, 1)
            elif fault in POINTS:
                crasher.arm(fault)
            plan = fault if isinstance(fault, tuple) else None
            await world.poll(STAGE, number % 2, limit, plan=plan)
        crasher.disarm()
        await world.settle()
    return world


@settings(max_examples=60 * int(os.environ.get("LIANDONG_HYPOTHESIS_FACTOR", "1")))
@given(RECORDS, FAULTS, st.integers(1, 5))
def test_each_raw_record_ends_in_one_receipt_whatever_it_holds_and_whatever_dies(
    records: list[tuple[int, bytes | None]], faults: list[Any], limit: int
) -> None:
    world = asyncio.run(_day(records, faults, limit))
    told = {source: found[0].data for source, found in sources(world.log.all(receipts(BANK)), receipts(BANK)).items()}
    written = {(one.partition, one.offset): one.value for one in world.log.all(raw(BANK))}
    assert told.keys() == written.keys()
    for source, value in written.items():
        assert (told[source].outcome is RawOutcome.ACCEPTED) == _is_taken(value), value
    dead = {decode(DEADLETTER, one.value).data.offset for one in world.log.all(DEADLETTER) if _of_intake(one.value)}
    assert dead == {offset for (_, offset), value in written.items() if not _is_taken(value)}
    accepted = {receipt.signal_id for receipt in told.values() if receipt.signal_id}
    assessed = [decode(ASSESSED, one.value).data for one in world.log.all(ASSESSED)]
    new = [fact.signal_id for fact in assessed if fact.outcome in (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_CONTENT)]
    assert sorted(new) == sorted(accepted), "each reference once, and none that no receipt tells of"
    assert not [fact for fact in assessed if fact.outcome is AssessOutcome.REFUSED]
    assert content(world.redis[STAGE]) == content(asyncio.run(world.afresh(STAGE)))


def _of_intake(value: bytes | None) -> bool:
    return bool(decode(DEADLETTER, value).data.stage == "intake")
