"""Packed values: nothing is lost, and what was packed once can always be read."""

from __future__ import annotations

from hashlib import sha256

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from stream_processors.state.compression import MOST_BYTES, Form, dictionary_file, pack, unpack

SHIPPED = {
    1: "2a099a926a6fc9743e8af4622f7d4460ca7cd9dae6ce04373731360a96dfdc67",
    2: "063cd561d8081c7adbf9f36099015beb534f3544971fa7dc0b73d69cd7b0a263",
    3: "c9b469761574e2f42c11c885b7b17f82092895532c64825036b1ec4fa24472f5",
    4: "96757258b06fbdbd6c5002de366cbe3bb0b8fc3de959fe4da6d6f5412f54f035",
    5: "4ab3a7d2e661755c20b706b02ef90c4113234089670e3ab9126a2d92908b3edd",
    6: "603938fd1ca389a6ee6c3aa45086b508499c87a527a23eb3d146349dd2f56bbe",
    7: "ba5a635b6a4e97f30c092b49c0fa5f0586cd88222f129b9ad74d7ee31456a68d",
    8: "62b31462335442f8a14eaa1e4672e53dff902ac11fe146128e00fd626dae52d9",
    9: "32db0e3c2cd9335f3f65e28079b258e4f21311c66ad34d00cdef76f0736dfeb9",
    10: "aa347495a71b4c79eb67c46ad9407a519d6c882098d5b9461a1abb81b2ce3254",
    11: "a656f00b7c13bb4b9b53089b47aa303d60fc8e91a602794b9c7e0e02505bc68b",
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


def test_a_value_that_says_to_be_enormous_is_damaged() -> None:
    frame = zstandard.ZstdCompressor(level=1).compress(bytes(MOST_BYTES + 1))
    with pytest.raises(ValueError, match="damaged"):
        unpack(b"\x01" + frame)


@pytest.mark.parametrize("value", [b"\x1f" + b"x" * 20, b"\x01garbage", pack(Form.CASE, b"{}" * 200)[:-3]])
def test_a_damaged_value_or_one_of_a_newer_version_is_told(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"damaged|upgrade"):
        unpack(value)
