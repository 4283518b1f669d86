"""Explains in a sentence why a process ended: from its exit code and its last output.

Invariant: lines of an earlier run do not count.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

_READ_BYTES = 16_384
_LONGEST = 200
_STAMP = re.compile(r"^\[?\d{4}-\d\d-\d\d[T ][\d:.,]+\]? (?:[A-Z]+ )?(?:[\w.]+ )?")


def size_of(log: Path) -> int:
    try:
        return log.stat().st_size
    except OSError:
        return 0


def last_words(log: Path, start: int) -> str | None:
    """Returns the line `ending: ...` written since `start`, else the last line that is not empty."""
    try:
        with log.open("rb") as handle:
            handle.seek(max(start, log.stat().st_size - _READ_BYTES))
            text = handle.read().decode("utf-8", "replace")
    except OSError:
        return None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    endings = [line.partition("ending: ")[2] for line in lines if "ending: " in line]
    line = endings[-1] if endings else _STAMP.sub("", lines[-1]) if lines else ""
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def describe(last_exit: dict[str, Any] | None) -> str:
    """Returns a text for people; empty for a process that never ended."""
    if not last_exit:
        return ""
    how = f"killed by {last_exit['signal']}" if "signal" in last_exit else f"exit code {last_exit.get('code')}"
    ran = f" after {last_exit['ran_s']:.0f} s" if "ran_s" in last_exit else ""
    return f"{how}{ran}: {last_exit['reason']}" if last_exit.get("reason") else f"{how}{ran}"
