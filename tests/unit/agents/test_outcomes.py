"""The outcome of an action that goes on from case to case: the views are the same in whatever order the partitions are folded."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import orjson
import pytest

from schemas.cases.case import Action, ActionKind, Case, CaseChange, CaseStatus
from schemas.measures import Measure
from schemas.topics import CASE_CHANGES
from stream_processors.domain.cases import decide as decision
from stream_processors.runtime.log import Record
from stream_processors.state.fold_run import fold_run
from stream_processors.state.keys import PROJECT, bucket_of
from stream_processors.topology import STAGES
from tests.support.builders import POLICY, T0, after, fact_record, opened_case
from tests.support.clock import Clock
from tests.support.memory_store import MemoryRedis, MemoryStore
from tests.support.world import content

STREAM = next(stream for stream in STAGES["project"].streams if stream.topic is CASE_CHANGES)
STAMP = "cluster"
ACT = "act-measure"


def measured(case_id: str, **over: Any) -> Action:
    kept = {
        "measure_id": "msr-1",
        "institution": "bank-001",
        "kind": "blocked",
        "target": "payment",
        "recorded_at": T0,
        "done_at": T0,
    }
    measure = Measure.model_validate({**kept, "signal_id": "sig-1", **over})
    queue = "public-security-630202"
    return Action(action_id=ACT, case_id=case_id, kind=ActionKind.MEASURE, queue=queue, measure=measure)


def case(case_id: str, **over: Any) -> Case:
    return opened_case().model_copy(update={"case_id": case_id, **over})


def merged(case_id: str, into: str) -> Case:
    return case(case_id, status=CaseStatus.MERGED, merged_into=into, institutions=(), signals=(), signal_count=0)


def went(*cases: Case, **over: Any) -> list[CaseChange]:
    """The facts of a measure that came for the first of these cases, a hop a second."""
    action, actor, found = measured(cases[0].case_id, **over), "institution:bank-001", list[CaseChange]()
    known = {one.case_id: one for one in cases}
    for second in range(8):
        at = after(seconds=second)
        here = known[action.case_id]
        change = decision.decide(action=action, actor=actor, case=here, policy=POLICY, now=at)
        found.append(change)
        known[action.case_id] = change.case or here
        sent = [one for one in change.follow_ups if one.action_id == ACT]
        if not sent:
            return found
        action, actor = sent[0], "stage:deliver"
    raise AssertionError("it goes round for ever")


async def folded(changes: list[CaseChange], order: tuple[int, ...]) -> MemoryRedis:
    """The views of these facts, each in its case's partition, the partitions' turns being this order."""
    redis = MemoryRedis(Clock())
    store = MemoryStore(redis, PROJECT)
    await store.set_stamp(STAMP)
    partitions = {name: n for n, name in enumerate(dict.fromkeys(change.case_id for change in changes))}
    logs: dict[int, list[Record]] = {n: [] for n in partitions.values()}
    for change in changes:
        p = partitions[change.case_id]
        offset = len(logs[p])
        value = fact_record(change, CASE_CHANGES, p, offset)
        logs[p].append(Record(p, offset, 0, b"k", value))
    for p in order:
        record = logs[p].pop(0)
        assert await fold_run(STREAM, p, [record], store, STAMP, await store.marks()) is not None
    return redis


def turns(changes: list[CaseChange]) -> list[tuple[int, ...]]:
    names = list(dict.fromkeys(change.case_id for change in changes))
    return sorted(set(permutations(names.index(change.case_id) for change in changes)))


CHAINS: dict[str, list[Case]] = {
    "merged": [merged("case-2", "case-1"), case("case-1")],
    "merged twice": [merged("case-3", "case-2"), merged("case-2", "case-1"), case("case-1")],
    "split off": [case("case-1", split_off={"sig-1/1": "case-1~1", "sig-1": "case-1~1"}), case("case-1~1")],
    "split off, then merged": [
        case("case-2", split_off={"sig-1/1": "case-2~1", "sig-1": "case-2~1"}),
        merged("case-2~1", "case-1"),
        case("case-1"),
    ],
    "split off and back again": [
        case("case-1", split_off={"sig-1/1": "case-1~1", "sig-1": "case-1~1"}),
        merged("case-1~1", "case-1"),
    ],
}


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("refused", [False, True])
async def test_the_views_are_the_same_in_any_order_and_tell_what_the_last_case_said(chain: str, refused: bool) -> None:
    over = {"done_at": after(days=2)} if refused else {}
    changes = went(*CHAINS[chain], **over)
    last = changes[-1]
    assert len(changes) >= 2 and last.outcome == ("refused" if refused else "applied")
    assert refused or [one.measure_id for one in last.case.measures] == ["msr-1"]  # type: ignore[union-attr]
    states = [await folded(changes, order) for order in turns(changes)]
    assert all(content(state) == content(states[0]) for state in states)
    told = orjson.loads(states[0].buckets[bucket_of(ACT)].values[f"a:{ACT}"])
    assert (told["case_id"], told["outcome"], told["revision"]) == (last.case_id, last.outcome, last.revision)


async def test_nothing_is_told_of_an_action_that_is_on_its_way() -> None:
    changes = went(*CHAINS["merged"])
    redis = await folded(changes[:1], (0,))
    assert f"a:{ACT}" not in redis.buckets[bucket_of(ACT)].values
