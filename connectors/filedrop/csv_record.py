"""One CSV record from physical lines: the one place that decides where a quoted cell, and so a row, ends.

The format is RFC 4180: a cell that begins with the quote runs to its closing quote, line ends included, and a quote inside is
doubled. A quote inside of a cell that does not begin with one is text. Pure.

Invariant: `add` returns COMPLETE exactly at the end of a line, so no rest of a record can be lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum


class RecordState(Enum):
    COMPLETE = "complete"
    OPEN = "open"
    FAULTY = "faulty"


class Dialect:
    """The delimiter and the quote of a file."""

    def __init__(self, delimiter: str, quote: str) -> None:
        self.delimiter = delimiter
        self.quote = quote
        self.doubled_quote = quote * 2
        self.next_quoted = delimiter + quote
        other = f"[^{re.escape(quote)}]*"
        self.inside_quotes = re.compile(f"{other}(?:{re.escape(quote)}{re.escape(quote)}{other})*")


class CsvRecord:
    """Takes lines with `add` until one completes the record. `width`: the required number of values, if known."""

    def __init__(self, dialect: Dialect, width: int | None) -> None:
        self.values: list[str] = []
        self.fault = ""
        self._dialect = dialect
        self._width = width
        self._open_parts: list[str] | None = None

    def add(self, text: str) -> RecordState:
        """Adds one line with its line end."""
        content, dialect = text.rstrip("\r\n"), self._dialect
        at = 0
        while True:
            if self._open_parts is None and not content.startswith(dialect.quote, at):
                end = content.find(dialect.next_quoted, at)
                self.values += (content[at:] if end < 0 else content[at:end]).split(dialect.delimiter)
                if end < 0:
                    return self._finish_record()
                at = end + 1
            if self._open_parts is None:
                self._open_parts = []
                at += 1
            match = dialect.inside_quotes.match(content, at)
            assert match is not None  # the pattern fits an empty text
            self._open_parts.append(match.group())
            if match.end() == len(content):
                self._open_parts.append(text[len(content) :])
                return self._has_room()
            at = match.end() + 1
            self.values.append("".join(self._open_parts).replace(dialect.doubled_quote, dialect.quote))
            self._open_parts = None
            if at == len(content):
                return self._finish_record()
            if not content.startswith(dialect.delimiter, at):
                place = f"text after the closing quote of value {len(self.values)}"
                return self._mark_faulty(f"not valid CSV: {place}; double a quote inside of a quoted value")
            at += 1

    def count_values(self) -> int:
        """Returns the number of values if the open quote is read as text."""
        open_text = "".join(self._open_parts or ())
        return len(self.values) + (0 if self._open_parts is None else 1 + open_text.count(self._dialect.delimiter))

    def _finish_record(self) -> RecordState:
        if self._width is not None and len(self.values) != self._width:
            return self._mark_faulty(f"the row has {len(self.values)} values, but the header has {self._width}")
        return RecordState.COMPLETE

    def _has_room(self) -> RecordState:
        """Whether more lines may make it a row. A record with too many values already cannot become one."""
        if self._width is not None and len(self.values) >= self._width:
            return self._mark_faulty(f"the row has more than {len(self.values)} values, but the header has {self._width}")
        return RecordState.OPEN

    def _mark_faulty(self, fault: str) -> RecordState:
        self.fault = fault
        return RecordState.FAULTY


def swallowed_line(lines: Sequence[str], dialect: Dialect, width: int) -> int | None:
    """Returns the line of a multi-line record that looks like a row of its own (from 1); None if none does.

    A forgotten quote joins rows to one valid CSV record. Then a line in between has as many values as a row, or the first and the
    last line both have.
    """
    if width < 2 or len(lines) < 2:
        return None
    for number, line in enumerate(lines[1:-1], 2):
        if _count_alone(line, dialect) == width:
            return number
    return len(lines) if _count_alone(lines[-1], dialect) == width == _count_alone(lines[0], dialect) else None


def _count_alone(line: str, dialect: Dialect) -> int:
    """Returns the number of values of a line read by itself."""
    record = CsvRecord(dialect, None)
    if record.add(line) is RecordState.FAULTY:
        return line.count(dialect.delimiter) + 1
    return record.count_values()
