"""Decides when a process that ended starts again, and how many processes start at the same time.

A start costs seconds of CPU. Processes that starve and end by their time-outs would start again and starve the others. Invariant:
the pause grows with every early end, up to a limit. Some start is permitted under any load, so nothing waits for ever. No I/O
except for `is_crowded`.
"""

from __future__ import annotations

import os
from pathlib import Path

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
HEALTHY_S = 60.0
CORES = os.cpu_count() or 1
STARTS_AT_ONCE = 2 * CORES
STARTS_WHEN_CROWDED = 2
START_LIMIT_S = 60.0  # a start is under way until the process listens, but no longer than this
START_WITHOUT_PORT_S = 1.0
_JITTER = 0.25


def count_soon_ends(before: int, ran_s: float) -> int:
    """Returns how many times in a row it ended early. A run of a minute resets the count."""
    return 1 if ran_s >= HEALTHY_S else before + 1


def pause_after(soon_ends: int, longest_s: float, draw: float) -> float:
    """Returns half a second, doubled with each end, up to the longest; less up to a quarter by the draw from 0 to 1."""
    pause_s = min(FIRST_PAUSE_S * 2.0 ** min(soon_ends - 1, 30), longest_s)
    return pause_s * (1 - _JITTER * draw)


def may_start(under_way: int, crowded: bool) -> bool:
    """Whether one more process may start beside the starting ones, which crowd the machine themselves."""
    return under_way < (STARTS_WHEN_CROWDED if crowded else STARTS_AT_ONCE)


def is_crowded() -> bool:
    """Whether more threads want to run on this machine than it has cores."""
    try:
        runnable = int(Path("/proc/loadavg").read_text().split()[3].partition("/")[0]) - 1  # without the reader
    except (OSError, ValueError, IndexError):
        return os.getloadavg()[0] > CORES
    return runnable > CORES
