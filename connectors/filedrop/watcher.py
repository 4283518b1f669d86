"""Feeds one file, or watches a folder: combines sources, cursors and rejects. No terminal output.

Beside each file, in the state folder (default: `.liandong` next to it): `<file>.<institution>.cursor.json`,
`<file>.<institution>.rejects.ndjson` and `<file>.<institution>.advisories.ndjson`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from connectors.contract import Observer, SignalGateway
from connectors.engine import BATCH, Totals, feed
from connectors.filedrop.checkpoint import AdvisoryFile, FileCursor, RejectFile, alone
from connectors.filedrop.mapping import MappingFile
from connectors.filedrop.source import FileSource

STATE_FOLDER = ".liandong"


@dataclass(frozen=True)
class FileDrop:
    """The settings of a feed. `institution` only names the files beside; the token identifies the sender."""

    gateway: SignalGateway
    mapping: MappingFile
    institution: str
    state: Path | None = None
    batch: int = BATCH
    settle_s: float = 2.0
    observer: Observer | None = None
    told: Callable[[str], None] = lambda line: None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def beside(self, path: Path, ending: str) -> Path:
        folder = self.state or path.parent / STATE_FOLDER
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{path.name}.{self.institution}.{ending}"

    async def feed(self, path: Path, *, follow: bool = False) -> Totals:
        """Feeds everything that is in the file; with `follow`, everything complete."""
        source = FileSource(path, self.mapping, follow=follow, settle_s=self.settle_s, report=self.told)
        cursor, rejects = FileCursor(self.beside(path, "cursor.json")), RejectFile(self.beside(path, "rejects.ndjson"))
        advisories = AdvisoryFile(self.beside(path, "advisories.ndjson"))
        with alone(self.beside(path, "lock")):
            while True:
                size, waits_s = source.size, source.settles_in_s()
                totals = await feed(
                    source,
                    gateway=self.gateway,
                    cursor=cursor,
                    rejects=rejects,
                    advisories=advisories,
                    observer=self.observer,
                    batch=self.batch,
                )
                left_s = source.settles_in_s()
                if follow or source.is_read(cursor.load().position) or (size == source.size and waits_s == left_s == 0):
                    return totals
                if left_s > 0:
                    self.told(f"{path.name}: the last row has no line end yet; waiting for the rest")
                    await self.sleep(left_s + 0.05)

    def count_advised(self, path: Path) -> int:
        """Returns the number of accepted rows of a file with an advisory, from its first row."""
        return FileCursor(self.beside(path, "cursor.json")).load().totals.get("advised", 0)

    async def watch(self, folder: Path, *, every_s: float = 1.0, stop: asyncio.Event | None = None) -> None:
        """Feeds the files of a folder (or one file) again and again, in the order of their names.

        A file is fed when it changed, and once more after it settled: then its last row needs no line end.
        """
        fed: dict[Path, tuple[int, int, int, bool]] = {}
        while stop is None or not stop.is_set():
            for path in files(folder, self.mapping.files):
                try:
                    stat = path.stat()
                    is_settled = FileSource(path, self.mapping, settle_s=self.settle_s).settles_in_s() == 0
                    now = (stat.st_ino, stat.st_size, stat.st_mtime_ns, is_settled)
                    if fed.get(path) != now:
                        await self.feed(path, follow=True)
                        fed[path] = now
                except FileNotFoundError:
                    self.told(f"{path.name}: the file was removed")
            await self.sleep(every_s)


def files(place: Path, pattern: str) -> Iterator[Path]:
    """Returns the file itself, or the files of a folder that match the pattern, in the order of their names."""
    if not place.is_dir():
        yield place
        return
    for path in sorted(place.glob(pattern)):
        if path.is_file() and not path.name.startswith("."):
            yield path
