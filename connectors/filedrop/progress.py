"""Progress for a person: a bar on a terminal, otherwise a line from time to time."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from connectors.contract import Progress as Saved
from connectors.contract import RowSource

LINE_EVERY_S = 5.0


class Shown:
    """An observer of the engine. `said` prints a line without breaking the bar."""

    def __init__(self, console: Console, *, bar: bool | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._bar = console.is_terminal if bar is None else bar
        self._now = now
        self._last_s = 0.0
        self._tasks: dict[str, TaskID] = {}
        name, rows = TextColumn("{task.description}"), TextColumn("{task.fields[rows]}")
        self._progress = Progress(name, BarColumn(), rows, TimeRemainingColumn(), console=console, transient=False)

    def __enter__(self) -> Self:
        if self._bar:
            self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar:
            self._progress.stop()

    def said(self, line: str) -> None:
        self._console.print(line, markup=False, highlight=False, soft_wrap=True)

    def on_batch(self, source: RowSource, progress: Saved) -> None:
        totals = progress.totals
        rows = f"{totals.get('accepted', 0):,} accepted, {totals.get('rejected', 0):,} rejected"
        if advised := totals.get("advised", 0):
            rows += f", {advised:,} with an advisory"
        done, size = source.progress(progress.position), source.size
        if self._bar:
            if source.name not in self._tasks:
                self._tasks[source.name] = self._progress.add_task(source.name, rows="")
            self._progress.update(self._tasks[source.name], completed=done, total=size, rows=rows)
        elif (now := self._now()) - self._last_s >= LINE_EVERY_S:
            self._last_s = now
            share = f"{100 * done // size} %" if size else "?"
            self.said(f"{source.name}: {share}, {rows}")
