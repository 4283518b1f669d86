"""Packed values: nothing is lost, and what was packed once can always be read."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_processors.state.packing import Form, dictionary_file, pack, unpack

SHIPPED = {
    1: "f0c8bf57a92e2375db24a82b50a35d8b8d4d72626a8593c793b018b531089bfe",
    2: "dd2e91543405b2f7663bb216dca3f75273d903c9feb17575e403782c5e93de14",
    3: "481a8888c7d690fac7ed2e20f8a1293a2c4464e66eee0cf7648490b60282f14a",
}
"""A dictionary that changes makes every value that was packed with it unreadable. Add a file with a new number instead."""


@given(st.sampled_from(Form), st.binary(max_size=5000))
def test_what_was_packed_is_what_comes_out(form: Form, value: bytes) -> None:
    assert unpack(pack(form, value)) == value


@given(st.sampled_from(["{}", '{"case_id":"case-1"}', "[1,2]"]))
def test_a_value_of_before_there_was_packing_is_read_as_it_is(text: str) -> None:
    assert unpack(text.encode()) == text.encode()


def test_no_dictionary_that_was_shipped_ever_changes() -> None:
    found = {number: sha256(dictionary_file(number).read_bytes()).hexdigest() for number in SHIPPED}
    assert found == SHIPPED
    assert {form.value for form in Form} <= set(SHIPPED)


@pytest.mark.parametrize("value", [b"\x1f" + b"x" * 20, b"\x01garbage", pack(Form.CASE, b"{}" * 200)[:-3]])
def test_a_damaged_value_or_one_of_a_newer_version_is_told(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"damaged|upgrade"):
        unpack(value)
