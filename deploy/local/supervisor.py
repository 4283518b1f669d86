"""Keeps a profile's processes running: `python -m deploy.local.supervisor '<configuration as JSON>'`, detached.

One thread, one loop. It receives requests over a Unix socket (`control.py`) and knows nothing of Kafka or workers. It writes
`state.json` on every change and `logs/supervisor.log` (JSON lines). Invariant: no child outlives it. A full disk does not end it
(and everything with it): a failed write is its `trouble`, and it is written when there is room again.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.local import pacing
from deploy.local.managed_process import Child
from deploy.local.process import Identity, Spec, rotate

TICK_S = 0.25
QUEUE_TICK_S = 0.1  # while something waits for its turn to start
REQUEST_TIMEOUT_S = 2.0
_LONGEST_SOCKET_PATH = 100  # the system's limit is 104 on macOS, 108 on Linux


class Supervisor:
    """`owner` is a process whose end ends everything (a test session); None for one that stays."""

    def __init__(self, root: Path, profile: str, backoff_max_s: float, owner: Identity | None) -> None:
        self.root, self.profile, self.backoff_max_s, self.owner = root, profile, backoff_max_s, owner
        self.children: dict[str, Child] = {}
        self.ending = False
        self.started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        self.log = root / "logs" / "supervisor.log"
        self.selector = selectors.DefaultSelector()
        self.is_crowded = pacing.is_crowded
        self._changed = True
        self.trouble: str | None = None

    def journal(self, event: str, **what: Any) -> None:
        line = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **what}
        self._changed = True
        try:
            with self.log.open("a") as out:
                out.write(json.dumps(line) + "\n")
        except OSError as error:
            self.trouble = str(error)

    # the loop

    def open(self) -> None:
        """Opens socket, signals, state file: from then on it can be queried."""
        rotate(self.log)
        self.socket_path = _socket_path(self.root)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.socket_path))
        self.socket_path.chmod(0o600)
        self.listener.listen(16)
        self.listener.setblocking(False)
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.wake_read, wake_write = socket.socketpair()
        for end in (self.wake_read, wake_write):
            end.setblocking(False)
        self.wake_write = wake_write
        signal.set_wakeup_fd(wake_write.fileno())
        self.selector.register(self.wake_read, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(sig, lambda *_: self._begin_end("signal"))
        self.journal("supervisor up", pid=os.getpid(), profile=self.profile)
        self._write_state()
        if self.trouble:  # without its state file nobody would find it
            raise OSError(self.trouble)

    def run(self) -> None:
        """Runs until asked to end and every child has ended."""
        while not (self.ending and not any(child.is_live() for child in self.children.values())):
            for key, _ in self.selector.select(self._pause_s()):
                if key.fileobj is self.listener:
                    self._serve_one()
                else:
                    self._drain_wakeups()
            self._run_tick()
        self.journal("supervisor down")
        self._write_state()
        self.socket_path.unlink(missing_ok=True)
        if self.socket_path.parent != self.root:
            self.socket_path.parent.rmdir()

    def _drain_wakeups(self) -> None:
        try:
            while self.wake_read.recv(512):
                pass
        except BlockingIOError:
            return

    def _pause_s(self) -> float:
        now = time.monotonic()
        dues = [child.due - now for child in self.children.values() if child.state == "waiting"]
        if any(due <= 0 for due in dues):
            return QUEUE_TICK_S
        return min([TICK_S, *dues])

    def _run_tick(self) -> None:
        now = time.monotonic()
        if self.owner and not self.ending and not self.owner.is_alive():
            self._begin_end("owner gone")
        for child in self.children.values():
            self._changed |= child.tick(now)
        if self.ending:
            self._stop_last_stage(now)
        else:
            self._start_due(now)
        if self._changed:
            self._write_state()

    def _start_due(self, now: float) -> None:
        """Starts processes whose pause is over, the services first, as many at once as the machine bears."""
        due = sorted(
            (child for child in self.children.values() if child.is_due(now)), key=lambda child: (child.spec.stage, child.due)
        )
        if not due:
            return
        under_way = sum(child.is_starting(now) for child in self.children.values())
        crowded = self.is_crowded()
        for child in due:
            if not pacing.may_start(under_way, crowded):
                return
            child.start_due(now)
            under_way += 1
            self._changed = True

    def _begin_end(self, why: str) -> None:
        if not self.ending:
            self.ending = True
            self.journal("ending", why=why)

    def _stop_last_stage(self, now: float) -> None:
        """Stops the processes of the highest running level; a lower one only when those have ended."""
        for child in self.children.values():
            if not child.is_live():
                child.state = "stopped"
        live = [child for child in self.children.values() if child.is_live()]
        last = max((child.spec.stage for child in live), default=0)
        for child in live:
            if child.spec.stage == last:
                child.stop(now)

    # requests

    def _serve_one(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except BlockingIOError:
            return
        with connection:
            connection.settimeout(REQUEST_TIMEOUT_S)
            try:
                line = connection.makefile("rb").readline()
                answer = self._answer_request(json.loads(line)) if line else {}
                connection.sendall(json.dumps(answer).encode() + b"\n")
            except (OSError, ValueError) as error:
                self.journal("bad request", error=str(error))

    def _answer_request(self, request: dict[str, Any]) -> dict[str, Any]:
        now = time.monotonic()
        match request["do"]:
            case "state":
                pass
            case "shutdown":
                self._begin_end("asked")
            case "start" if self.ending:
                return {"error": "the supervisor is ending"}
            case "start":
                return self._start_process(request, now)
            case "stop":
                child = self.children.get(request["name"])
                if child is None:
                    return {"error": f"no process {request['name']}"}
                child.stop(now, request.get("grace_s"))
                self._changed = True
            case other:
                return {"error": f"unknown request {other}"}
        return self._read_state()

    def _start_process(self, request: dict[str, Any], now: float) -> dict[str, Any]:
        """Starts a new process by its spec, or a known one by name. A live one stays as it is."""
        spec = Spec(**request["spec"]) if "spec" in request else None
        name = spec.name if spec else request["name"]
        child = self.children.get(name)
        if child is None and spec is None:
            return {"error": f"no process {name}"}
        if child is None or not child.is_live():
            if child is None:
                assert spec is not None
                child = self.children[name] = Child(spec, self.journal, self.backoff_max_s)
            child.spec = spec or child.spec
            child.overlay = request.get("env") or {}
            child.queue(now)
            self._start_due(now)
        self._write_state()
        return self._read_state()

    def _read_state(self) -> dict[str, Any]:
        me, now = Identity.of(os.getpid()), time.monotonic()
        return {
            "profile": self.profile,
            "supervisor": {"pid": me.pid, "created": me.created, "control": str(self.socket_path)},
            "started_at": self.started_at,
            "ending": self.ending,
            "trouble": self.trouble,
            "processes": {name: child.as_json(now) for name, child in self.children.items()},
        }

    def _write_state(self) -> None:
        target = self.root / "state.json"
        partial = target.with_suffix(".part")
        before, self.trouble = self.trouble, None
        try:
            partial.write_text(json.dumps(self._read_state(), indent=1) + "\n")
            partial.replace(target)
        except OSError as error:
            self.trouble = str(error)
        self._changed = self.trouble is not None
        if before and not self.trouble:
            self.journal("can write again", after=before)


def _socket_path(root: Path) -> Path:
    path = root / "control.sock"
    if len(str(path)) > _LONGEST_SOCKET_PATH:
        path = Path(tempfile.mkdtemp(prefix="liandong-")) / "control.sock"
    path.unlink(missing_ok=True)
    return path


def detach() -> int:
    """Forks; the child continues in a session of its own. The parent ends when the child writes to the descriptor."""
    ready, tell = os.pipe()
    if os.fork():
        os.close(tell)
        os._exit(0 if os.read(ready, 1) else 1)
    os.close(ready)
    os.setsid()
    return tell


def main() -> None:
    config = json.loads(sys.argv[1])
    os.umask(0o077)  # state, logs and what the children write are for their owner
    tell = detach()
    owner = Identity(**config["owner"]) if config["owner"] else None
    supervisor = Supervisor(Path(config["root"]), config["profile"], config["backoff_max_s"], owner)
    supervisor.open()
    (supervisor.root / "supervisor.pid").write_text(f"{os.getpid()}\n")
    os.write(tell, b"+")
    os.close(tell)
    supervisor.run()


if __name__ == "__main__":
    main()
