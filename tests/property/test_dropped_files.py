"""Dropped files of any bytes: physical rows are accepted or rejected, in order, each number once, however the file is read.

A night's run over many more files: `make fuzz-files FILES=100000`.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.file_fuzz import (
    DELIMITERS,
    ENCODINGS,
    ENDS,
    JSON_PIECES,
    OWN_MARKS,
    QUOTES,
    RAW_BYTES,
    TEXTS,
    Options,
    check_file,
    fuzz,
    header_of,
)

OPTIONS = st.builds(
    Options,
    is_csv=st.booleans(),
    encoding=st.sampled_from(ENCODINGS),
    delimiter=st.sampled_from(DELIMITERS),
    quote=st.sampled_from(QUOTES),
    has_header=st.booleans(),
).filter(lambda options: options.delimiter != options.quote)
ROW = "R1{0}2026-03-01T08:00:00Z{0}62990001{0}ok\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@st.composite
def files(draw: st.DrawFn) -> tuple[Options, bytes]:
    options = draw(OPTIONS)
    texts = (*TEXTS, *ENDS, options.quote, options.quote * 2, options.delimiter, *JSON_PIECES, ROW.format(options.delimiter))
    codec = options.encoding.removesuffix("-sig")
    encoded = [text.encode(codec, "ignore") for text in texts]
    pieces = draw(st.lists(st.one_of(st.sampled_from([*encoded, *RAW_BYTES]), st.binary(max_size=4)), max_size=20))
    head = draw(st.sampled_from([b"", OWN_MARKS.get(options.encoding, b""), b"\r\n", b" "]))
    header = header_of(options) + draw(st.sampled_from([b"\n", b"\r\n", b"\r"])) if options.is_csv and options.has_header else b""
    return options, head + header + b"".join(pieces)


@given(files(), st.integers(0, 1 << 32))
def test_every_row_of_any_file_is_accepted_or_rejected_in_order_and_once(folder: Path, file: tuple[Options, bytes], seed: int):
    options, raw = file
    check_file(raw, options, folder, random.Random(seed))


@given(OPTIONS, st.binary(max_size=300), st.integers(0, 1 << 32))
def test_bytes_of_no_form_at_all_are_told_line_by_line(folder: Path, options: Options, raw: bytes, seed: int):
    header = header_of(options) + b"\n" if options.is_csv and options.has_header else b""
    check_file(header + raw, options, folder, random.Random(seed))


def test_a_sample_of_the_nights_files_loses_joins_and_doubles_no_row():
    files, rows = fuzz(300, seed=20261130)
    assert files == 300
    assert rows > 600


def test_a_file_of_a_seed_is_always_the_same():
    assert fuzz(3, seed=5, start=40) == fuzz(3, seed=5, start=40)
