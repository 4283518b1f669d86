"""Where a row ends: each physical row is an item, with its own number, whatever quotes, line ends and encodings a file has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from connectors.contract import START, FeedItem
from connectors.filedrop import reader
from connectors.filedrop.mapping import MappingError, MappingFile, parse_mapping
from connectors.filedrop.source import FileSource

HEAD = "ref,at,acc,note"


def mapping(**changes: Any) -> MappingFile:
    return parse_mapping(
        {
            "format": "csv",
            "reference": {"column": "ref"},
            "kind": {"constant": "telecom_fraud"},
            "occurred_at": {"column": "at", "format": "%Y-%m-%d %H:%M:%S"},
            "region": {"constant": "630202"},
            "indicators": [{"kind": "account", "column": "acc"}],
            "narrative": {"column": "note", "optional": True},
            **changes,
        }
    )


def row(number: int, note: str = "ok") -> str:
    return f"R{number},2026-03-01 08:00:00,629900000{number:03d},{note}"


def items(tmp_path: Path, content: str | bytes, given: MappingFile | None = None, **more: Any) -> list[FeedItem]:
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    source = FileSource(path, given or mapping(), settle_s=0, **more)
    found = list(source.items(START))
    for number, item in enumerate(found):
        assert list(source.items(item.position)) == found[number + 1 :]
    return found


def outcome(found: list[FeedItem]) -> list[tuple[int, str]]:
    """The number of each row, and its reference or the word `rejected`."""
    return [(item.number, item.body["reference"] if item.body else "rejected") for item in found]


def faults(found: list[FeedItem]) -> list[str | None]:
    return [item.fault for item in found if item.body is None]


def test_a_quote_inside_of_an_unquoted_cell_is_text_and_joins_no_rows(tmp_path):
    rows = [row(1, '他说"先转账'), *(row(n) for n in range(2, 40)), row(40, '屏27"寸'), row(41)]
    found = items(tmp_path, "\n".join([HEAD, *rows]) + "\n")
    assert outcome(found) == [(n + 1, f"R{n}") for n in range(1, 42)]
    assert found[0].body["narrative"] == '他说"先转账'


@pytest.mark.parametrize("between", [0, 1, 38])
def test_a_forgotten_closing_quote_costs_its_own_row_alone(tmp_path, between):
    rows = [row(1, '"他说'), *(row(n) for n in range(2, 2 + between)), row(2 + between, '27"'), row(3 + between)]
    found = items(tmp_path, "\n".join([HEAD, *rows]) + "\n")
    assert outcome(found) == [(2, "rejected"), *((n + 1, f"R{n}") for n in range(2, 4 + between))]
    assert "looks like a row of its own" in str(faults(found)[0])


def test_an_open_quote_in_the_first_column_swallows_no_row(tmp_path):
    found = items(tmp_path, f'{HEAD}\n"{row(1)}\n{row(2)}"\n{row(3)}\n')
    assert outcome(found) == [(2, "rejected"), (3, "R2"), (4, "R3")]


def test_rows_joined_to_another_number_of_values_cost_the_first_line_alone(tmp_path):
    found = items(tmp_path, f'{HEAD}\n{row(1, chr(34) + "open")}\nx,y"\n{row(3)}\n')
    assert outcome(found) == [(2, "R1"), (3, "R3")]  # one row of two lines: nothing in it looks like a row
    found = items(tmp_path, f'{HEAD}\n{row(1, chr(34) + "open")}\nx,"y",z\n{row(3)}\n')
    assert outcome(found) == [(2, "rejected"), (3, "rejected"), (4, "R3")]


def test_a_quoted_cell_of_several_lines_is_one_row_in_any_column(tmp_path):
    first = '"one\ntwo, three\r\n\r\nfour\rfive ""six""",R1,2026-03-01 08:00:00,62990001\n'
    text = f"note,ref,at,acc\n{first}x,R2,2026-03-01 08:00:00,62990002\n"
    found = items(tmp_path, text)
    assert outcome(found) == [(2, "R1"), (3, "R2")]
    assert found[0].body["narrative"] == 'one\ntwo, three\r\n\r\nfour\rfive "six"'


def test_a_header_may_have_quoted_line_ends(tmp_path):
    given = mapping(narrative={"column": "no\nte"})
    assert outcome(items(tmp_path, f'ref,at,acc,"no\nte"\n{row(1)}\n', given)) == [(2, "R1")]


def test_a_header_that_swallows_a_row_is_a_mapping_error(tmp_path):
    with pytest.raises(MappingError, match="looks like a row of its own"):
        items(tmp_path, f'ref,at,acc,"note\n{row(1)}\n{row(2)}"\n{row(3)}\n')
    with pytest.raises(MappingError, match="never closed"):
        items(tmp_path, f'ref,at,acc,"note\n{row(1)}\n')


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("has_columns", [False, True])
def test_every_line_end_ends_a_row(tmp_path, end, delimiter, has_columns):
    given = mapping(delimiter=delimiter, **({"columns": HEAD.split(",")} if has_columns else {}))
    lines = [row(1, "a"), row(2, "b"), row(3, "c")]
    lines = lines if has_columns else [HEAD, *lines]
    text = end.join(line.replace(",", delimiter) for line in lines)
    first = 1 if has_columns else 2
    for content in (text, text + end):
        assert outcome(items(tmp_path, content, given)) == [(first + n, f"R{n + 1}") for n in range(3)]


def test_a_cr_between_rows_of_other_line_ends_ends_a_row(tmp_path):
    found = items(tmp_path, f"{HEAD}\n{row(1)}\r{row(2)}\n{row(3)}\r\n{row(4)}\r")
    assert outcome(found) == [(n + 1, f"R{n}") for n in range(1, 5)]


def test_a_cr_inside_of_an_unquoted_note_makes_two_rows_that_are_both_told(tmp_path):
    found = items(tmp_path, f"{HEAD}\n{row(1, 'first')}\rsecond half\n{row(2)}\n")
    assert outcome(found) == [(2, "R1"), (3, "rejected"), (4, "R2")]
    assert faults(found) == ["the row has 1 values, but the header has 4"]


def test_quotes_with_backslashes_cost_their_own_lines_alone(tmp_path):
    rows = [row(1, r'"他说\"转账\""'), row(2, r'"他说\"转"'), row(3), row(4, 'ok "'), row(5)]
    found = items(tmp_path, "\n".join([HEAD, *rows]) + "\n")
    assert outcome(found) == [(2, "rejected"), (3, "rejected"), (4, "R3"), (5, "R4"), (6, "R5")]
    assert "double a quote inside" in str(faults(found)[0])


@pytest.mark.parametrize("encoding", ["gbk", "gb18030"])
@pytest.mark.parametrize("sign", ["|", "`", "^", "\\", "@"])
def test_half_a_character_is_no_quote_and_no_delimiter(tmp_path, encoding, sign):
    trail = next(bytes([lead, ord(sign)]).decode(encoding) for lead in range(0x82, 0xA0))
    text = f"{HEAD}\n{row(1, trail)}\n{row(2)}\n{row(3, trail)}\n"
    found = items(tmp_path, text.encode(encoding), mapping(encoding=encoding, quote=sign))
    assert outcome(found) == [(2, "R1"), (3, "R2"), (4, "R3")]
    text = text.replace(",", sign)
    found = items(tmp_path, text.encode(encoding), mapping(encoding=encoding, delimiter=sign))
    assert outcome(found) == [(2, "R1"), (3, "R2"), (4, "R3")]
    assert found[0].body["narrative"] == trail


def test_a_lead_byte_takes_no_line_end_with_it(tmp_path):
    content = f"{HEAD}\n{row(1)}".encode("gbk") + b"\x81\n" + row(2).encode() + b"\n"
    found = items(tmp_path, content, mapping(encoding="gbk"))
    assert outcome(found) == [(2, "rejected"), (3, "R2")]


def test_a_nul_byte_is_a_character_like_any_other(tmp_path):
    found = items(tmp_path, f"{HEAD}\n{row(1, 'a' + chr(0) + 'b')}\n{row(2)}\n")
    assert outcome(found) == [(2, "R1"), (3, "R2")]


def test_lines_of_blanks_are_no_rows_and_have_numbers(tmp_path):
    found = items(tmp_path, f"\n \t\n{HEAD}\n\n{row(1)}\n \n\r\n{row(2)}\n\n")
    assert outcome(found) == [(5, "R1"), (8, "R2")]


def test_a_quote_that_is_opened_and_never_closed_costs_one_line_near_and_far(tmp_path, monkeypatch):
    rows = [row(1, '"open'), *(row(n, "short, rest") for n in range(2, 30))]
    content = "\n".join([HEAD, *rows]) + "\n"
    near = items(tmp_path, content)
    monkeypatch.setattr(reader, "MAX_ROW_BYTES", 200)
    far = items(tmp_path, content)
    assert [len(near), len(far)] == [29, 29]
    assert near[0].fault == far[0].fault == "a quote is opened and never closed"


def test_many_open_quotes_are_read_in_the_time_of_one(tmp_path):
    content = HEAD + "\n" + '5","y\n' * 20_000
    assert len(items_once(tmp_path, content)) == 20_000


def items_once(tmp_path: Path, content: str) -> list[FeedItem]:
    path = tmp_path / "a.csv"
    path.write_text(content, "utf-8")
    return list(FileSource(path, mapping(), settle_s=0).items(START))


def test_a_line_over_the_bound_is_one_reject_wherever_its_end_falls(tmp_path, monkeypatch):
    for size in (99, 100, 101, 65_535, 65_536, 65_537, 200_000):
        for end in ("\n", "\r", "\r\n"):
            monkeypatch.setattr(reader, "MAX_ROW_BYTES", 100)
            found = items(tmp_path, end.join([HEAD, "x" * size, row(1), row(2)]) + end)
            assert outcome(found) == [(2, "rejected"), (3, "R1"), (4, "R2")]


@pytest.mark.parametrize(
    ("mark", "encoding", "said"),
    [
        (b"\xef\xbb\xbf", "gb18030", "encoding: utf-8-sig"),
        (b"\xef\xbb\xbf", "gbk", "encoding: utf-8-sig"),
        (b"\xef\xbb\xbf", "cp1252", "encoding: utf-8-sig"),
        (b"\x84\x31\x95\x33", "utf-8", "encoding: gb18030"),
        (b"\xff\xfe", "utf-8", "UTF-16"),
        (b"\xfe\xff", "gb18030", "UTF-16"),
        (b"\xff\xfe", "iso8859-1", "UTF-16"),
        (b"\xff\xfe\x00\x00", "utf-8", "UTF-32"),
    ],
)
@pytest.mark.parametrize("form", ["csv", "ndjson"])
def test_a_byte_order_mark_that_contradicts_the_encoding_is_a_mapping_error(tmp_path, mark, encoding, said, form):
    with pytest.raises(MappingError, match=said):
        items(tmp_path, mark + f"{HEAD}\n{row(1)}\n".encode(), mapping(encoding=encoding, format=form))


@pytest.mark.parametrize(
    ("mark", "encoding"), [(b"\xef\xbb\xbf", "utf-8"), (b"\xef\xbb\xbf", "utf-8-sig"), (b"\x84\x31\x95\x33", "gb18030")]
)
def test_the_encodings_own_mark_is_no_part_of_the_first_name(tmp_path, mark, encoding):
    assert outcome(items(tmp_path, mark + f"{HEAD}\n{row(1)}\n".encode(), mapping(encoding=encoding))) == [(2, "R1")]


@pytest.mark.parametrize("head", ["ref,at,acc,note,acc", "ref,at,acc,note,x, x", "ref,ref,at,acc,note"])
def test_a_column_that_stands_twice_in_the_header_is_a_mapping_error(tmp_path, head):
    with pytest.raises(MappingError, match=r"the header contains (acc|x|ref) twice"):
        items(tmp_path, f"{head}\n{row(1)}\n")


def test_columns_without_a_name_may_be_many(tmp_path):
    assert outcome(items(tmp_path, f"{HEAD},,\n{row(1)},,\n")) == [(2, "R1")]


NDJSON = {"format": "ndjson", "narrative": None}


def test_a_member_that_stands_twice_at_any_depth_is_a_fault_of_its_line(tmp_path):
    good = '{"ref": "R1", "at": "2026-03-01 08:00:00", "acc": "62990001"}'
    lines = [good, good[:-1] + ', "acc": "62990002"}', good[:-1] + ', "x": [{"y": {"z": 1, "z": 1}}]}', good.replace("R1", "R4")]
    found = items(tmp_path, "\n".join(lines), mapping(**NDJSON))
    assert outcome(found) == [(1, "R1"), (2, "rejected"), (3, "rejected"), (4, "R4")]
    assert faults(found) == [f"the member {name!r} occurs twice in one object" for name in ("acc", "z")]


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n"])
def test_json_lines_end_as_rows_do(tmp_path, end):
    lines = [f'{{"ref": "R{n}", "at": "2026-03-01 08:00:00", "acc": "6299000{n}"}}' for n in range(3)]
    assert outcome(items(tmp_path, end.join(lines), mapping(**NDJSON))) == [(1, "R0"), (2, "R1"), (3, "R2")]


def test_half_a_character_in_json_is_a_fault_of_its_line(tmp_path):
    line = r'{"ref": "R1", "at": "2026-03-01 08:00:00", "acc": "6299000\ud83d"}'
    found = items(tmp_path, line + "\n" + line.replace(r"\ud83d", r"\ud83d\ude00"), mapping(**NDJSON))
    assert outcome(found) == [(1, "rejected"), (2, "R1")]
    assert "unpaired surrogate" in str(faults(found)[0])


def test_a_column_that_a_member_and_a_path_both_give_is_a_fault(tmp_path):
    line = '{"ref": "R1", "at": "2026-03-01 08:00:00", "p.acc": "62990001", "p": {"acc": "62990002"}}'
    given = mapping(**NDJSON, indicators=[{"kind": "account", "column": "p.acc"}])
    assert "occurs twice" in str(faults(items(tmp_path, line, given))[0])
