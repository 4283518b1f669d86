"""A file as a source: headers, encodings, growth, and files that are not the ones they were."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from connectors.contract import START
from connectors.filedrop.mapping import MappingError
from connectors.filedrop.source import FileSource
from tests.unit.connectors.samples import csv_mapping, csv_row, ndjson_mapping, write_csv, write_ndjson


def source(path: Path, **more) -> FileSource:
    return FileSource(path, more.pop("mapping", None) or csv_mapping(), settle_s=more.pop("settle_s", 0), **more)


def references(path: Path, after=START, **more) -> list[str]:
    return [item.body["reference"] for item in source(path, **more).items(after) if item.body]


def test_row_numbers_are_those_of_the_file_with_its_header(tmp_path):
    items = list(source(write_csv(tmp_path / "a.csv", 3)).items(START))
    assert [item.number for item in items] == [2, 3, 4]


def test_a_missing_column_is_said_before_any_row(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("流水号,时间\n1,2\n", "gb18030")
    with pytest.raises(MappingError, match="no column 区县, 金额, 账号, 摘要; the file has: 流水号, 时间"):
        list(source(path).items(START))


def test_a_file_without_header_has_its_columns_from_the_mapping(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(csv_row(1), "gb18030")
    mapping = csv_mapping(columns=["流水号", "时间", "区县", "账号", "金额", "摘要"])
    assert references(path, mapping=mapping) == ["R1"]


def test_bytes_of_another_encoding_are_one_bad_row(tmp_path):
    path = write_csv(tmp_path / "a.csv", 2)
    path.write_bytes(path.read_bytes() + b"R9,\xff\xff,x,y,1,\r\n" + csv_row(3).encode("gb18030"))
    items = list(source(path).items(START))
    assert [item.body is not None for item in items] == [True, True, False, True]
    assert "not gb18030: byte 0xff" in items[2].fault


def test_blank_lines_are_no_rows(tmp_path):
    path = write_csv(tmp_path / "a.csv", 2)
    path.write_bytes(path.read_bytes() + b"\r\n\r\n" + csv_row(2).encode("gb18030") + b"\r\n")
    assert references(path) == ["R0", "R1", "R2"]


def test_a_growing_file_gives_whole_lines_only(tmp_path):
    path = write_csv(tmp_path / "a.csv", 2)
    row = csv_row(2).encode("gb18030")
    position = list(source(path, follow=True).items(START))[-1].position
    for cut in range(1, len(row)):
        path.write_bytes(write_csv(tmp_path / "b.csv", 2).read_bytes() + row[:cut])
        if path.stat().st_ino == position["inode"]:
            assert references(path, position, follow=True, settle_s=60) == []
    with path.open("ab") as file:
        file.write(row[-1:])
    assert references(path, position, follow=True, settle_s=60) == ["R2"]


def test_the_last_line_without_an_end_is_taken_when_nobody_writes_any_more(tmp_path):
    path = write_csv(tmp_path / "a.csv", 2)
    path.write_bytes(path.read_bytes().rstrip(b"\r\n"))
    changed = path.stat().st_mtime
    assert references(path, settle_s=2, now=lambda: changed + 1) == ["R0"]
    assert references(path, settle_s=2, now=lambda: changed + 3) == ["R0", "R1"]


def test_a_new_file_under_the_old_name_is_read_from_its_start(tmp_path):
    path = write_csv(tmp_path / "a.csv", 3)
    position = list(source(path).items(START))[-1].position
    told = []
    (tmp_path / "new.csv").write_bytes(write_csv(tmp_path / "c.csv", 9).read_bytes())
    (tmp_path / "new.csv").replace(path)
    assert len(references(path, position, report=told.append)) == 9
    assert "the file was replaced" in told[0]


def test_a_file_that_was_cut_or_rewritten_in_place_is_read_from_its_start(tmp_path):
    path = write_csv(tmp_path / "a.csv", 9)
    items = list(source(path).items(START))
    with path.open("r+b") as file:
        file.truncate(items[4].position["offset"])
    assert len(references(path, items[-1].position)) == 5
    path = write_csv(tmp_path / "a.csv", 9, bad=frozenset({8}))
    assert len(references(path, items[-1].position)) == 8


def test_a_file_that_only_grew_goes_on_where_it_was(tmp_path):
    path = write_csv(tmp_path / "a.csv", 3)
    position = list(source(path).items(START))[-1].position
    with path.open("ab") as file:
        file.write(csv_row(3).encode("gb18030"))
    assert references(path, position) == ["R3"]


def test_composed_references_differ_between_files_of_one_name_and_are_plain_ascii(tmp_path):
    mapping = ndjson_mapping()
    path = write_ndjson(tmp_path / "日报 一.ndjson", 2)
    first = references(path, mapping=mapping)
    path.write_text(path.read_text("utf-8").replace("1380000", "1390000"), "utf-8")
    second = references(path, mapping=mapping)
    assert not set(first) & set(second)
    assert all(one.isascii() and " " not in one and len(one) <= 128 for one in first)


def append(path: Path, text: str) -> None:
    with path.open("ab") as file:
        file.write(text.encode("gb18030"))


@pytest.mark.parametrize("follow", [False, True])
def test_a_row_of_which_a_part_was_sent_is_rejected_whole_when_it_grows(tmp_path, follow):
    path = write_csv(tmp_path / "a.csv", 1)
    append(path, csv_row(1).rstrip())
    first = list(source(path, follow=follow).items(START))
    assert [item.body["reference"] for item in first] == ["R0", "R1"]
    append(path, "x\r\n" + csv_row(2))
    grown, after = source(path, follow=follow).items(first[-1].position)
    assert (grown.number, grown.body) == (3, None)
    assert "its first part was sent" in grown.fault and grown.raw == csv_row(1).rstrip() + "x"
    assert (after.number, after.body["reference"]) == (4, "R2")
    assert list(source(path, follow=follow).items(grown.position)) == [after]


@pytest.mark.parametrize("follow", [False, True])
def test_a_row_of_which_nothing_was_sent_is_a_row_like_any_other_when_it_is_whole(tmp_path, follow):
    path = write_csv(tmp_path / "a.csv", 1)
    row = csv_row(1)
    append(path, row[:20])
    first = list(source(path, follow=follow).items(START))
    assert [(item.number, item.body is None) for item in first] == [(2, False), (3, True)]
    assert list(source(path, follow=follow).items(first[-1].position)) == []
    append(path, row[20:] + csv_row(2))
    found = list(source(path, follow=follow).items(first[-1].position))
    assert [(item.number, item.body["reference"]) for item in found] == [(3, "R1"), (4, "R2")]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_line_end_that_comes_late_is_no_row_and_no_change(tmp_path, end):
    path = write_csv(tmp_path / "a.csv", 1)
    append(path, csv_row(1).rstrip())
    position = list(source(path).items(START))[-1].position
    for char in end:
        append(path, char)
        assert list(source(path).items(position)) == []
    append(path, csv_row(2))
    assert [(item.number, item.body["reference"]) for item in source(path).items(position)] == [(4, "R2")]


def test_the_lf_of_a_crlf_that_comes_late_is_no_row(tmp_path):
    path = write_csv(tmp_path / "a.csv", 1)
    append(path, csv_row(1).rstrip("\n"))
    assert references(path, settle_s=60) == ["R0"]  # half of a line end is none yet
    position = list(source(path).items(START))[-1].position
    append(path, "\n" + csv_row(2))
    assert [(item.number, item.body["reference"]) for item in source(path).items(position)] == [(4, "R2")]


def test_a_cursor_of_an_older_version_goes_on(tmp_path):
    path = write_csv(tmp_path / "a.csv", 3)
    append(path, csv_row(3).rstrip())
    position = {name: value for name, value in list(source(path).items(START))[-1].position.items() if name != "unsent"}
    assert set(position) == {"offset", "row", "last_start", "last", "inode", "head_bytes", "head"}
    append(path, "\r\n" + csv_row(4))
    assert references(path, position) == ["R4"]


def test_a_row_that_is_written_while_the_rows_before_it_are_sent_is_not_taken_half(tmp_path):
    path = write_csv(tmp_path / "a.csv", 2)
    found = source(path).items(START)
    first = next(found)
    append(path, csv_row(2)[:30])
    assert [item.number for item in (first, *found)] == [2, 3]
    append(path, csv_row(2)[30:])
    assert references(path, first.position) == ["R1", "R2"]


def test_a_followed_header_waits_for_its_line_end(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("流水号,时", "gb18030")
    assert list(source(path, follow=True).items(START)) == []
    with pytest.raises(MappingError, match="no column"):
        list(source(path).items(START))


def test_a_file_with_a_time_of_the_future_settles(tmp_path):
    path = write_csv(tmp_path / "a.csv", 2)
    path.write_bytes(path.read_bytes().rstrip())
    os.utime(path, (1e10, 1e10))
    assert references(path) == ["R0", "R1"]
