"""How long to wait for a process to be ready: by its opportunity to work, not by the wall clock alone.

On a machine with more work than cores a start takes a multiple of its usual time. So seconds in which a process of the profile
worked, or wanted to and got no core, do not count. Invariant: on an idle machine the limit is the limit; on any machine the wait
ends after `LONGEST` times the limit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

LONGEST = 5.0
SAMPLE_S = 1.0


class Busy(NamedTuple):
    """Activity of a thread in some time: seconds on a core, and seconds in which it wanted one and got none."""

    worked_s: float = 0.0
    waited_s: float = 0.0


@dataclass
class Patience:
    """Counts the seconds without progress."""

    limit_s: float
    counted_s: float = 0.0
    elapsed_s: float = 0.0
    worked_s: float = 0.0
    waited_s: float = 0.0

    def spend(self, elapsed_s: float, busy: Busy) -> None:
        """`busy`: the activity of the busiest thread in that time."""
        self.elapsed_s += elapsed_s
        self.worked_s += busy.worked_s
        self.waited_s += busy.waited_s
        self.counted_s += max(0.0, elapsed_s - sum(busy))

    def is_over(self) -> bool:
        return self.counted_s >= self.limit_s or self.elapsed_s >= LONGEST * self.limit_s

    def is_starved(self) -> bool:
        """Whether it waited for a core longer than it had one."""
        return self.waited_s > max(self.worked_s, self.elapsed_s / 4)


class BusyTimes:
    """Reads the activity of the busiest thread of some processes since the last reading."""

    def __init__(self, read: Callable[[int], dict[int, Busy]] | None = None) -> None:
        self._read = read or thread_times
        self._before: dict[int, Busy] = {}

    def read(self, pids: Iterable[int]) -> Busy:
        now = {thread: busy for pid in pids for thread, busy in self._read(pid).items()}
        grown = [_subtract_busy(busy, self._before.get(thread, Busy())) for thread, busy in now.items()]
        self._before = now
        return max(grown, key=sum, default=Busy())


def _subtract_busy(now: Busy, before: Busy) -> Busy:
    """A thread whose figures went back is another one with its number."""
    if now.worked_s < before.worked_s or now.waited_s < before.waited_s:
        return now
    return Busy(now.worked_s - before.worked_s, now.waited_s - before.waited_s)


def thread_times(pid: int) -> dict[int, Busy]:
    """Times by thread; the CPU seconds of the process if the system provides no more."""
    if sys.platform != "linux":
        return _process_time(pid)
    times = {}
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            worked_ns, waited_ns, _ = (task / "schedstat").read_text().split()
            times[int(task.name)] = Busy(int(worked_ns) / 1e9, int(waited_ns) / 1e9)
    except (OSError, ValueError):
        return times  # it ended, or the kernel keeps no such figures
    return times


def _process_time(pid: int) -> dict[int, Busy]:
    import psutil

    try:
        times = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return {}
    return {pid: Busy(times.user + times.system)}
