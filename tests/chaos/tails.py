"""Cuts the newest batches off a partition's segment files, as a power cut does to what was not yet on the disk.

Invariant: the broker is down; what is left is a log that it could have written: whole batches, and no index, snapshot or leader
epoch beyond them.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

_HEAD = struct.Struct(">qiibIhi")
"""Of a batch: base offset, length of what follows, leader epoch, magic, checksum, attributes, offset of its last record."""
_BEFORE_LENGTH = 12
_CHECKPOINT = "leader-epoch-checkpoint"


class Batch(NamedTuple):
    begins_at: int
    size: int
    first: int
    last: int


def batches(segment: bytes) -> Iterator[Batch]:
    """The batches of a segment; what is behind the last whole one is none."""
    at = 0
    while at + _HEAD.size <= len(segment):
        first, length, _, _, _, _, delta = _HEAD.unpack_from(segment, at)
        size = _BEFORE_LENGTH + length
        if length <= 0 or at + size > len(segment):
            return
        yield Batch(at, size, first, first + delta)
        at += size


def end_of(folder: Path) -> int:
    """The next offset of a partition's folder."""
    segment = _newest(folder)
    if segment is None:
        return 0
    return max((batch.last + 1 for batch in batches(segment.read_bytes())), default=int(segment.stem))


def cut_tail(folders: Sequence[Path], share: float) -> int:
    """Cuts a share of the newest segment's batches, at least one, off all copies of a partition; how many records are gone."""
    segments = [segment for folder in folders if (segment := _newest(folder)) is not None]
    if not segments:
        return 0
    shortest = min(segments, key=lambda segment: segment.stat().st_size)
    whole = list(batches(shortest.read_bytes()))
    if not whole:
        return 0
    remaining = whole[: len(whole) - max(1, int(len(whole) * share))]
    end = remaining[-1].last + 1 if remaining else whole[0].first
    for segment in segments:
        size = max((batch.begins_at + batch.size for batch in batches(segment.read_bytes()) if batch.last < end), default=0)
        os.truncate(segment, size)
        for pattern in ("*.index", "*.timeindex", "*.txnindex", "*.snapshot"):
            for path in segment.parent.glob(pattern):
                path.unlink()
        _cut_epochs(segment.parent / _CHECKPOINT, end)
    return whole[-1].last + 1 - end


def _newest(folder: Path) -> Path | None:
    """The newest segment that holds something."""
    segments = sorted(path for path in folder.glob("*.log") if path.stat().st_size)
    return segments[-1] if segments else None


def _cut_epochs(path: Path, end: int) -> None:
    """Leaves the epochs that began before the end: `epoch offset` a line, below a version and their number."""
    if not path.exists():
        return
    version, _, *lines = path.read_text("ascii").splitlines()
    remaining = [line for line in lines if line.strip() and int(line.split()[1]) < max(end, 1)]
    path.write_text("\n".join([version, str(len(remaining)), *remaining]) + "\n", "ascii")
