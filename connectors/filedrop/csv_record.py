"""One CSV record, built from physical lines: the one place that decides where a quoted cell, and so a row, ends.

The form is that of RFC 4180: a cell that begins with the quote runs to its closing quote, line ends included, and a quote
inside is doubled. A quote inside of a cell that does not begin with one is text. Pure.

Invariant: `add` is COMPLETE exactly at the end of a line, so a record has no rest that could be lost.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import Enum


class State(Enum):
    COMPLETE = "complete"
    OPEN = "open"
    FAULTY = "faulty"


class Record:
    """Takes lines with `add` until one completes it. `width`: the number of values that the record must have, if it is known."""

    def __init__(self, delimiter: str, quote: str, width: int | None) -> None:
        self.values: list[str] = []
        self.fault = ""
        self._delimiter = delimiter
        self._quote = quote
        self._width = width
        self._open_parts: list[str] | None = None
        other, doubled = f"[^{re.escape(quote)}]*", re.escape(quote) * 2
        self._quoted = re.compile(f"{other}(?:{doubled}{other})*")

    def add(self, text: str) -> State:
        """One line more, with its line end."""
        content = text.rstrip("\r\n")
        at = 0
        if self._open_parts is None and self._quote not in content:
            self.values = content.split(self._delimiter)
            return self._finish()
        while True:
            if self._open_parts is None and not content.startswith(self._quote, at):
                end = content.find(self._delimiter, at)
                self.values.append(content[at:] if end < 0 else content[at:end])
                if end < 0:
                    return self._finish()
                at = end + 1
            else:
                if self._open_parts is None:
                    self._open_parts = []
                    at += 1
                match = self._quoted.match(content, at)
                assert match is not None  # the pattern fits an empty text
                self._open_parts.append(match.group())
                if match.end() == len(content):
                    self._open_parts.append(text[len(content) :])
                    return self._has_room()
                at = match.end() + 1
                self.values.append("".join(self._open_parts).replace(self._quote * 2, self._quote))
                self._open_parts = None
                if at == len(content):
                    return self._finish()
                if not content.startswith(self._delimiter, at):
                    place = f"text after the closing quote of value {len(self.values)}"
                    return self._fail(f"not valid CSV: {place}; write a quote inside twice")
                at += 1

    def count_values(self) -> int:
        """The number of values when the quote that is still open is read as text."""
        open_text = "".join(self._open_parts or ())
        return len(self.values) + (0 if self._open_parts is None else 1 + open_text.count(self._delimiter))

    def _finish(self) -> State:
        if self._width is not None and len(self.values) != self._width:
            return self._fail(f"the row has {len(self.values)} values, the header {self._width}")
        return State.COMPLETE

    def _has_room(self) -> State:
        """A record that has too many values already is not read on: it cannot become a row."""
        if self._width is not None and len(self.values) >= self._width:
            return self._fail(f"the row has more than {len(self.values)} values, the header {self._width}")
        return State.OPEN

    def _fail(self, fault: str) -> State:
        self.fault = fault
        return State.FAULTY


def swallowed_line(lines: Sequence[str], delimiter: str, quote: str, width: int) -> int | None:
    """Which line of a record of several lines looks like a row of its own (from 1); None when none does.

    A forgotten quote joins rows to one record that is valid CSV. Then a line in between has as many values as a row, or the
    first and the last line both have.
    """
    if width < 2 or len(lines) < 2:
        return None
    counts = [_count_alone(line, delimiter, quote) for line in lines]
    for number, count in enumerate(counts[1:-1], 2):
        if count == width:
            return number
    return len(lines) if counts[0] == counts[-1] == width else None


def _count_alone(line: str, delimiter: str, quote: str) -> int:
    """The number of values of a line that is read by itself."""
    record = Record(delimiter, quote, None)
    if record.add(line) is State.FAULTY:
        return line.count(delimiter) + 1
    return record.count_values()
