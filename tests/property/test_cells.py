"""The scorecards' cells in the state: the core's own fold, however the facts come, are grouped and are read again."""

from __future__ import annotations

import asyncio
import random
from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schemas.cases.case import ActionOutcome, CaseChange
from schemas.codec import decode, encode
from schemas.envelope import Origin
from schemas.scorecards import CountedFigures
from schemas.signals.assessed import AssessedSignal, AssessOutcome
from schemas.signals.retraction import FOREVER
from schemas.topics import ASSESSED, CASE_CHANGES, SUBMITTED
from stream_processors.domain.signals.retraction import standing_of
from stream_processors.state import contributions as standing
from stream_processors.state.coalesce import Sums
from stream_processors.state.effects import Effect
from stream_processors.state.effects import count as counted
from stream_processors.state.keys import PROJECT
from stream_processors.state.record_views import ChangeRow, ReceiptRow
from stream_processors.state.store import Write
from stream_processors.views.cases import project_changed
from stream_processors.views.receipts import project_assessed
from tests.property.test_scorecards import STEPS, _history
from tests.support.builders import T0, after, fact, submitted
from tests.support.cells import cells_of, parties_of
from tests.support.keys import key_at
from tests.support.memory_store import MemoryRedis, MemoryStore
from tests.support.scores import folded

SIGNAL = st.fixed_dictionaries(
    {
        "institution": st.sampled_from(["bank-001", "bank-002", "telecom-1"]),
        "kind": st.sampled_from(["telecom_fraud", "illegal_finance"]),
        "outcome": st.sampled_from(["assessed", "assessed", "assessed", "duplicate_reference", "duplicate_content", "conflict"]),
        "minutes": st.integers(0, 100_000),
        "took_ms": st.integers(0, 10**9),
        "gone_after": st.sampled_from([None, None, 5, 90_000]),
        "below_version": st.sampled_from([2, FOREVER]),
    }
)


def _facts(drawn: list[dict[str, Any]]) -> list[AssessedSignal]:
    found = []
    for number, one in zip(count(), drawn, strict=False):
        at = after(minutes=one["minutes"])
        signal = submitted(
            one["institution"],
            f"r-{number}",
            kind=one["kind"],
            occurred_at=after(minutes=one["minutes"], seconds=-one["took_ms"] / 1000),
        )
        made = fact(signal, now=at).model_copy(update={"outcome": AssessOutcome(one["outcome"])})
        found.append(made)
        left = standing_of(made)
        if left is not None and one["gone_after"] is not None:
            # As it comes back from assess's own state.
            _, again = standing.unpack(left.signal_id, standing.pack(3, left))
            assert again == left
            gone = {
                "outcome": AssessOutcome.RETRACTION,
                "below_version": one["below_version"],
                "retracted_contributions": (again,),
                "accepted_at": after(days=40),
            }
            found.append(AssessedSignal.trusted(emitted=0, institution=one["institution"], **gone))
    return found


def _effects(one: AssessedSignal | CountedFigures) -> list[Effect]:
    """What project makes of the record."""
    origin = Origin(SUBMITTED.name, 0, 1)
    head: dict[str, Any] = {"id": "x", "source": "/x", "actor": "stage:x", "time": T0, "origin": origin}
    if isinstance(one, AssessedSignal):
        return project_assessed(decode(ASSESSED, encode(ASSESSED, one, **head), ReceiptRow))
    change = CaseChange.trusted(
        action_id=None, case_id=None, kind=None, outcome=ActionOutcome.APPLIED, at=T0, actor="x", figure_changes=one
    )
    return project_changed(decode(CASE_CHANGES, encode(CASE_CHANGES, change, **head), ChangeRow))


def _fold(redis: MemoryRedis, runs: list[list[Effect]]) -> None:
    async def all_of_it() -> None:
        store = MemoryStore(redis, PROJECT)
        await store.set_stamp("s")
        for run in runs:
            sums = Sums()
            args: dict[int, list[Any]] = {}
            for bucket, effect in run:
                there = args.setdefault(bucket, [])
                if not sums.take(bucket, effect):
                    there += effect
            await store.call("fold", "s", {bucket: Write({}, {}, found + sums.drain(bucket)) for bucket, found in args.items()})

    asyncio.run(all_of_it())


@given(st.lists(SIGNAL, max_size=12), STEPS, st.randoms(use_true_random=False), st.integers(1, 9))
def test_the_cells_are_those_of_the_core_in_any_order_and_grouping(
    signals: list[Any], steps: list[Any], shuffled: random.Random, size: int
) -> None:
    facts: list[Any] = [*_facts(signals), *_history(steps)[0]]
    wanted = folded(*facts)
    alone, together = MemoryRedis(), MemoryRedis()
    effects = [_effects(one) for one in facts]
    _fold(alone, effects)
    shuffled.shuffle(effects)
    grouped = [[effect for one in effects[at : at + size] for effect in one] for at in range(0, len(effects), size)]
    _fold(together, grouped)
    assert cells_of(alone) == wanted
    assert cells_of(together) == wanted
    assert parties_of(alone) == parties_of(together) >= {cell.party for cell in wanted}
    assert [bucket.values for bucket in alone.buckets] == [bucket.values for bucket in together.buckets]
    assert [bucket.ends for bucket in alone.buckets] == [bucket.ends for bucket in together.buckets]


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.integers(-3, 3)), max_size=20))
def test_counters_that_are_summed_are_those_that_are_counted_one_by_one(drawn: list[tuple[int, str, int]]) -> None:
    one_by_one, summed = MemoryRedis(), MemoryRedis()
    effects = [counted(key_at(bucket, "n"), field, by) for bucket, field, by in drawn]
    _fold(one_by_one, [[effect] for effect in effects])
    _fold(summed, [effects])
    assert [bucket.values for bucket in one_by_one.buckets] == [bucket.values for bucket in summed.buckets]
