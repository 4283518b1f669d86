"""One file as the source of a connector (`connectors/contract.py`).

A position identifies its file: its inode, a hash of its head, and the last row before the position. If one of them differs (a new
file under an old name, a rewritten one), reading starts again; everything counts once anyway.

A row that was read without a line end and grew later is read again: it is a normal row if nothing of it was sent (`unsent`), else
a reject that shows all of it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from connectors.contract import FeedItem, Position
from connectors.filedrop.convert import converter
from connectors.filedrop.lines import LONGEST_MARK_BYTES, check_mark
from connectors.filedrop.mapping import MappingError, MappingFile, repeated_names
from connectors.filedrop.reader import Decoder, FileRow, rows

HEAD_BYTES = 1024


def row_hash(raw: bytes) -> str:
    """Returns 12 hex digits that identify a row's bytes without its line end."""
    return blake2b(raw.rstrip(b"\r\n"), digest_size=6).hexdigest()


class FileSource:
    """A last line without an end becomes a row when nobody has written for `settle_s`; not a header, if `follow`."""

    def __init__(
        self,
        path: Path,
        mapping: MappingFile,
        *,
        follow: bool = False,
        settle_s: float = 2.0,
        now: Callable[[], float] = time.time,
        report: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._path = path
        self._mapping = mapping
        self._decoder = Decoder(mapping)
        self._body = converter(mapping, quote(path.name, safe="-_.")[:80])
        self._follow = follow
        self._settle_s = settle_s
        self._now = now
        self._report = report

    @property
    def name(self) -> str:
        return self._path.name

    @property
    def size(self) -> int | None:
        return self._path.stat().st_size

    def progress(self, position: Position) -> int:
        """Returns the bytes that are done."""
        return int(position.get("offset", 0))

    def is_read(self, position: Position) -> bool:
        """Whether nothing follows the position."""
        return self.progress(position) >= self._path.stat().st_size

    def settles_in_s(self) -> float:
        """Returns the seconds until a last line without an end may be read."""
        return self._settles_in_s(self._path.stat())

    def items(self, after: Position) -> Iterator[FeedItem]:
        """Yields the rows after a position. MappingError if the header lacks a mapped column."""
        stat = self._path.stat()
        if after and not self._is_same(after, stat):
            self._report(f"{self.name}: the file was replaced; reading it from its start")
            after = {}
        header = self._read_header(stat)
        if header is None:
            return
        columns, header_end = header
        start, number, was_open = int(after.get("offset", 0)), int(after.get("row", 0)), self._was_open(after)
        if was_open:
            start, number = int(after["last_start"]), number - 1
        head_bytes = int(after.get("head_bytes", 0)) or min(stat.st_size, HEAD_BYTES)
        identity: Position = {"inode": stat.st_ino, "head_bytes": head_bytes, "head": self._hash_row(0, head_bytes)}
        for row in self._read_rows(start, stat, width=len(columns) if self._decoder.is_csv else None):
            number += 1
            if row.end <= header_end or row.is_blank:
                continue
            item = self._build_item(row, number, columns, identity)
            if was_open:
                was_open = False
                if item.position["last"] == after["last"]:
                    continue
                if "unsent" not in after:
                    item = _mark_grown(item)
            yield item

    def _settles_in_s(self, stat: os.stat_result) -> float:
        # A copy may bear the time of another machine; when the file came here, the ctime knows.
        return max(0.0, min(stat.st_mtime, stat.st_ctime) + self._settle_s - self._now())

    def _read_rows(self, start: int, stat: os.stat_result, *, width: int | None) -> Iterator[FileRow]:
        """Yields the rows of the file as it was at `stat`. A last row without an end is read if the file is unchanged."""

        def is_finished() -> bool:
            now = self._path.stat()
            is_still = (now.st_ino, now.st_size, now.st_mtime_ns) == (stat.st_ino, stat.st_size, stat.st_mtime_ns)
            return is_still and self._settles_in_s(now) == 0

        return rows(self._path, start, decoder=self._decoder, is_finished=is_finished, width=width, limit=stat.st_size)

    def _was_open(self, after: Position) -> bool:
        """Whether the last row before a position had no line end when it was read."""
        offset = int(after.get("offset", 0))
        return offset > 0 and self._read_bytes(offset - 1, offset) not in (b"\n", b"\r")

    def _build_item(self, row: FileRow, number: int, columns: list[str], identity: Position) -> FeedItem:
        # Of a row that is too long there is the beginning only.
        is_whole = len(row.raw) == row.end - row.start
        last = row_hash(row.raw) if is_whole else self._hash_row(row.start, row.end)
        position: dict[str, int | str] = {"offset": row.end, "row": number, "last_start": row.start, "last": last, **identity}
        body, fault = None, row.fault
        if fault is None:
            try:
                body = self._body(self._decoder.cells(row, columns), number, last)
            except ValueError as error:
                fault = str(error)
        if body is None and is_whole and not row.raw.endswith((b"\n", b"\r")):
            position["unsent"] = 1
        return FeedItem(position, number, row.text, body, fault)

    def _read_header(self, stat: os.stat_result) -> tuple[list[str], int] | None:
        """Returns the names of the columns and the end of the header; None while it is incomplete."""
        check_mark(self._read_bytes(0, LONGEST_MARK_BYTES), self._mapping.encoding, str(self._path))
        if not self._decoder.has_header:
            return list(self._mapping.columns or ()), 0
        row = next((row for row in self._read_rows(0, stat, width=None) if not row.is_blank), None)
        if row is None or (self._follow and not row.raw.endswith((b"\n", b"\r"))):
            return None
        if row.values is None:
            raise MappingError(f"{self._path}: the header cannot be read: {row.fault}")
        columns = [name.strip() for name in row.values]
        if missing := [name for name in self._mapping.needed() if name not in columns]:
            raise MappingError(f"{self._path}: no column {', '.join(missing)}; the file has: {', '.join(columns)}")
        if twice := repeated_names(columns):
            raise MappingError(f"{self._path}: the header contains {', '.join(twice)} twice; each column requires a unique name")
        return columns, row.end

    def _is_same(self, after: Position, stat: os.stat_result) -> bool:
        """Whether the file is still the one that the position was saved for."""
        start, end = int(after.get("last_start", 0)), int(after.get("offset", 0))
        if stat.st_ino != after.get("inode") or end > stat.st_size:
            return False
        if self._hash_row(0, int(after.get("head_bytes", 0))) != after.get("head"):
            return False
        return self._hash_row(start, end) == after.get("last")

    def _hash_row(self, start: int, end: int) -> str:
        return row_hash(self._read_bytes(start, end))

    def _read_bytes(self, start: int, end: int) -> bytes:
        with self._path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)


def _mark_grown(item: FeedItem) -> FeedItem:
    """Returns the row as it is now. The log has its first part already, so a person must look at it."""
    fault = (
        "the row had no line end and did not change for a while, so its first part was sent; then it grew to this "
        "row. Correct or retract the signal that was sent"
    )
    position = {name: value for name, value in item.position.items() if name != "unsent"}
    return FeedItem(position, item.number, item.raw, None, fault)
