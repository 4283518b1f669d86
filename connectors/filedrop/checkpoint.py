"""Files of the connector beside a source: the cursor, rejected rows and advisories. Durable before anybody relies on them.

Invariant: after a kill at any moment the cursor is the old or the new one, complete, and the files of rows can be cut back to
match it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from connectors.contract import START, Advised, Progress, Reject


class CursorError(RuntimeError):
    """The cursor cannot be used: it is damaged, or another process feeds the same file."""


class FileCursor:
    """Progress in a small JSON file: written beside, synced, renamed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> Progress:
        try:
            raw = orjson.loads(self._path.read_bytes())
            return Progress(raw["position"], int(raw["rejects_bytes"]), raw["totals"], int(raw["advisories_bytes"]))
        except FileNotFoundError:
            return Progress(START)
        except (orjson.JSONDecodeError, KeyError, TypeError) as error:
            raise CursorError(f"{self._path} is not a cursor file; move it away and run again, nothing counts twice") from error

    def save(self, progress: Progress) -> None:
        beside = self._path.with_name(self._path.name + ".new")
        with beside.open("wb") as file:
            file.write(orjson.dumps(progress._asdict()))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self._path)
        sync_folder(self._path.parent)


class _AppendedFile:
    """Lines of NDJSON, appended durably, that can be cut back."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def rewind(self, length: int) -> None:
        if not self._path.exists():
            return
        with self._path.open("r+b") as file:
            if file.seek(0, os.SEEK_END) > length:
                file.truncate(length)

    def append(self, rows: Iterable[Mapping[str, Any]]) -> int:
        is_new = not self._path.exists()
        with self._path.open("ab") as file:
            for row in rows:
                file.write(orjson.dumps(row) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            length = file.tell()
        if is_new:
            sync_folder(self._path.parent)
        return length


class RejectFile(_AppendedFile):
    """Rejected rows as NDJSON: `{"row": 17, "where": "gateway", "reason": "…", "raw": "…"}`."""

    def write(self, rejects: Sequence[Reject]) -> int:
        return self.append(
            {"row": reject.number, "where": reject.where, "reason": reject.reason, "raw": reject.raw} for reject in rejects
        )


class AdvisoryFile(_AppendedFile):
    """Accepted rows with advisories: `{"row": 17, "reference": "…", "advisories": [{"pointer": "…", "code": "…", …}]}`."""

    def write(self, rows: Sequence[Advised]) -> int:
        return self.append({"row": row.number, "reference": row.reference, "advisories": row.advisories} for row in rows)


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """One feeder for each file: CursorError if another process holds the lock, which ends with its process."""
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CursorError(f"another process is feeding this file ({path} is locked)") from error
        yield


def sync_folder(folder: Path) -> None:
    """Makes a rename or a new name in the folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
