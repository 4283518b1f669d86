"""Positions and offsets: one to one, growing, and no position twice, whatever was lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.generations import LogGeneration
from stream_processors.runtime.generations import SPACING, Generations, shift_above

T = "t"


def _opened(table: Generations, number: int, begins_at: int, known: int) -> LogGeneration:
    where = {"topic": T, "partition": 0, "generation": number, "first_offset": begins_at}
    return LogGeneration(**where, position_shift=shift_above(known), known_position=known, lost_records=known - begins_at)


def test_without_a_loss_positions_are_offsets() -> None:
    table = Generations()
    assert (table.position(T, 0, 7), table.offset(T, 0, 7), table.next_position(T, 0, 7)) == (7, 7, 7)
    assert not table.is_lost(T, 0, 7)


def test_a_lost_position_is_stepped_over_and_shows_no_record() -> None:
    table = Generations()
    assert table.add(_opened(table, 1, 132, 181), 1)
    assert [table.position(T, 0, offset) for offset in (131, 132, 140)] == [131, SPACING + 132, SPACING + 140]
    assert [table.is_lost(T, 0, position) for position in (131, 132, 180, SPACING + 132)] == [False, True, True, False]
    assert table.next_position(T, 0, 150) == SPACING + 132
    assert table.count(T, 0, 120, SPACING + 142) == 22
    assert [table.generation(T, 0, position) for position in (131, SPACING + 140)] == [0, 1]


def test_of_two_generations_with_one_number_the_first_counts() -> None:
    table = Generations()
    assert table.add(_opened(table, 1, 132, 181), 1)
    assert not table.add(_opened(table, 1, 100, 181), 2)
    assert table.position(T, 0, 120) == 120


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)), max_size=6))
def test_no_position_is_given_twice(days: list[tuple[int, int]]) -> None:
    """Each day so many records are appended, and then so many are lost."""
    table, end, highest = Generations(), 0, -1
    for number, (appended, lost) in enumerate(days, 1):
        for _ in range(appended):
            position = table.position(T, 0, end)
            assert position > highest and table.offset(T, 0, position) == end and not table.is_lost(T, 0, position)
            highest, end = position, end + 1
        end = max(0, end - lost)
        assert table.add(_opened(table, number, end, highest + 1), number)
        assert table.position(T, 0, end) > highest
