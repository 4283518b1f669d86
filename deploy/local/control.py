"""Client of the supervisor's socket: starts a supervisor, queries it, and cleans up after a killed one."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from typing import Any

from deploy.local.errors import LauncherError
from deploy.local.paths import Places, project_root
from deploy.local.process import Identity, Spec

ASK_TIMEOUT_S = 30.0
START_TIMEOUT_S = 60.0


class Control:
    """The supervisor of one profile. Every method works from any process of the same user."""

    def __init__(self, places: Places) -> None:
        self.places = places

    def recorded(self) -> dict[str, Any] | None:
        """Returns the state file, which may be outdated."""
        try:
            state: dict[str, Any] = json.loads(self.places.state.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return state

    def identity(self) -> Identity | None:
        """Returns the supervisor if it is alive."""
        recorded = self.recorded()
        if recorded is None:
            return None
        identity = Identity(recorded["supervisor"]["pid"], recorded["supervisor"]["created"])
        return identity if identity.is_alive() else None

    def state(self) -> dict[str, Any] | None:
        """Returns its current state; None if no supervisor runs."""
        return self._exchange_line({"do": "state"}) if self.identity() else None

    def start(self, spec: Spec, env: dict[str, str] | None = None) -> None:
        self.ask({"do": "start", "spec": spec.as_json(), "env": env})

    def start_again(self, name: str, env: dict[str, str] | None) -> None:
        self.ask({"do": "start", "name": name, "env": env})

    def stop(self, name: str, grace_s: float | None = None) -> None:
        self.ask({"do": "stop", "name": name, "grace_s": grace_s})

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        answer = self._exchange_line(request)
        if answer is None:
            raise LauncherError(f"profile {self.places.profile} is not running", "start it first (liandong up)")
        if "error" in answer:
            raise LauncherError(f"profile {self.places.profile}: {answer['error']}")
        return answer

    def _exchange_line(self, request: dict[str, Any]) -> dict[str, Any] | None:
        recorded = self.recorded()
        if recorded is None:
            return None
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ASK_TIMEOUT_S)
            try:
                connection.connect(recorded["supervisor"]["control"])
                connection.sendall(json.dumps(request).encode() + b"\n")
                line = connection.makefile("rb").readline()
            except OSError:
                return None
        if not line:
            return None
        answer: dict[str, Any] = json.loads(line)
        return answer

    # the supervisor itself

    def launch(self, *, owner: Identity | None, backoff_max_s: float) -> None:
        """Starts it detached; returns when it can be queried."""
        config = {
            "root": str(self.places.root),
            "profile": self.places.profile,
            "backoff_max_s": backoff_max_s,
            "owner": {"pid": owner.pid, "created": owner.created} if owner else None,
        }
        error_file = self.places.logs / "supervisor.err"
        with error_file.open("wb") as out:
            done = subprocess.run(
                [sys.executable, "-m", "deploy.local.supervisor", json.dumps(config)],
                cwd=project_root(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                timeout=START_TIMEOUT_S,
            )
        if done.returncode:
            raise LauncherError(f"the supervisor did not start:\n{error_file.read_text()[-2000:]}")

    def shut_down(self, timeout_s: float = 60.0) -> None:
        """Ends all processes in order, and kills the rest after the time-out or after a killed supervisor. Idempotent."""
        supervisor = self.identity()
        if supervisor:
            if self._exchange_line({"do": "shutdown"}) is None:
                supervisor.send(signal.SIGTERM)
                supervisor.send(signal.SIGCONT)
            deadline = time.monotonic() + timeout_s
            while supervisor.is_alive() and time.monotonic() < deadline:
                time.sleep(0.02)
            supervisor.send(signal.SIGKILL)
        self.kill_leftovers()

    def kill_leftovers(self) -> None:
        """Kills processes that a killed supervisor left (if the system does not), by pid and start time."""
        recorded = self.recorded() or {"processes": {}}
        leftovers = [Identity(process["pid"], process["created"]) for process in recorded["processes"].values() if process["pid"]]
        for sig, wait_s in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
            leftovers = [leftover for leftover in leftovers if leftover.is_alive()]
            for leftover in leftovers:
                leftover.send(sig)
                leftover.send(signal.SIGCONT)
            deadline = time.monotonic() + wait_s
            while any(leftover.is_alive() for leftover in leftovers) and time.monotonic() < deadline:
                time.sleep(0.02)
        for name in ("state.json", "supervisor.pid", "control.sock"):
            (self.places.root / name).unlink(missing_ok=True)
