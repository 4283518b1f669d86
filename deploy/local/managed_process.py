"""One managed process as a small state machine: running, waiting to be started again, stopping, stopped.

Invariant: a process that ends unasked is started again, with growing pauses while it keeps ending soon.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.local import exit_reason, pacing
from deploy.local.process import Identity, Spec, dies_with_parent, rotate

Journal = Callable[..., None]


@dataclass
class Child:
    spec: Spec
    journal: Journal
    backoff_max_s: float
    overlay: dict[str, str] = field(default_factory=dict)
    popen: subprocess.Popen[bytes] | None = None
    identity: Identity | None = None
    state: str = "stopped"
    restarts: int = 0
    starts: int = 0
    started: float = 0.0  # on the supervisor's monotonic clock
    due: float = 0.0  # when waiting: the next start; when stopping: the SIGKILL
    soon_ends: int = 0  # how many times in a row it ended soon
    is_restart: bool = False  # what waits was not asked to end
    is_up: bool = False  # it listens, or had the time to
    log_start: int = 0  # where its log stood when it started
    draw: Callable[[], float] = random.random
    last_exit: dict[str, Any] | None = None

    def is_live(self) -> bool:
        return self.popen is not None

    def queue(self, now: float) -> None:
        """Schedules its start for its next turn, on request."""
        self.state, self.due, self.soon_ends, self.is_restart = "waiting", now, 0, False

    def is_due(self, now: float) -> bool:
        return self.state == "waiting" and now >= self.due

    def is_starting(self, now: float) -> bool:
        """Whether its start is still in progress. Checks its port until it listens."""
        if self.popen is None or self.state != "running" or self.is_up:
            return False
        ran_s = now - self.started
        if self.spec.port is None:
            self.is_up = ran_s >= pacing.START_WITHOUT_PORT_S
        else:
            self.is_up = ran_s >= pacing.START_LIMIT_S or _is_listening(self.spec.port)
        return not self.is_up

    def start_due(self, now: float) -> None:
        """Starts it when its turn has come."""
        self.restarts += self.is_restart
        self.start(now)

    def start(self, now: float) -> None:
        """Starts it. A program that cannot be run counts as one that ended at once."""
        log = Path(self.spec.log)
        self.is_up = False
        env = {**os.environ, **self.spec.env, **self.overlay}
        self.started, self.starts = now, self.starts + 1
        try:
            rotate(log)
            self.log_start = exit_reason.size_of(log)
            with log.open("ab") as out:
                self.popen = subprocess.Popen(
                    self.spec.argv,
                    cwd=self.spec.cwd,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=dies_with_parent(),
                )
        except OSError as error:
            self.journal("cannot start", name=self.spec.name, error=str(error))
            self._wait_to_start(now, ran_s=0.0)
            return
        self.state = "running"
        self.identity = _identify_process(self.popen.pid)
        self.journal("start", name=self.spec.name, pid=self.popen.pid)

    def stop(self, now: float, grace_s: float | None = None) -> None:
        """Asks it to end; SIGKILL follows after the grace."""
        if self.popen is None:
            self.state = "stopped"
            return
        if self.state == "stopping":
            return
        self.state = "stopping"
        self.due = now + (self.spec.grace_s if grace_s is None else grace_s)
        self._send_signal(signal.SIGTERM)
        self._send_signal(signal.SIGCONT)  # a paused one must wake to end

    def tick(self, now: float) -> bool:
        """Notices an end, kills after the grace. True if something changed."""
        if self.popen is not None:
            code = self.popen.poll()
            if code is not None:
                self._note_exit(code, now)
                return True
            if self.state == "stopping" and now >= self.due:
                self.journal("kill", name=self.spec.name, pid=self.popen.pid)
                self._send_signal(signal.SIGKILL)
                self.due = now + 5
        return False

    def _note_exit(self, code: int, now: float) -> None:
        assert self.popen is not None
        ran_s = now - self.started
        self.last_exit = {"code": code, "ran_s": round(ran_s, 3)}
        if code < 0:
            self.last_exit["signal"] = signal.Signals(-code).name if -code in set(signal.Signals) else str(-code)
        if reason := exit_reason.last_words(Path(self.spec.log), self.log_start):
            self.last_exit["reason"] = reason
        pid, self.popen, self.identity = self.popen.pid, None, None
        is_requested = self.state == "stopping"
        if is_requested:
            self.state = "stopped"
        else:
            self._wait_to_start(now, ran_s)
        self.journal("exit", name=self.spec.name, pid=pid, asked=is_requested, **self.last_exit)

    def _wait_to_start(self, now: float, ran_s: float) -> None:
        self.soon_ends = pacing.count_soon_ends(self.soon_ends, ran_s)
        self.state, self.is_restart = "waiting", True
        self.due = now + pacing.pause_after(self.soon_ends, self.backoff_max_s, self.draw())

    def _send_signal(self, sig: int) -> None:
        if self.popen is not None:
            self.popen.send_signal(sig)  # does nothing when it has ended and was seen to

    def as_json(self, now: float) -> dict[str, Any]:
        return {
            "state": self.state,
            "pause_s": round(max(0.0, self.due - now), 1) if self.state == "waiting" else None,
            "pid": self.identity.pid if self.identity else None,
            "created": self.identity.created if self.identity else None,
            "port": self.spec.port,
            "stage": self.spec.stage,
            "starts": self.starts,
            "restarts": self.restarts,
            "last_exit": self.last_exit,
        }


def _is_listening(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=0.05):
            return True
    except OSError:
        return False


def _identify_process(pid: int) -> Identity | None:
    """None if it ended at once: the next tick notices its exit."""
    try:
        return Identity.of(pid)
    except ProcessLookupError:
        return None
