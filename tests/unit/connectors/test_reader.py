"""Rows of a file: whole lines only, offsets exact, one bad row is one bad row."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.filedrop import reader
from connectors.filedrop.reader import Decoder, FileRow, rows
from tests.unit.connectors.samples import csv_mapping, ndjson_mapping


def write(tmp_path: Path, raw: bytes) -> Path:
    path = tmp_path / "f"
    path.write_bytes(raw)
    return path


CSV = Decoder(csv_mapping())
NDJSON = Decoder(ndjson_mapping())


def read(path: Path, start: int = 0, *, finished: bool = True, decoder: Decoder = CSV, width: int | None = None) -> list[FileRow]:
    return list(rows(path, start, decoder=decoder, is_finished=lambda: finished, width=width))


def pieces(path: Path, start: int = 0, **more: Any) -> list[tuple[int, int, bytes]]:
    return [(row.start, row.end, row.raw) for row in read(path, start, **more)]


def cells(text: str, columns: list[str], decoder: Decoder = CSV) -> dict[str, Any]:
    """The cells of the one row of a text; ValueError with its fault."""
    with tempfile.NamedTemporaryFile() as file:
        Path(file.name).write_bytes(text.encode("gb18030" if decoder is CSV else "utf-8"))
        (row,) = read(Path(file.name), decoder=decoder, width=len(columns) or None)
    if row.fault:
        raise ValueError(row.fault)
    return decoder.cells(row, columns)


def test_a_line_end_inside_of_quotes_belongs_to_the_row(tmp_path):
    path = write(tmp_path, b'a,"1\n2"\nb,3\n')
    assert pieces(path) == [(0, 8, b'a,"1\n2"\n'), (8, 12, b"b,3\n")]
    assert [raw for _, _, raw in pieces(path, decoder=NDJSON)] == [b'a,"1\n', b'2"\n', b"b,3\n"]


def test_a_line_without_an_end_waits_until_the_file_is_finished(tmp_path):
    path = write(tmp_path, b"a\nb")
    assert pieces(path, finished=False) == [(0, 2, b"a\n")]
    assert pieces(path) == [(0, 2, b"a\n"), (2, 3, b"b")]


def test_an_open_quote_waits_while_the_file_may_grow(tmp_path):
    path = write(tmp_path, b'a\n"b\nc\n')
    assert pieces(path, finished=False) == [(0, 2, b"a\n")]


def test_a_quote_that_is_never_closed_costs_one_line(tmp_path):
    path = write(tmp_path, b'a\n"b\nc\nd\n')
    found = read(path)
    assert [(row.raw, row.fault is None) for row in found] == [(b"a\n", True), (b'"b\n', False), (b"c\n", True), (b"d\n", True)]


def test_an_endless_row_is_a_fault_and_reading_goes_on_after_it(tmp_path, monkeypatch):
    monkeypatch.setattr(reader, "MAX_ROW_BYTES", 100)
    path = write(tmp_path, b"a\n" + b"x" * 5000 + b"\nb\n")
    found = read(path, finished=False, decoder=NDJSON)
    assert [(row.start, row.end) for row in found] == [(0, 2), (2, 5003), (5003, 5005)]
    assert found[1].fault
    assert len(found[1].raw) <= 1000


@given(st.lists(st.binary(min_size=0, max_size=30).map(lambda raw: raw.replace(b"\n", b"").replace(b'"', b"")), max_size=20))
def test_any_bytes_come_back_and_any_offset_is_a_start(tmp_path_factory, lines):
    raw = b"".join(line + b"\n" for line in lines)
    path = write(tmp_path_factory.mktemp("r"), raw)
    found = pieces(path)
    assert b"".join(piece for _, _, piece in found) == raw
    for number, (start, _, _) in enumerate(found):
        assert pieces(path, start) == found[number:]


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path):
    for encoding in ("utf-8", "utf-8-sig", "gb18030"):
        raw = "\ufeff流水号,a\r\n".encode("gb18030" if encoding == "gb18030" else "utf-8")
        (row,) = read(write(tmp_path, raw), decoder=Decoder(csv_mapping(encoding=encoding)))
        assert row.values == ["流水号", "a"]


@pytest.mark.parametrize(
    ("text", "said"),
    [("a,b,c", "3 values, but the header has 2"), ('a,"b"c', "not valid CSV"), ("a", "1 values, but the header has 2")],
)
def test_a_row_that_does_not_fit_the_header_is_a_fault(text, said):
    with pytest.raises(ValueError, match=said):
        cells(text, ["x", "y"])


@pytest.mark.parametrize("text", ["[1]", "{", '{"a": NaN}', "[" * 100_000])
def test_a_line_that_is_no_json_object_is_a_fault(text):
    with pytest.raises(ValueError, match="JSON"):
        cells(text, [], NDJSON)
