"""The intake agent over in-memory ports: one receipt for each raw record, whatever it holds, and no signal counts twice."""

from __future__ import annotations

import json
from typing import Any

import pytest

from schemas.codec import decode
from schemas.envelope import Origin
from schemas.signals.assessed import AssessOutcome
from schemas.signals.receipts import RawOutcome
from schemas.topics import ASSESSED, DEADLETTER, SUBMITTED, raw, receipts
from stream_processors.agents import intake
from stream_processors.agents.group import AgentGroup
from stream_processors.agents.intake import slices
from stream_processors.runtime.log import LostLog, Record
from tests.support.builders import PLACES, SEALER, account, body, phone, submitted
from tests.support.crashing import crashing
from tests.support.world import BODY_LIMIT_BYTES, World, content, sources

BANK, SHOP = "bank-001", "pay-002"
STAGE = f"intake {BANK}"
CALLS = 3
"""Port calls of a step that write: signals, receipts, fold (a refusal's dead letter is one more)."""


def value(reference: str | None = "r-1", **over: Any) -> bytes:
    """What a bank's own client writes: the body of a POST."""
    given = body(**over).model_dump(mode="json", exclude_none=True)
    return json.dumps({**given, **({"reference": reference} if reference else {})}).encode()


def write(world: World, what: bytes | None, institution: str = BANK, partition: int = 0) -> int:
    return world.log.put(raw(institution), partition, b"a key of theirs", what)


def told(world: World, institution: str = BANK) -> list[Any]:
    """Receipts that count, in the order of partitions and sources."""
    topic = receipts(institution)
    return [decode(topic, record.value).data for record in world.log.all(topic)]


def signals(world: World) -> list[Any]:
    return [decode(SUBMITTED, record.value) for record in world.log.all(SUBMITTED)]


@pytest.fixture
async def world() -> World:
    return await World(workers=1, institutions=(BANK, SHOP)).up()


async def test_a_raw_record_becomes_the_same_signal_as_by_rest_and_a_receipt(world: World) -> None:
    write(world, value("r-1"))
    assert await world.poll(STAGE, 0)
    (receipt,), (envelope,) = told(world), signals(world)
    by_rest = submitted(BANK, "r-1")
    assert (envelope.data.signal_id, envelope.data.body_id) == (by_rest.signal_id, by_rest.body_id)
    assert (envelope.actor, envelope.origin) == (f"institution:{BANK}", f"{raw(BANK).name}/0/0/0")
    assert (receipt.outcome, receipt.signal_id, receipt.reference) == (RawOutcome.ACCEPTED, by_rest.signal_id, "r-1")
    (record,) = world.log.all(SUBMITTED)
    assert PLACES.open(receipt.receipt) == (SUBMITTED.name, record.partition, record.offset, 0)
    assert record.key == by_rest.primary.token.encode()
    await world.drain()
    assert [decode(ASSESSED, one.value).data.outcome for one in world.log.all(ASSESSED)] == [AssessOutcome.ASSESSED]


async def test_nothing_readable_of_a_record_is_in_the_receipt_or_behind_it(world: World) -> None:
    write(world, value("r-1"))
    write(world, value("r-2", kind="telecom_fraud", region="630202").replace(b"630202", b"6302021380000"))
    await world.poll(STAGE, 0)
    records = [one for topic in (receipts(BANK), SUBMITTED, DEADLETTER) for one in world.log.all(topic)]
    kept = b"".join((one.value or b"") + (one.key or b"") for one in records)
    for readable in (b"13800001234", "冒充客服".encode(), b"6302021380000", b"a key of theirs"):
        assert readable not in kept


_DEEP = b'{"reference": "r", "indicators": ' + b"[" * 40 + b"]" * 40 + b"}"


@pytest.mark.parametrize(
    ("what", "problem", "pointer"),
    [
        (None, "invalid-signal", None),
        (b"", "invalid-signal", ""),
        (b"\xff\xfe\x00", "invalid-signal", ""),
        (b"[1, 2]", "invalid-signal", ""),
        (value(None), "reference-missing", None),
        (value("r-1")[:-1] + b', "institution": "bank-002"}', "invalid-signal", "/institution"),
        (value("r 1"), "invalid-signal", "/reference"),
        (value("r-1", narrative="x" * 3999).replace(b"xxxxx", b"\\ud800", 1), "invalid-signal", None),
        (_DEEP, "json-too-deep", None),
        (b" " * (BODY_LIMIT_BYTES + 1), "body-too-large", None),
    ],
    ids=["tombstone", "empty", "bytes", "list", "no reference", "institution", "reference", "half a character", "deep", "large"],
)
async def test_what_is_no_signal_is_refused_with_the_reason_and_the_next_is_taken(
    world: World, what: bytes | None, problem: str, pointer: str | None
) -> None:
    write(world, what)
    write(world, value("r-2"))
    await world.poll(STAGE, 0)
    no, yes = told(world)
    assert (no.outcome, no.problem, no.signal_id) == (RawOutcome.REFUSED, problem, None)
    assert no.detail
    if pointer is not None:
        assert no.errors[0].pointer == pointer
    assert yes.outcome is RawOutcome.ACCEPTED
    (letter,) = [decode(DEADLETTER, one.value).data for one in world.log.all(DEADLETTER)]
    assert (letter.stage, letter.topic, letter.offset) == ("intake", raw(BANK).name, 0)
    assert letter.reason.startswith(problem)
    opened = SEALER.unseal(letter.value_sealed, f"deadletter/{Origin(raw(BANK).name, 0, 0)}")
    assert opened.encode() == (what or b"") or b"\xff" in (what or b"")


async def test_gaps_that_a_senders_transactions_leave_are_passed_over(world: World) -> None:
    worker = world.workers[STAGE][0]
    for n in range(8):  # the marks of its transactions have places, too
        world.log.put(raw(BANK), 0, None, value(f"r-{n}"))
    for offset in (3, 7):
        await worker.agent.step({(raw(BANK).name, 0): [Record(0, offset, world.clock.ms, None, value(f"r-{offset}"))]})
    assert [one.origin for one in (decode(receipts(BANK), r.value) for r in world.log.all(receipts(BANK)))] == [
        f"{raw(BANK).name}/0/3/0",
        f"{raw(BANK).name}/0/7/0",
    ]
    assert (await worker.agent.assigned([(raw(BANK).name, 0)])) == {(raw(BANK).name, 0): 8}


async def test_another_owner_is_noticed_before_anything_is_folded(world: World) -> None:
    write(world, value())
    world.log.put(receipts(BANK), 0, None, b"of another owner")
    worker = world.workers[STAGE][0]
    with pytest.raises(LostLog, match="another owner is alive"):
        await worker.agent.step(world.batch(STAGE, worker, 10))
    assert all("s0" not in bucket.marks for bucket in world.redis[STAGE].buckets)


def test_a_poll_is_taken_in_slices_that_are_bounded_in_records_and_bytes() -> None:
    def records(partition: int, n: int, size: int) -> list[Record]:
        return [Record(partition, offset, 0, b"k" * (size // 2), b"x" * (size // 2)) for offset in range(n)]

    batch = {("t", 0): records(0, 2500, 10), ("t", 1): records(1, 20, 1 << 20)}
    found = list(slices(batch))
    assert [sum(map(len, part.values())) for part in found][:2] == [1000, 1000]
    for part in found:
        assert sum(len((one.value or b"") + (one.key or b"")) for some in part.values() for one in some) <= intake.SLICE_BYTES
    for p in (0, 1):
        assert [one for part in found for one in part.get(p, [])] == batch["t", p]


async def test_institutions_side_by_side_each_have_their_own_receipts_and_places(world: World) -> None:
    beside = AgentGroup([world.workers[f"intake {one}"][0].agent for one in (BANK, SHOP)])
    assert {topic.name for topic in beside.stage.reads} == {raw(BANK).name, raw(SHOP).name}
    await beside.start()
    owned = [(topic.name, p) for topic in beside.stage.reads for p in range(topic.partitions)]
    assert await beside.assigned(owned) == dict.fromkeys(owned, 0)
    write(world, value("r-1"))
    write(world, value("r-1"), SHOP)
    write(world, b"?", SHOP)
    await beside.step({(raw(one).name, 0): world.log.all(raw(one), 0) for one in (BANK, SHOP)})
    assert [one.outcome for one in told(world, BANK)] == [RawOutcome.ACCEPTED]
    assert [one.outcome for one in told(world, SHOP)] == [RawOutcome.ACCEPTED, RawOutcome.REFUSED]
    assert told(world, BANK)[0].signal_id != told(world, SHOP)[0].signal_id
    assert await beside.assigned(owned[:4]) == {**dict.fromkeys(owned[:4], 0), owned[0]: 1}
    await beside.step({(raw(SHOP).name, 0): [Record(0, 2, world.clock.ms, None, value("r-3"))]})
    assert len(told(world, SHOP)) == 2, "what is not owned any more is not taken"
    await beside.check()
    await beside.revoked()


# deaths


def _write_day(world: World) -> None:
    """Signals in all partitions, a repeat, a re-send, what is refused, and one that came by REST as well."""
    for n in range(12):
        write(world, value(f"r-{n}", indicators=[account(n % 5), phone(n % 3)]), partition=n % 4)
    write(world, value("r-3", indicators=[account(3), phone(0)]), partition=1)
    write(world, value("again", indicators=[account(0), phone(0)]), partition=2)
    for what in (None, b"?", value(None)):
        write(world, what, partition=0)


async def _day(world: World, where: Any = None) -> World:
    plans = where or (lambda stage: None)
    _write_day(world)
    for _ in range(3):
        for stage in world.stages:
            for number in (0, 1):
                await world.poll(stage, number, 2, plan=plans(stage))
    await world.settle()
    return world


def _said(world: World) -> dict[str, Any]:
    """Receipts that count by their source; and what assess took for new, by signal."""
    facts = {source: found[0].data for source, found in sources(world.log.all(receipts(BANK)), receipts(BANK)).items()}
    assessed = [decode(ASSESSED, one.value).data for one in world.log.all(ASSESSED)]
    return {
        "receipts": {source: (fact.outcome, fact.signal_id, fact.problem) for source, fact in facts.items()},
        "new": sorted(
            fact.signal_id for fact in assessed if fact.outcome in (AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_CONTENT)
        ),
        "wrong": [fact for fact in assessed if fact.outcome in (AssessOutcome.CONFLICT, AssessOutcome.REFUSED)],
    }


_CALM: list[dict[str, Any]] = []


async def _is_whole(world: World) -> None:
    if not _CALM:
        _CALM.append(_said(await _day(await World(institutions=(BANK,)).up())))
    said = _said(world)
    assert said == _CALM[0]
    assert len(said["receipts"]) == 17
    assert said["wrong"] == []
    assert {outcome for outcome, _, _ in said["receipts"].values()} == set(RawOutcome)
    landed = {(one.partition, one.offset): decode(SUBMITTED, one.value).data.signal_id for one in world.log.all(SUBMITTED)}
    for receipt in told(world):
        if receipt.receipt:
            assert landed[PLACES.open(receipt.receipt)[1:3]] == receipt.signal_id
    for stage in world.stages:
        assert content(world.redis[stage]) == content(await world.afresh(stage))


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("name", ["polled", "decided", "buried", "submitted", "recorded", "folded"])
async def test_a_death_at_a_crash_point_changes_nothing_in_the_end(name: str, n: int) -> None:
    with crashing() as crasher:
        world = await World(institutions=(BANK,)).up()
        crasher.arm(f"intake.{name}", n)
        await _day(world)
        assert crasher.hit[f"intake.{name}"] == 1
        await _is_whole(world)


@pytest.mark.parametrize("how", ["cut", "after", "freeze"])
@pytest.mark.parametrize("call", range(1, CALLS + 1))
async def test_an_end_in_the_middle_of_a_port_call_changes_nothing_in_the_end(call: int, how: str) -> None:
    done = []

    def plan(of: str) -> tuple[str, int] | None:
        if of != STAGE or len(done) == 4:
            return None
        done.append(of)
        return how, call

    with crashing():
        world = await _day(await World(institutions=(BANK,)).up(), plan)
        assert len(done) == 4
        await _is_whole(world)


async def test_a_signal_that_was_appended_twice_by_a_kill_is_a_repeat_and_its_receipts_are_one() -> None:
    with crashing() as crasher:
        world = await World(institutions=(BANK,)).up()
        write(world, value("r-1"))
        crasher.arm("intake.submitted")
        await world.poll(STAGE, 0)
        await world.settle()
    outcomes = [decode(ASSESSED, one.value).data.outcome for one in world.log.all(ASSESSED)]
    assert outcomes == [AssessOutcome.ASSESSED, AssessOutcome.DUPLICATE_REFERENCE]
    assert len(told(world)) == 1


@pytest.mark.parametrize("buckets", [1, 16])
@pytest.mark.parametrize("how", ["flush", "roll_back"])
async def test_a_lost_redis_is_rebuilt_from_the_receipts(buckets: int, how: str) -> None:
    with crashing():
        world = await World(institutions=(BANK,)).up()
        copy = world.redis[STAGE].copy()
        await _day(world)
        before, n = content(world.redis[STAGE]), len(world.log.all(SUBMITTED))
        if how == "flush":
            world.redis[STAGE].flush(range(buckets))
        else:
            world.redis[STAGE].roll_back(copy, range(buckets))
        await world.settle()
        assert content(world.redis[STAGE]) == before
        assert len(world.log.all(SUBMITTED)) == n
        await _is_whole(world)


async def test_one_more_institution_is_nothing_to_the_others() -> None:
    world = await World(workers=1, institutions=(BANK,)).up()
    write(world, value("r-1"))
    await world.drain()
    stamps = {name: [bucket.marks.get("stamp") for bucket in redis.buckets] for name, redis in world.redis.items()}
    later = World(workers=1, institutions=(BANK, SHOP))
    later.log, later.clock = world.log, world.clock
    for topic in (raw(SHOP), receipts(SHOP)):
        later.log.create(topic)
    later.redis |= world.redis
    await later.up()
    write(later, value("r-1"), SHOP)
    write(later, value("r-2"))
    await later.drain()
    assert {name: [bucket.marks.get("stamp") for bucket in world.redis[name].buckets] for name in stamps} == stamps
    assert [one.outcome for one in told(later, SHOP)] == [RawOutcome.ACCEPTED]
    assert len(told(later, BANK)) == 2
