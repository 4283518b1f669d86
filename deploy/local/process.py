"""A process of the supervisor: its command, and its identity.

A pid alone is not an identity, because pids are used again; a pid with its start time is.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

BACKBONE, APP = 0, 1  # the stages: what is started first is stopped last
ROTATE_BYTES = 16 << 20
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Spec:
    """The command. `env` is laid over the supervisor's own; `port` is for people."""

    name: str
    argv: list[str]
    log: str
    cwd: str
    env: dict[str, str] = field(default_factory=dict)
    stage: int = APP
    port: int | None = None
    grace_s: float = 10.0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Identity:
    """A process by pid and start. `created` is opaque: on Linux ticks since boot, which no shifted wall clock moves."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Identity:
        """ProcessLookupError if there is none."""
        created = _read_start(pid)
        if created is None:
            raise ProcessLookupError(pid)
        return cls(pid, created)

    def is_alive(self) -> bool:
        """False also for a zombie and for another process with the same pid."""
        return _read_start(self.pid) == self.created

    def send(self, sig: int) -> None:
        if self.is_alive():
            try:
                os.kill(self.pid, sig)
            except ProcessLookupError:
                return


def _read_start(pid: int) -> float | None:
    """None for no process and for a zombie."""
    return _started_linux(pid) if sys.platform == "linux" else _started_elsewhere(pid)


def _started_linux(pid: int) -> float | None:
    try:
        # pid (name) state ppid ...; the name may have spaces and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else float(fields[19])


def _started_elsewhere(pid: int) -> float | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process.create_time()
    except psutil.NoSuchProcess:
        return None


def dies_with_parent() -> Callable[[], None] | None:
    """Run in a child before exec, so that it never outlives the supervisor. Linux only; elsewhere `down` cleans up."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the tie
            os._exit(1)

    return tie


def rotate(log: Path) -> None:
    """At a start: a long log becomes `.1`."""
    if log.exists() and log.stat().st_size > ROTATE_BYTES:
        log.replace(log.with_name(log.name + ".1"))
