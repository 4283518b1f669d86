"""An entry of the index: read as it was written, and short."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.deadlines import DeadlineStep
from schemas.topics import CASE_CHANGES
from stream_processors.domain.deadlines.due_index import Moment
from stream_processors.runtime.log import partition_of
from stream_processors.runtime.settings import SHIPPED_POLICY, load_policy
from stream_processors.state.case_refs import brief
from stream_processors.state.deadline_index import (
    MOST_MS,
    NAMES,
    Sweep,
    bucket_of_case,
    buckets_of,
    indexed,
    partition_of_bucket,
    settled,
    share_of_buckets,
)
from stream_processors.state.keys import BUCKETS

CASE = "case-0123456789abcdef01234567"
MOMENT = st.builds(
    Moment,
    st.integers(0, MOST_MS),
    st.one_of(st.sampled_from(NAMES), st.from_regex(r"[a-z][a-z_]{1,47}", fullmatch=True)),
    st.integers(1, 2**32 - 1),
    st.sampled_from(DeadlineStep),
)


def _entry(case_id: str, moments: list[Moment]) -> tuple[bytes, bytes]:
    """Place and entry as Redis has them."""
    _, _, revision, first, many, packed = settled(case_id, 7, moments).args
    head = revision.to_bytes(4, "big") + first.to_bytes(6, "big") + bytes([many])
    return first.to_bytes(6, "big") + brief(case_id), head + packed


@given(st.lists(MOMENT, min_size=1, max_size=64), st.sampled_from([CASE, "case-1", "x" * 160, "case-é"]))
def test_an_entry_is_read_as_it_was_written(moments: list[Moment], case_id: str) -> None:
    found = indexed(*_entry(case_id, sorted(moments)))
    assert (found.case_id, list(found.moments)) == (case_id, sorted(moments))


def test_an_entry_of_one_usual_clock_has_14_bytes() -> None:
    assert len(_entry(CASE, [Moment(1_772_413_200_000, "acknowledge", 1, DeadlineStep.WARN)])[1]) == 14


def test_every_clock_of_the_shipped_policy_is_one_byte() -> None:
    assert {rule.name for rule in load_policy(SHIPPED_POLICY).deadlines.rules} <= set(NAMES)
    assert len(set(NAMES)) == len(NAMES) < 128


@given(st.text(min_size=1, max_size=40))
def test_a_case_lies_in_a_bucket_of_its_partition(case_id: str) -> None:
    bucket = bucket_of_case(case_id)
    assert partition_of_bucket(bucket) == partition_of(case_id.encode(), CASE_CHANGES.partitions)
    assert bucket in buckets_of(partition_of_bucket(bucket))


def test_every_bucket_belongs_to_one_partition() -> None:
    assert [b for p in range(CASE_CHANGES.partitions) for b in buckets_of(p)] == list(range(BUCKETS))


def test_a_bucket_is_looked_through_a_part_at_a_time_and_then_from_the_beginning() -> None:
    cases = [indexed(*_entry(f"case-{n:024x}", [Moment(100 + n, "warn", 1, DeadlineStep.DUE)])) for n in range(5)]
    sweep = Sweep()
    sweep.went(9, cases[:2], 2)
    assert (sweep.open, sweep.oldest_ms, sweep.due, sweep.behind) == (9, 100, 2, cases[1].member)
    sweep.went(9, cases[2:4], 2)
    sweep.went(9, cases[4:], 2)
    assert (sweep.oldest_ms, sweep.due, sweep.behind) == (100, 5, b"")
    sweep.went(8, cases[3:4], 2)
    assert (sweep.oldest_ms, sweep.due) == (103, 1)


def test_a_look_for_the_first_alone_leaves_the_place() -> None:
    cases = [indexed(*_entry(f"case-{n:024x}", [Moment(100 + n, "warn", 1, DeadlineStep.DUE)])) for n in range(3)]
    sweep = Sweep()
    sweep.went(3, cases[:2], 2)
    sweep.went(3, cases[:1], 0)
    assert (sweep.behind, sweep.oldest_ms) == (cases[1].member, 100)


@given(st.integers(1, 64))
def test_each_partition_of_the_cases_has_buckets_of_its_own_or_the_number_is_refused_in_a_sentence(partitions: int) -> None:
    if partitions <= BUCKETS:
        share = share_of_buckets(BUCKETS, partitions)
        assert share >= 1
        assert share * partitions <= BUCKETS
    else:
        with pytest.raises(ValueError, match=f"{partitions} partitions .* at most {BUCKETS} partitions are possible"):
            share_of_buckets(BUCKETS, partitions)
