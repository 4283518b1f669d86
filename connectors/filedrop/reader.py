"""A file as rows with their positions. Header, rows, `--check` and `--watch` all read through `rows`.

A row is a line, or the lines of one CSV record with quoted line ends. If lines form no record, the first one becomes a row with a
fault, and reading continues from the next line.

Invariant: the rows after an offset do not depend on where reading began; every byte belongs to one row; a row is yielded only
with its line end (or, at the end of the file, when `is_finished` confirms it).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from connectors.filedrop.csv_record import CsvRecord, Dialect, RecordState, swallowed_line
from connectors.filedrop.lines import Line, LineReader, own_mark
from connectors.filedrop.mapping import MappingFile

MAX_ROW_BYTES = 256 * 1024
_NEVER_CLOSED = "a quote is opened and never closed"


class FileRow(NamedTuple):
    """The bytes of a row, from `start` to `end` in the file; `fault` if they cannot be a row.

    `text`: decoded, without the line end. `values`: of a CSV row. `is_blank`: only spaces and tabs.
    """

    start: int
    end: int
    raw: bytes
    text: str
    values: list[str] | None = None
    fault: str | None = None
    is_blank: bool = False


def rows(
    path: Path,
    start: int,
    *,
    decoder: Decoder,
    is_finished: Callable[[], bool],
    width: int | None = None,
    limit: int | None = None,
) -> Iterator[FileRow]:
    """Yields the rows from byte `start` up to `limit`. `width`: the number of values of a CSV row, if known.

    `is_finished` is called for a row without a line end, and for an open quote at the end.
    """
    with path.open("rb") as file:
        end = path.stat().st_size if limit is None else limit
        lines = LineReader(file, start, limit=end, longest=MAX_ROW_BYTES)
        while (line := lines.next_line()) is not None:
            if not line.is_ended and not is_finished():
                return
            row = _read_row(line, lines, decoder, width, is_finished)
            if row is None:
                return
            yield row


def _read_row(
    line: Line, lines: LineReader, decoder: Decoder, width: int | None, is_finished: Callable[[], bool]
) -> FileRow | None:
    """Returns the row that begins with a line; None if it is incomplete."""
    if line.is_too_long:
        return _build_faulty(line, decoder, f"the row exceeds {MAX_ROW_BYTES} bytes")
    if decoder.is_blank(line):
        return FileRow(line.start, line.end, line.raw, "", is_blank=True)
    try:
        text = decoder.text(line.raw, line.start)
    except UnicodeDecodeError as error:
        return _build_faulty(line, decoder, decoder.encoding_fault(error))
    if not decoder.is_csv:
        return FileRow(line.start, line.end, line.raw, _strip_line_end(text))
    record = decoder.record(width)
    texts = [text]
    state = record.add(text)
    if state is RecordState.OPEN:
        more: list[Line] = []
        fault = _complete_record(record, line, more, texts, lines, decoder, is_finished)
        if fault is None:
            return None
        if not fault and (number := decoder.swallowed_line(texts, width or len(record.values))):
            fault = _describe_swallowed(number, len(texts))
        if fault:
            lines.put_back(more)
            return _build_faulty(line, decoder, fault)
        raw = line.raw + b"".join(following.raw for following in more)
        return FileRow(line.start, more[-1].end, raw, _strip_line_end("".join(texts)), record.values)
    if state is RecordState.FAULTY:
        return _build_faulty(line, decoder, record.fault)
    return FileRow(line.start, line.end, line.raw, _strip_line_end(text), record.values)


def _complete_record(
    record: CsvRecord,
    first: Line,
    more: list[Line],
    texts: list[str],
    lines: LineReader,
    decoder: Decoder,
    is_finished: Callable[[], bool],
) -> str | None:
    """Reads on until the record is complete. Returns the fault, '' for none, None if the file may still provide the rest."""
    size, state = len(first.raw), RecordState.OPEN
    while state is RecordState.OPEN:
        line = lines.next_line()
        if line is not None:
            more.append(line)
            size += len(line.raw)
        if size > MAX_ROW_BYTES or (line is not None and line.is_too_long):
            return _NEVER_CLOSED
        if line is None or not line.is_ended:
            if not is_finished():
                return None
            if line is None:
                return _NEVER_CLOSED
        try:
            texts.append(decoder.text(line.raw, line.start))
        except UnicodeDecodeError:
            return f"a quoted cell continues over a line that is not {decoder.encoding}"
        state = record.add(texts[-1])
    return record.fault


def _describe_swallowed(number: int, count: int) -> str:
    return (
        f"a quoted cell continues over {count} lines, and line {number} of them looks like a row of its own; close "
        "the quote, or remove the line end from the cell"
    )


def _build_faulty(line: Line, decoder: Decoder, fault: str) -> FileRow:
    return FileRow(line.start, line.end, line.raw, decoder.lossy_text(line.raw), fault=fault)


def _strip_line_end(text: str) -> str:
    return text.rstrip("\r\n")


class Decoder:
    """Decodes the bytes of a row to cells by the mapping. ValueError gives the fault of the row."""

    def __init__(self, mapping: MappingFile) -> None:
        self._dialect = Dialect(mapping.delimiter, mapping.quote)
        self._codec = "utf-8" if mapping.encoding == "utf-8-sig" else mapping.encoding
        self.encoding = mapping.encoding
        self.is_csv = mapping.format == "csv"
        self.has_header = self.is_csv and mapping.columns is None

    def text(self, raw: bytes, start: int) -> str:
        """Returns a line as text, line end included, without the byte order mark of the file."""
        text = raw.decode(self._codec)
        return text.removeprefix("\ufeff") if start == 0 else text

    def lossy_text(self, raw: bytes) -> str:
        """Returns an undecodable line in a form for people."""
        return raw.rstrip(b"\r\n").decode(self._codec, "backslashreplace")

    def encoding_fault(self, error: UnicodeDecodeError) -> str:
        return f"not {self.encoding}: byte {error.object[error.start]:#04x} at {error.start} of the row"

    def is_blank(self, line: Line) -> bool:
        raw = line.raw.strip()
        return not raw or (line.start == 0 and raw == own_mark(self.encoding))

    def record(self, width: int | None) -> CsvRecord:
        return CsvRecord(self._dialect, width)

    def swallowed_line(self, texts: list[str], width: int) -> int | None:
        return swallowed_line(texts, self._dialect, width)

    def cells(self, row: FileRow, columns: list[str]) -> dict[str, Any]:
        """Returns the cells of a row without a fault, by column name."""
        if row.values is None:
            return _read_object(row.text)
        return dict(zip(columns, row.values, strict=True))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not valid JSON")


def _build_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise _Twice(f"the member {twice[:40]!r} occurs twice in one object")
    return members


class _Twice(ValueError):
    """A repeated member: valid JSON, but ambiguous."""


def _read_object(text: str) -> dict[str, Any]:
    try:
        members = json.loads(text, parse_float=Decimal, parse_constant=_no_constant, object_pairs_hook=_build_members)
    except _Twice:
        raise
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid JSON: {error}") from error
    if not isinstance(members, dict):
        raise ValueError("the line is not a JSON object")
    if "\\ud" in text.lower() and not _is_unicode(members):
        raise ValueError("not valid JSON: unpaired surrogate")
    return members


def _is_unicode(members: dict[str, Any]) -> bool:
    try:
        json.dumps(members, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True
