"""One file as the source of a connector (`connectors/port.py`).

A position knows the file that it belongs to: its inode, a hash of its head, and the last row before the position. When
one of them does not fit (a new file under an old name, a rewritten one), reading begins anew; it counts once anyway.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from hashlib import blake2b
from pathlib import Path
from urllib.parse import quote

from connectors.filedrop.convert import RowFault, converter
from connectors.filedrop.mapping import MappingError, MappingFile
from connectors.filedrop.reader import Decoder, RawRow, rows
from connectors.port import Item, Position

HEAD_BYTES = 1024


def row_hash(raw: bytes) -> str:
    """12 hex digits that name a row's bytes, its line end aside."""
    return blake2b(raw.rstrip(b"\r\n"), digest_size=6).hexdigest()


class FileSource:
    """`follow`: the file may grow. Else a last line without an end is taken, once nobody has written for `settle_s`."""

    def __init__(
        self,
        path: Path,
        mapping: MappingFile,
        *,
        follow: bool = False,
        settle_s: float = 2.0,
        now: Callable[[], float] = time.time,
        told: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._path = path
        self._mapping = mapping
        self._decoder = Decoder(mapping)
        self._body = converter(mapping, quote(path.name, safe="-_.")[:80])
        self._follow = follow
        self._settle_s = settle_s
        self._now = now
        self._told = told

    @property
    def name(self) -> str:
        return self._path.name

    @property
    def size(self) -> int | None:
        return self._path.stat().st_size

    def progress(self, position: Position) -> int:
        """Bytes that are done."""
        return int(position.get("offset", 0))

    def is_read(self, position: Position) -> bool:
        """Whether nothing stands after the position."""
        return self.progress(position) >= self._path.stat().st_size

    def settles_in_s(self) -> float:
        """Seconds until a last line without an end may be taken."""
        return max(0.0, self._path.stat().st_mtime + self._settle_s - self._now())

    def items(self, after: Position) -> Iterator[Item]:
        """The rows after a position. MappingError when the header lacks a column that the mapping names."""
        stat = self._path.stat()
        finished = not self._follow and self.settles_in_s() == 0
        if after and not self._is_same(after, stat):
            self._told(f"{self.name}: another file than before, reading it from its start")
            after = {}
        start, number = int(after.get("offset", 0)), int(after.get("row", 0))
        found = rows(self._path, start, quote=self._decoder.quote, finished=finished)
        columns = self._columns(finished)
        if columns is None:
            return
        head_bytes = int(after.get("head_bytes", 0)) or min(stat.st_size, HEAD_BYTES)
        identity: Position = {"inode": stat.st_ino, "head_bytes": head_bytes, "head": self._hash(0, head_bytes)}
        for row in found:
            number += 1
            if (row.start == 0 and self._decoder.has_header) or not row.raw.strip():
                continue
            last = row_hash(row.raw) if row.fault is None else self._hash(row.start, row.end)
            position: Position = {"offset": row.end, "row": number, "last_start": row.start, "last": last, **identity}
            yield self._item(row, number, columns, position)

    def _item(self, row: RawRow, number: int, columns: list[str], position: Position) -> Item:
        if row.fault is not None:
            return Item(position, number, row.raw.decode("utf-8", "backslashreplace").rstrip("\r\n"), None, row.fault)
        try:
            text = self._decoder.text(row.raw, row.start)
        except UnicodeDecodeError as error:
            said = f"not {self._mapping.encoding}: byte {error.object[error.start]:#04x} at {error.start} of the row"
            return Item(position, number, row.raw.decode("utf-8", "backslashreplace").rstrip("\r\n"), None, said)
        try:
            body = self._body(self._decoder.cells(text, columns), number, str(position["last"]))
        except (RowFault, ValueError) as error:
            return Item(position, number, text, None, str(error))
        return Item(position, number, text, body)

    def _columns(self, finished: bool) -> list[str] | None:
        """The names of the columns; None while the header is not whole."""
        if self._mapping.format == "ndjson":
            return []
        if self._mapping.columns is not None:
            return list(self._mapping.columns)
        first = next(rows(self._path, 0, quote=self._decoder.quote, finished=finished), None)
        if first is None:
            return None
        try:
            columns = [name.strip() for name in self._decoder.values(self._decoder.text(first.raw, 0))]
        except ValueError as error:
            raise MappingError(f"{self._path}: the header cannot be read: {error}") from error
        if missing := [name for name in self._mapping.needed() if name not in columns]:
            raise MappingError(f"{self._path}: no column {', '.join(missing)}; there are: {', '.join(columns)}")
        return columns

    def _is_same(self, after: Position, stat: os.stat_result) -> bool:
        """Whether the file still is the one that the position was saved for."""
        start, end = int(after.get("last_start", 0)), int(after.get("offset", 0))
        if stat.st_ino != after.get("inode") or end > stat.st_size:
            return False
        if self._hash(0, int(after.get("head_bytes", 0))) != after.get("head"):
            return False
        return self._hash(start, end) == after.get("last")

    def _hash(self, start: int, end: int) -> str:
        with self._path.open("rb") as file:
            file.seek(start)
            return row_hash(file.read(end - start))
