"""A file as rows with their place in it: whole lines only, quoted line ends understood, byte offsets exact.

Invariant: the rows after an offset do not depend on where reading began, and a row is given only when its line end is
there (or, when the caller says that the file is finished, at the end of the file).
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from connectors.filedrop.mapping import MappingFile

MAX_ROW_BYTES = 256 * 1024
_BOM = b"\xef\xbb\xbf"


class RawRow(NamedTuple):
    """The bytes of a row, from `start` to `end` in the file; `fault` when they cannot be a row."""

    start: int
    end: int
    raw: bytes
    fault: str | None = None


def rows(path: Path, start: int, *, quote: bytes | None, finished: bool) -> Iterator[RawRow]:
    """The rows from byte `start`. `quote`: inside of quotes, line ends belong to the row (CSV)."""
    with path.open("rb") as file:
        file.seek(start)
        at = start
        while row := _row(file, at, quote, finished):
            yield row
            at = row.end
            file.seek(at)


def _row(file: io.BufferedReader, start: int, quote: bytes | None, finished: bool) -> RawRow | None:
    first = file.readline(MAX_ROW_BYTES + 1)
    if not first:
        return None
    if len(first) > MAX_ROW_BYTES:
        return _too_long(file, start, first, finished)
    raw, open_quote = first, quote is not None and first.count(quote) % 2 == 1
    while quote is not None and open_quote:
        more = file.readline(MAX_ROW_BYTES + 1)
        if not more and not finished and len(raw) <= MAX_ROW_BYTES:
            return None
        if not more or len(raw) + len(more) > MAX_ROW_BYTES:
            # Only the line with the open quote is lost; what follows is read as rows of its own.
            return RawRow(start, start + len(first), first, "a quote is opened and never closed")
        raw += more
        open_quote ^= more.count(quote) % 2 == 1
    if not raw.endswith(b"\n") and not finished:
        return None
    return RawRow(start, start + len(raw), raw)


def _too_long(file: io.BufferedReader, start: int, first: bytes, finished: bool) -> RawRow | None:
    length, piece = len(first), first
    while piece and not piece.endswith(b"\n"):
        piece = file.readline(1 << 20)
        length += len(piece)
    if not piece and not finished:
        return None
    return RawRow(start, start + length, first[:1000], f"the row is longer than {MAX_ROW_BYTES} bytes")


class Decoder:
    """Bytes of a row to cells, as the mapping says. ValueError tells what is wrong with the row."""

    def __init__(self, mapping: MappingFile) -> None:
        self._mapping = mapping
        self._encoding = "utf-8" if mapping.encoding == "utf-8-sig" else mapping.encoding
        self.quote = mapping.quote.encode(self._encoding) if mapping.format == "csv" else None
        self.has_header = mapping.format == "csv" and mapping.columns is None

    def text(self, raw: bytes, start: int) -> str:
        if start == 0:
            raw = raw.removeprefix(_BOM)
        return raw.decode(self._encoding).rstrip("\r\n")

    def values(self, text: str) -> list[str]:
        """The values of a CSV row."""
        given = self._mapping
        file = io.StringIO(text, newline="")
        lines = csv.reader(file, delimiter=given.delimiter, quotechar=given.quote, strict=True)
        try:
            return next(lines, [])
        except csv.Error as error:
            raise ValueError(f"not valid CSV: {error}") from error

    def cells(self, text: str, columns: list[str]) -> dict[str, Any]:
        if self._mapping.format == "ndjson":
            return _object(text)
        values = self.values(text)
        if len(values) != len(columns):
            raise ValueError(f"the row has {len(values)} values, the header {len(columns)}")
        return dict(zip(columns, values, strict=True))


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not valid JSON: {error}") from error
    if not isinstance(found, dict):
        raise ValueError("the line is no JSON object")
    return found
