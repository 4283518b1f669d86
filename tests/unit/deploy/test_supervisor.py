"""The supervisor itself, without its detached process: a disk that is full does not end it."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import pytest

from deploy.local.process import Spec
from deploy.local.supervisor import Supervisor

SLEEP = "import time; time.sleep(60)"


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch):
    """`full(True)`: nothing can be written any more."""
    opened = Path.open

    def no_room(self: Path, mode: str = "r", *args, **kwargs):
        if mode.startswith("r"):
            return opened(self, mode, *args, **kwargs)
        raise OSError(28, "No space left on device")

    return lambda on: monkeypatch.setattr(Path, "open", no_room if on else opened)


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "logs").mkdir()
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("signal.set_wakeup_fd", lambda _: -1)
    one = Supervisor(tmp_path, "test", 0.01, None)
    yield one
    for child in one.children.values():
        if child.popen:
            child.popen.kill()
            child.popen.wait()


def test_a_full_disk_is_told_and_ends_nothing_and_what_could_not_start_starts_when_there_is_room(
    supervisor: Supervisor, tmp_path: Path, full
) -> None:
    supervisor.open()
    spec = Spec("it", [sys.executable, "-c", SLEEP], str(tmp_path / "logs" / "it.log"), str(tmp_path))
    supervisor._start_process({"spec": spec.as_json()}, time.monotonic())
    child = supervisor.children["it"]
    full(True)
    assert child.popen is not None
    child.popen.kill()
    child.popen.wait()
    for _ in range(5):
        supervisor._run_tick()
        time.sleep(0.02)
    assert child.state == "waiting"
    assert "No space left" in supervisor._answer_request({"do": "state"})["trouble"]
    full(False)
    deadline = time.monotonic() + 20
    while child.state != "running" and time.monotonic() < deadline:
        time.sleep(0.02)
        supervisor._run_tick()
    supervisor._run_tick()
    assert (child.state, supervisor.trouble) == ("running", None)
    assert json.loads((tmp_path / "state.json").read_text())["processes"]["it"]["state"] == "running"
    assert "can write again" in (tmp_path / "logs" / "supervisor.log").read_text()


def test_a_supervisor_that_nobody_could_find_does_not_start(supervisor: Supervisor, full) -> None:
    full(True)
    with pytest.raises(OSError, match="No space left"):
        supervisor.open()
