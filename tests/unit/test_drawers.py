"""Names in drawers: an id's short form is a third shorter, comes back as it was, and no two names have one."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_processors.state.shared_hashes import long, short

IDS = st.builds(
    lambda head, raw, version: f"{head}{urlsafe_b64encode(raw)[:22].decode()}{version}",
    st.sampled_from(["sig-", ""]),
    st.binary(min_size=16, max_size=16),
    st.sampled_from(["", "/2", "/10"]),
)


@given(IDS)
def test_an_id_is_short_and_comes_back(name: str) -> None:
    made = short(name)
    assert isinstance(made, bytes)
    assert len(made) == 17 + len(name.partition("/")[2]) + name.count("/")
    assert long(made) == name


@given(st.text(min_size=1, max_size=40).filter(lambda one: one[0] not in "\x01\x02") | IDS)
def test_every_name_comes_back(name: str) -> None:
    made = short(name)
    assert long(made if isinstance(made, bytes) else made.encode()) == name


@pytest.mark.parametrize(
    "name", ["", "sig-1", "sig-" + "A" * 21 + "B", "k1." + "A" * 22, "sig-" + "A" * 23, "sig-" + "A" * 22 + "/x"]
)
def test_what_is_no_id_stays_as_it_is(name: str) -> None:
    assert short(name) == name
