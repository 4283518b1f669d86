"""The project agent over in-memory ports: each fact counts once, the newest case stands, what cannot be read is kept aside."""

from __future__ import annotations

from collections import Counter
from typing import Any

import orjson
import pytest

from schemas.codec import decode
from schemas.scorecards import CardKind
from schemas.topics import ASSESSED, CASE_CHANGES, CASE_COMMANDS, DEADLETTER, RETRACTIONS, SUBMITTED
from stream_processors.state.case_refs import in_full
from stream_processors.state.compression import unpack
from stream_processors.topology import STAGES
from tests.support.builders import (
    account,
    action_record,
    fact,
    fact_record,
    move,
    retraction,
    retraction_record,
    submission,
    submitted,
)
from tests.support.cells import cells_of
from tests.support.scores import folded, of
from tests.support.world import World, content


@pytest.fixture
async def world() -> World:
    return await World(workers=1).up()


def _values(world: World, concern: str) -> dict[str, Any]:
    return {
        name.removeprefix(concern): value
        for bucket in world.redis["project"].buckets
        for name, value in bucket.values.items()
        if name.startswith(concern)
    }


def _counters(world: World) -> Counter[str]:
    found: Counter[str] = Counter()
    for bucket in world.redis["project"].buckets:
        found.update(bucket.values.get("n", {}))
    return found


async def test_a_signal_has_a_receipt_that_says_what_became_of_it(world: World) -> None:
    one, two = submitted("bank-001"), submitted("bank-002")
    resent = submitted("bank-001", "again")
    for signal in (one, two, resent):
        world.submit(*submission(signal), SUBMITTED)
    await world.drain()
    receipts = {name: orjson.loads(unpack(raw)) for name, raw in _values(world, "r:").items()}
    assert receipts[one.signal_id]["outcome"] == "assessed"
    assert receipts[one.signal_id]["score"] == 35
    assert "queues" not in receipts[one.signal_id]
    assert receipts[two.signal_id]["queues"] == ["public-security-630202"]
    again = receipts[resent.signal_id]
    assert (again["outcome"], again["duplicate_of"]) == ("duplicate_content", one.signal_id)


async def test_a_case_stands_in_its_queue_until_it_is_disposed_of(world: World) -> None:
    for institution in ("bank-001", "bank-002"):
        world.submit(*submission(submitted(institution)), SUBMITTED)
    await world.drain()
    ((queue, ranks),) = _values(world, "q:").items()
    assert queue == "public-security-630202"
    (case_id,) = map(in_full, ranks)
    for kind in ("claim", "dispose"):
        world.submit(*action_record(move(kind, case_id=case_id)), CASE_COMMANDS)
    await world.drain()
    assert _values(world, "q:") == {queue: {}}
    assert orjson.loads(unpack(_values(world, "k:")[case_id]["case"]))["status"] == "disposed"
    told = {name: orjson.loads(raw) for name, raw in _values(world, "a:").items()}
    assert {one["outcome"] for one in told.values()} == {"applied"}
    assert all("case" not in one for one in told.values())


async def test_a_case_stands_in_one_set_of_its_queue_severity_and_status_and_keeps_its_time_there(world: World) -> None:
    for institution in ("bank-001", "bank-002"):
        world.submit(*submission(submitted(institution)), SUBMITTED)
    await world.drain()
    stands = "open:high:public-security-630202"
    ((member, since),) = _values(world, "w:")[stands].items()
    case_id = in_full(member)
    world.clock.ms += 60_000
    world.submit(*submission(submitted("bank-002", "more", narrative="again")), SUBMITTED)
    await world.drain()
    assert _values(world, "w:")[stands] == {member: since}, "another signal of the same weight is no news for its clock"
    world.clock.ms += 60_000
    world.submit(*action_record(move("claim", case_id=case_id)), CASE_COMMANDS)
    await world.drain()
    held = _values(world, "w:")
    assert held[stands] == {} and held["claimed:high:public-security-630202"].keys() == {member}
    assert held["claimed:high:public-security-630202"][member] >= since + 120_000
    world.submit(*action_record(move("dispose", case_id=case_id)), CASE_COMMANDS)
    await world.drain()
    assert not any(_values(world, "w:").values())
    world.submit(*submission(submitted("bank-003", "late", amount={"minor": 60_000_000})), SUBMITTED)
    await world.drain()
    assert [name for name, found in _values(world, "w:").items() if found] == ["open:critical:public-security-630202"]
    assert content(world.redis["project"]) == content(await world.afresh("project"))


async def test_a_case_that_was_transferred_is_known_as_such_also_back_in_its_first_queue(world: World) -> None:
    for institution in ("bank-001", "bank-002"):
        world.submit(*submission(submitted(institution)), SUBMITTED)
    await world.drain()
    assert not _values(world, "moved")
    ((queue, (member,)),) = ((queue, tuple(ranks)) for queue, ranks in _values(world, "q:").items())
    for n, to in enumerate(("financial-regulator-630200", queue)):
        over = {"queue": to, "action_id": f"act-{n}"}
        world.submit(*action_record(move("transfer", case_id=in_full(member), **over)), CASE_COMMANDS)
        await world.drain()
        assert _values(world, "moved") == {"": {member}}
    assert content(world.redis["project"]) == content(await world.afresh("project"))


async def test_a_fact_that_stands_twice_in_the_log_counts_once(world: World) -> None:
    signal = submitted()
    value = fact_record(fact(signal), ASSESSED, 2, 0)
    for _ in range(3):
        world.log.put(ASSESSED, 2, b"k", value)
    await world.poll("project", 0)
    assert _counters(world) == {"assessed:bank-001": 1}
    await world.restart("project", 0)
    world.log.put(ASSESSED, 2, b"k", value)
    await world.poll("project", 0)
    assert _counters(world) == {"assessed:bank-001": 1}
    assert content(world.redis["project"]) == content(await world.afresh("project"))


async def test_what_is_no_fact_is_put_aside_and_passed_over(world: World) -> None:
    """A record about another partition's source is none of this partition's facts either."""
    world.log.put(ASSESSED, 2, b"k", b"no fact")
    world.log.put(ASSESSED, 2, b"k", fact_record(fact(submitted()), ASSESSED, 3, 0))
    world.log.put(ASSESSED, 2, b"k", fact_record(fact(submitted()), ASSESSED, 2, 0))
    world.log.put(CASE_CHANGES, 2, b"k", b"no fact")
    await world.poll("project", 0)
    assert _counters(world) == {"assessed:bank-001": 1}
    letters = [decode(DEADLETTER, record.value).data for record in world.log.all(DEADLETTER)]
    assert [(one.stage, one.topic, one.offset) for one in letters] == [
        ("project", ASSESSED.name, 0),
        ("project", ASSESSED.name, 1),
        ("project", CASE_CHANGES.name, 0),
    ]
    assert content(world.redis["project"]) == content(await world.afresh("project"))


async def test_a_view_that_was_never_lost_is_the_view_that_was_rebuilt(world: World) -> None:
    for n in range(12):
        world.submit(*submission(submitted(f"bank-00{n % 3}", f"r-{n // 2}")), SUBMITTED)
    await world.drain(2)
    for stage in STAGES:
        assert content(world.redis[stage]) == content(await world.afresh(stage))


async def test_the_scorecards_are_what_the_facts_of_the_log_add_up_to(world: World) -> None:
    for number in range(6):
        for institution in ("bank-001", "bank-002"):
            signal = submitted(institution, f"r-{number}", indicators=[account(number)])
            world.submit(*submission(signal), SUBMITTED)
        world.clock.forward(900)
        await world.drain()
    world.submit(*retraction_record(retraction("bank-001", "r-0")), RETRACTIONS)
    case_ids = sorted({record.key.decode() for record in world.log.all(CASE_COMMANDS) if record.key})
    for number, case_id in enumerate(case_ids):
        for kind in ("claim", "dispose"):
            world.submit(*action_record(move(kind, case_id=case_id, action_id=f"{kind}-{number}")), CASE_COMMANDS)
    await world.drain()
    facts = [decode(topic, record.value).data for topic in (ASSESSED, CASE_CHANGES) for record in world.log.all(topic)]
    cells = cells_of(world.redis["project"])
    assert cells == folded(*facts)
    assert of(cells, "bank-001")["reports_telecom_fraud"] == 5 and of(cells, "bank-001")["reports_withdrawn"] == 1
    assert any(cell.kind is CardKind.UNIT and cell.figure == "cases_confirmed" for cell in cells)
