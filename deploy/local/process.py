"""A process that the supervisor keeps: what to run, and how to know it again later.

A pid alone is not an identity, it is used anew; a pid with its start time is.
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

import psutil

BACKBONE, APP = 0, 1  # the stages: what is started first is stopped last
ROTATE_BYTES = 16 << 20
_PR_SET_PDEATHSIG = 1
_STARTED_WITHIN_S = 0.05  # start times are rounded differently by reader


@dataclass(frozen=True)
class Spec:
    """What to run. `env` is laid over the supervisor's own; `port` is for people to see."""

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
    """A process by pid and start time (seconds since the epoch)."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Identity:
        return cls(pid, psutil.Process(pid).create_time())

    def is_alive(self) -> bool:
        """False also for a zombie and for another process with the same pid."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _STARTED_WITHIN_S
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def send(self, sig: int) -> None:
        if self.is_alive():
            try:
                os.kill(self.pid, sig)
            except ProcessLookupError:
                return


def dies_with_parent() -> Callable[[], None] | None:
    """What a child does before exec, so that it never outlives the supervisor. Linux only; elsewhere `down` cleans up."""
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
