"""Cases that were merged, split and transferred are compared as one family."""

from __future__ import annotations

from typing import NamedTuple

from tests.oracle.case_lineage import families, home, kin, twice


class One(NamedTuple):
    case_id: str
    merged_into: str | None = None
    split_from: str | None = None
    split_count: int = 0


class Moved(NamedTuple):
    from_queue: str


class Queued(NamedTuple):
    queue: str
    transfers: tuple[Moved, ...] = ()


def named(*cases: One) -> list[list[str]]:
    return sorted(sorted(one.case_id for one in family) for family in families(cases))


def test_a_case_by_itself_is_a_family():
    assert named(One("a"), One("b")) == [["a"], ["b"]]


def test_a_chain_of_merges_and_splits_is_one_family():
    assert named(One("c", merged_into="b"), One("b", merged_into="a"), One("a"), One("c~1", split_from="c"), One("d")) == [
        ["a", "b", "c", "c~1"],
        ["d"],
    ]


def test_two_cases_that_name_one_that_is_not_there_are_together():
    assert named(One("c", merged_into="x"), One("b", split_from="x")) == [["b", "c"]]


def test_a_case_is_at_home_where_it_was_routed_to():
    assert home(Queued("q3", (Moved("q1"), Moved("q2")))) == "q1"
    assert home(Queued("q1")) == "q1"


def test_a_case_names_its_kin():
    assert list(kin(One("a~1", merged_into="b", split_from="a", split_count=2))) == ["b", "a", "a~1~1", "a~1~2"]


def test_a_signal_counts_in_as_many_cases_as_it_was_sent_to():
    listed = {"a": ["s/1", "t/1"], "b": ["s/1", "u/1"]}
    assert twice(listed, {"s/1": 2, "t/1": 1, "u/1": 1}) == {}
    assert twice(listed, {"s/1": 1, "t/1": 1, "u/1": 1}) == {"s/1": ["a", "b"]}
    assert twice(listed, {"s/1": 2, "t/1": 1}) == {"u/1": ["b"]}
