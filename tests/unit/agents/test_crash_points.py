"""A death at every named crash point, a cut or a freeze at every port call: the end is the end of a day without any.

The property test draws such days; here each place is visited on purpose, and it is checked that it was hit.
"""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from schemas.codec import decode
from schemas.signals.assessed import AssessOutcome
from schemas.topics import APPRAISAL_COMMANDS, ASSESSED, CASE_CHANGES, CASE_COMMANDS, RETRACTIONS, SUBMITTED
from stream_processors.agents import assess
from stream_processors.runtime.crash_points import POINTS
from stream_processors.topology import STAGES
from tests.support.builders import (
    account,
    action_record,
    after,
    move,
    phone,
    retraction,
    retraction_record,
    submission,
    submitted,
)
from tests.support.crashing import crashing
from tests.support.oversight import ask, campaign, oversight_record
from tests.support.scores import BODY, UNIT
from tests.support.world import World, content, sources

IN_PROCESS = [name for name in POINTS if not name.startswith(("gateway.", "intake.", "timekeeper.", "webhook.", "calls."))]
"""Those of intake, timekeeper and webhook are visited in test_intake.py, test_timekeeper.py and test_webhook.py."""
CALLS = {"assess": 12, "track": 2, "oversee": 2, "project": 1, "timekeeper": 1}
"""Port calls of one step that write: claim, (clear,) observe, facts, joins, fold, and for retractions find, held, facts, actions,
requests, fold; facts, fold; fold; fold."""


def _signals() -> list[Any]:
    made = [
        submitted(f"bank-00{1 + n % 3}", f"r-{n}", indicators=[account(n % 4), phone(n % 2)], occurred_at=after(minutes=-n))
        for n in range(14)
    ]
    return [*made, made[3], submitted("bank-001", "again", indicators=[account(0), phone(0)], occurred_at=after(minutes=0)), None]


async def _day(world: World, where: Any = None) -> World:
    """Signals, a case, an officer, the coordination body. `where(stage)` may give a plan for that stage's next poll."""
    plans = where or (lambda stage: None)
    for number in range(6):
        for kind, party in (("request", BODY), ("submit", UNIT)):
            request = ask(kind, party, request_id=f"dat-{number}", action_id=f"{kind}-{number}")
            world.submit(*oversight_record(request), APPRAISAL_COMMANDS)
    world.submit(*oversight_record(campaign()), APPRAISAL_COMMANDS)
    world.log.put(APPRAISAL_COMMANDS, 5, b"k", b"no record")
    for signal in _signals():
        if signal is None:
            world.log.put(SUBMITTED, 2, b"k", b"no record")
        else:
            world.submit(*submission(signal), SUBMITTED)
    world.submit(*retraction_record(retraction("bank-001", "not yet")), RETRACTIONS)
    for _ in range(3):
        for stage in STAGES:
            for number in (0, 1):
                await world.poll(stage, number, 3, plan=plans(stage))
    for one in (retraction("bank-001", "r-3"), retraction("bank-003", "r-8"), retraction("bank-001", "r-3")):
        world.submit(*retraction_record(one), RETRACTIONS)
    world.log.put(RETRACTIONS, 3, b"k", b"no record")
    corrected = submitted("bank-002", "r-4", indicators=[account(1), phone(0)], version=2)
    again = submitted("bank-003", "r-5", indicators=[account(3), phone(1)], version=2)
    for signal in (corrected, again, submitted("bank-001", "not yet", indicators=[account(2)])):
        world.submit(*submission(signal), SUBMITTED)
    for _ in range(2):
        for number in (0, 1):
            await world.poll("assess", number, 3, plan=plans("assess"))
    case_id = sorted(record.key for record in world.log.all(CASE_COMMANDS) if record.key)[0].decode()
    for kind in ("claim", "claim", "dispose"):
        world.submit(*action_record(move(kind, "officer-a", case_id)), CASE_COMMANDS)
    for stage in STAGES:
        for number in (0, 1):
            await world.poll(stage, number, plan=plans(stage))
    await world.settle()
    return world


def _said(world: World) -> dict[str, Any]:
    """What the log says in the end, echoes left out; without what depends on the order between partitions."""
    facts = {source: found[0].data for source, found in sources(world.log.all(ASSESSED), ASSESSED).items()}
    back = [found[0].data for found in sources(world.log.all(ASSESSED), ASSESSED, RETRACTIONS).values()]
    dead = {(one.signal_id, version) for one in back for version in range(1, min(one.below_version, 20))}
    cases: dict[str, Any] = {}
    for record in world.log.all(CASE_CHANGES):
        change = decode(CASE_CHANGES, record.value).data
        if change.case is not None and change.revision > (cases[change.case_id].revision if change.case_id in cases else 0):
            cases[change.case_id] = change.case
    return {
        "outcomes": {source: (_outcome(fact, dead), fact.signal_id, fact.duplicate_of) for source, fact in facts.items()},
        "cases": {name: (case.signal_count, case.revision, case.status, case.amount_minor) for name, case in cases.items()},
    }


def _outcome(fact: Any, dead: set[tuple[str, int]]) -> str:
    """A signal that is taken back was so before it came, or after: that hangs on who died when."""
    gone = (fact.signal_id, fact.version) in dead and fact.outcome in (AssessOutcome.ASSESSED, AssessOutcome.RETRACTED)
    return "gone" if gone else fact.outcome.value


async def _is_whole(world: World, *, counts: bool = True) -> None:
    calm = await _day(await World().up())
    said, wanted = _said(world), _said(calm)
    assert said["outcomes"] == wanted["outcomes"]
    assert {one[0] for one in said["outcomes"].values()} == {
        "assessed",
        "duplicate_reference",
        "duplicate_content",
        "refused",
        "gone",
    }
    assert sum(one[0] == "gone" for one in said["outcomes"].values()) == 5
    if counts:
        assert said["cases"].keys() == wanted["cases"].keys()
    for stage in STAGES:
        assert content(world.redis[stage]) == content(await world.afresh(stage))


@pytest.mark.parametrize("name", IN_PROCESS)
@pytest.mark.parametrize("n", [1, 2])
async def test_a_death_at_a_crash_point_changes_nothing_in_the_end(name: str, n: int) -> None:
    with crashing() as crasher, patch.object(assess, "SPLIT_ABOVE", 4):
        world = await World().up()
        crasher.arm(name, n)
        if name.startswith("restore."):
            await _day(world)
            for redis in world.redis.values():
                redis.flush()
        await _day(world) if not name.startswith("restore.") else await world.settle()
        assert crasher.hit[name] == 1
        await _is_whole(world)


@pytest.mark.parametrize("how", ["cut", "after", "freeze"])
@pytest.mark.parametrize(("stage", "call"), [(stage, call) for stage, calls in CALLS.items() for call in range(1, calls + 1)])
async def test_an_end_in_the_middle_of_a_port_call_changes_nothing_in_the_end(stage: str, call: int, how: str) -> None:
    done = []

    def plan(of: str) -> tuple[str, int] | None:
        if of != stage or len(done) == 4:
            return None
        done.append(of)
        return how, call

    with crashing():
        world = await _day(await World().up(), plan)
        assert len(done) == 4
        await _is_whole(world)


def _values(world: World, stage: str) -> dict[str, Any]:
    """Without the marks: a new owner sends retractions on again, and each is one more record that changes nothing."""
    return {name: value for name, value in content(world.redis[stage]).items() if not name.endswith("m")}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("buckets", [1, 7, 16])
@pytest.mark.parametrize("how", ["flush", "roll_back"])
async def test_a_lost_redis_is_rebuilt_from_the_log_wholly_or_in_part(stage: str, buckets: int, how: str) -> None:
    with crashing():
        world = await World().up()
        copy = world.redis[stage].copy()
        await _day(world)
        before = _values(world, stage)
        if how == "flush":
            world.redis[stage].flush(range(buckets))
        else:
            world.redis[stage].roll_back(copy, range(buckets))
        await world.settle()
        assert _values(world, stage) == before
        await _is_whole(world)
