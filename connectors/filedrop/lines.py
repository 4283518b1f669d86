"""Physical lines of a file with their byte offsets. LF, CRLF and a CR alone each end a line.

Invariant: the lines after an offset do not depend on where reading began, and no line extends past `limit`.
A file is never decoded in an encoding that its own byte order mark denies.
"""

from __future__ import annotations

import codecs
import io
import re
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from connectors.filedrop.mapping import MappingError

_LINE_END = re.compile(rb"\r\n|\n|\r")
_BLOCK_BYTES = 1 << 16
_LONG_LINE_HEAD_BYTES = 1000

LONGEST_MARK_BYTES = 4
_GB18030_MARK = b"\x84\x31\x95\x33"
# The longer ones first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32", None),
    (codecs.BOM_UTF32_BE, "UTF-32", None),
    (codecs.BOM_UTF8, "UTF-8", "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "UTF-16", None),
    (codecs.BOM_UTF16_BE, "UTF-16", None),
    (_GB18030_MARK, "GB 18030", "gb18030"),
)
_OWN = {"utf-8": codecs.BOM_UTF8, "utf-8-sig": codecs.BOM_UTF8, "gb18030": _GB18030_MARK}


class Line(NamedTuple):
    """The bytes from `start` to `end`, including the line end. For an overlong line `raw` is its beginning.

    `is_ended`: the line end is complete. A CR as the last byte before the limit may be half of a CRLF.
    """

    start: int
    end: int
    raw: bytes
    is_ended: bool
    is_too_long: bool = False


class LineReader:
    """Reads lines from `start` up to `limit`. Lines can be put back."""

    def __init__(self, file: io.BufferedReader, start: int, *, limit: int, longest: int) -> None:
        self._file = file
        self._at = start
        self._limit = limit
        self._longest = longest
        self._head_bytes = min(longest, _LONG_LINE_HEAD_BYTES)
        self._buffer = b""
        self._cursor = 0
        self._returned: deque[Line] = deque()
        file.seek(max(0, start - 1))
        if start > 0 and file.read(1) == b"\r":
            self._skip_line_feed()

    def next_line(self) -> Line | None:
        """Returns the next line; None at the limit."""
        if self._returned:
            return self._returned.popleft()
        search_from = self._cursor
        while True:
            match = _LINE_END.search(self._buffer, search_from)
            # A CR at the end of the buffer may have its LF in the next block.
            if match is not None and (match.end() < len(self._buffer) or match.group() != b"\r"):
                return self._cut_line(match.end(), is_ended=True)
            search_from = match.start() if match is not None else len(self._buffer)
            if search_from - self._cursor > self._longest:
                return self._skip_long_line()
            unread = len(self._buffer) - self._cursor
            search_from -= self._cursor
            if not self._read_block():
                return self._cut_line(len(self._buffer), is_ended=False) if unread else None

    def put_back(self, lines: Iterable[Line]) -> None:
        """Puts back the lines that `next_line` returned last, in their order."""
        self._returned.extendleft(reversed(list(lines)))

    def _read_block(self) -> bool:
        """Reads one more block after the uncut rest."""
        unread_bytes = self._limit - self._at - (len(self._buffer) - self._cursor)
        block = self._file.read(min(_BLOCK_BYTES, unread_bytes)) if unread_bytes > 0 else b""
        self._buffer = self._buffer[self._cursor :] + block
        self._cursor = 0
        return bool(block)

    def _cut_line(self, end: int, *, is_ended: bool) -> Line:
        raw = self._buffer[self._cursor : end]
        line = Line(self._at, self._at + len(raw), raw, is_ended)
        if len(raw) > self._longest:
            line = line._replace(raw=raw[: self._head_bytes], is_too_long=True)
        self._at, self._cursor = line.end, end
        return line

    def _skip_long_line(self) -> Line:
        """Skips the rest of an overlong line without keeping it."""
        start, head = self._at, self._buffer[self._cursor : self._cursor + self._head_bytes]
        while True:
            match = _LINE_END.search(self._buffer, self._cursor)
            if match is not None and (match.end() < len(self._buffer) or match.group() != b"\r"):
                self._at += match.end() - self._cursor
                self._cursor = match.end()
                return Line(start, self._at, head, is_ended=True, is_too_long=True)
            passed = (match.start() if match is not None else len(self._buffer)) - self._cursor
            self._at += passed
            self._cursor += passed
            if not self._read_block():
                self._at += len(self._buffer) - self._cursor
                self._cursor = len(self._buffer)
                return Line(start, self._at, head, is_ended=False, is_too_long=True)

    def _skip_line_feed(self) -> None:
        """Skips the LF of a CRLF whose CR ended the previous line."""
        if self._at < self._limit and self._file.read(1) == b"\n":
            self._at += 1
        else:
            self._file.seek(self._at)


def own_mark(encoding: str) -> bytes:
    """Returns the mark that files of an encoding may begin with; empty if there is none."""
    return _OWN.get(encoding, b"")


def check_mark(head: bytes, encoding: str, file: str) -> None:
    """MappingError if the file begins with the mark of another encoding than the mapping's."""
    for mark, name, right in _MARKS:
        if not head.startswith(mark):
            continue
        if mark == own_mark(encoding):
            return
        remedy = f"set `encoding: {right}`" if right else "save the file as UTF-8 and set `encoding: utf-8-sig`"
        raise MappingError(f"{file}: the file has the byte order mark of {name}, but the mapping sets {encoding}; {remedy}")
