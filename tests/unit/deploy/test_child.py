"""A kept process: started again when it ends, later each time, and killed when it does not end."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deploy.local.exit_reason import describe
from deploy.local.managed_process import Child
from deploy.local.pacing import FIRST_PAUSE_S, HEALTHY_S
from deploy.local.process import Identity, Spec, rotate

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEP}"
T0 = 1000.0

Make = Callable[[str], Child]


@pytest.fixture
def events() -> list[dict[str, Any]]:
    return []


@pytest.fixture
def make(tmp_path: Path, events: list[dict[str, Any]]) -> Any:
    made: list[Child] = []

    def child(program: str) -> Child:
        spec = Spec("it", [sys.executable, "-c", program], str(tmp_path / "it.log"), str(tmp_path), {"COLOUR": "red"})
        one = Child(spec, lambda event, **what: events.append({"event": event, **what}), 5.0, draw=lambda: 0.0)
        made.append(one)
        return made[-1]

    yield child
    for one in made:
        if one.popen:
            one.popen.kill()
            one.popen.wait()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ended(child: Child, now: float) -> None:
    until(lambda: child.tick(now))


def test_what_ends_is_started_again_after_a_pause_that_doubles_up_to_the_most(make: Make) -> None:
    child = make("raise SystemExit(3)")
    now, pauses = T0, []
    child.start(now)
    for _ in range(7):
        ended(child, now)
        assert child.state == "waiting"
        pauses.append(round(child.due - now, 3))
        assert not child.is_due(child.due - 0.001)
        now = child.due
        assert child.is_due(now)
        child.start_due(now)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
    assert (child.restarts, child.starts) == (7, 8)
    assert child.last_exit == {"code": 3, "ran_s": 0.0}


def test_one_that_ran_long_starts_again_soon(make: Make) -> None:
    child = make("pass")
    child.soon_ends = 9
    child.start(T0)
    ended(child, T0 + HEALTHY_S)
    assert child.due == T0 + HEALTHY_S + FIRST_PAUSE_S


def test_one_that_somebody_starts_begins_anew_and_is_no_restart(make: Make) -> None:
    child = make("pass")
    child.soon_ends = 9
    child.queue(T0)
    assert child.is_due(T0)
    child.start_due(T0)
    ended(child, T0)
    assert (child.restarts, child.due) == (0, T0 + FIRST_PAUSE_S)


def test_why_it_ended_is_what_it_wrote_last_in_this_run(make: Make, tmp_path: Path) -> None:
    (tmp_path / "it.log").write_text("ending: an older run\n")
    child = make("raise SystemExit(3)")
    child.start(T0)
    ended(child, T0 + 2)
    assert child.last_exit == {"code": 3, "ran_s": 2.0}
    child.spec = Spec(
        "it", [sys.executable, "-c", "print('ending: LostState: it broke'); raise SystemExit(70)"], child.spec.log, "."
    )
    child.start(T0)
    ended(child, T0 + 2)
    assert describe(child.last_exit) == "exit code 70 after 2 s: LostState: it broke"


def test_a_signal_that_ended_it_is_told(make: Make, events: list[dict[str, Any]]) -> None:
    child = make(SLEEP)
    child.start(T0)
    assert child.popen
    child.popen.send_signal(signal.SIGKILL)
    ended(child, T0 + 1)
    assert events[-1]["event"] == "exit"
    assert (events[-1]["signal"], events[-1]["asked"]) == ("SIGKILL", False)


def test_one_that_was_asked_to_end_stays_down(make: Make) -> None:
    child = make(SLEEP)
    child.start(T0)
    child.stop(T0)
    ended(child, T0)
    assert child.state == "stopped"
    assert not child.tick(T0 + 100)
    assert not child.is_due(T0 + 100)


def test_one_that_waits_to_be_started_again_can_be_stopped(make: Make) -> None:
    child = make("pass")
    child.start(T0)
    ended(child, T0)
    child.stop(T0)
    assert child.state == "stopped"
    assert not child.tick(T0 + 100)
    assert not child.is_due(T0 + 100)


def test_a_stubborn_one_is_killed_after_the_grace(make: Make, tmp_path: Path) -> None:
    child = make(STUBBORN)
    child.start(T0)
    until(lambda: "up" in (tmp_path / "it.log").read_text())
    child.stop(T0, grace_s=2)
    assert not child.tick(T0 + 1.9)
    child.tick(T0 + 2)
    ended(child, T0 + 2)
    assert child.last_exit
    assert child.last_exit["signal"] == "SIGKILL"


def test_a_paused_one_ends_when_asked(make: Make) -> None:
    child = make(SLEEP)
    child.start(T0)
    assert child.popen
    child.popen.send_signal(signal.SIGSTOP)
    child.stop(T0)
    ended(child, T0)
    assert child.state == "stopped"


def test_its_own_environment_lies_over_the_shared_one(make: Make, tmp_path: Path) -> None:
    child = make("import os; print(os.environ['COLOUR'], os.environ['SHAPE'])")
    child.overlay = {"SHAPE": "round"}
    child.start(T0)
    ended(child, T0)
    assert (tmp_path / "it.log").read_text() == "red round\n"


def test_a_program_that_cannot_be_run_is_tried_again(make: Make, events: list[dict[str, Any]]) -> None:
    child = make("")
    child.spec = Spec("it", ["/no/such/program"], child.spec.log, child.spec.cwd)
    child.start(T0)
    assert child.state == "waiting"
    assert events[-1]["event"] == "cannot start"


def test_an_identity_is_dead_once_its_process_ended_even_as_a_zombie(make: Make) -> None:
    child = make(SLEEP)
    child.start(T0)
    assert child.popen
    assert child.identity
    identity = child.identity
    assert identity.is_alive()
    assert not Identity(identity.pid, identity.created + 1).is_alive(), "another process with that pid"
    child.popen.kill()
    until(lambda: not identity.is_alive())
    child.popen.wait()


def test_a_long_log_is_set_aside_at_a_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.local.process.ROTATE_BYTES", 10)
    log = tmp_path / "it.log"
    log.write_text("0123456789")
    rotate(log)
    assert log.exists()
    log.write_text("0123456789+")
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "it.log.1").read_text() == "0123456789+"
