"""Pauses that grow, starts that take turns, and patience that counts progress: a pause of the machine is not a crash."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.local import pacing
from deploy.local import readiness as ready
from deploy.local.errors import LauncherError
from deploy.local.exit_reason import describe, last_words
from deploy.local.pacing import count_soon_ends, may_start, pause_after
from deploy.local.paths import Places
from deploy.local.process import APP, BACKBONE, Spec
from deploy.local.progress import LONGEST, Busy, BusyTimes, Patience, thread_times
from deploy.local.status import gateway_words, own_words, waiting_for
from deploy.local.supervisor import Supervisor

SLEEP = "import time; time.sleep(60)"


def test_pauses_double_from_half_a_second_to_half_a_minute() -> None:
    assert [pause_after(ends, 30.0, 0.0) for ends in range(1, 9)] == [0.5, 1, 2, 4, 8, 16, 30, 30]


@given(ends=st.integers(1, 10_000), longest_s=st.floats(0.01, 600), draw=st.floats(0, 1, exclude_max=True))
def test_a_pause_is_never_longer_than_the_longest_and_at_most_a_quarter_shorter(ends: int, longest_s: float, draw: float) -> None:
    whole = min(0.5 * 2.0 ** min(ends - 1, 30), longest_s)
    assert 0.75 * whole <= pause_after(ends, longest_s, draw) <= whole <= longest_s


def test_a_minute_of_health_begins_anew() -> None:
    assert count_soon_ends(5, 59.9) == 6
    assert count_soon_ends(5, 60.0) == 1


@pytest.mark.parametrize(
    ("under_way", "crowded", "allowed"), [(0, True, True), (1, True, True), (2, True, False), (3, False, True), (4, False, False)]
)
def test_starts_take_turns_and_on_a_full_machine_fewer_at_once(
    under_way: int, crowded: bool, allowed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "STARTS_AT_ONCE", 4)
    assert may_start(under_way, crowded) is allowed


def test_a_machine_is_crowded_when_more_wants_to_run_than_it_has_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_load(text: str) -> bool:
        monkeypatch.setattr(Path, "read_text", lambda self: text)
        return pacing.is_crowded()

    monkeypatch.setattr(pacing, "CORES", 2)
    assert not with_load("9.00 9.00 9.00 3/400 12345")
    assert with_load("0.00 0.00 0.00 4/400 12345")


# the supervisor


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    (tmp_path / "logs").mkdir()
    one = Supervisor(tmp_path, "test", 30.0, None)
    one.socket_path = tmp_path / "control.sock"
    one.is_crowded = lambda: True
    yield one
    for child in one.children.values():
        if child.popen:
            child.popen.kill()
            child.popen.wait()


def ask_to_start(supervisor: Supervisor, name: str, stage: int = APP) -> None:
    spec = Spec(
        name, [sys.executable, "-c", SLEEP], str(supervisor.log.with_name(f"{name}.log")), str(supervisor.root), stage=stage
    )
    supervisor._start_process({"spec": spec.as_json()}, time.monotonic())


def running(supervisor: Supervisor) -> list[str]:
    return [name for name, child in supervisor.children.items() if child.state == "running"]


def test_many_that_are_started_at_once_on_a_full_machine_start_two_at_a_time(supervisor: Supervisor) -> None:
    for number in range(5):
        ask_to_start(supervisor, f"it-{number}")
    assert running(supervisor) == ["it-0", "it-1"]
    now = time.monotonic()
    supervisor._start_due(now + pacing.START_WITHOUT_PORT_S + 0.1)
    assert running(supervisor) == ["it-0", "it-1", "it-2", "it-3"]
    assert all(child.restarts == 0 for child in supervisor.children.values()), "a first start is no restart"


def test_many_that_die_together_come_back_in_turn_the_backbone_first(supervisor: Supervisor) -> None:
    for number, stage in enumerate((APP, APP, APP, BACKBONE)):
        ask_to_start(supervisor, f"it-{number}", stage)
        supervisor._start_due(time.monotonic() + 10)
    assert len(running(supervisor)) == 4
    died = time.monotonic()
    for child in supervisor.children.values():
        assert child.popen
        child.popen.kill()
        child.popen.wait()
        child.tick(died)
    assert {child.state for child in supervisor.children.values()} == {"waiting"}
    assert len({child.due for child in supervisor.children.values()}) == 4, "they do not wait equally long"
    supervisor._start_due(later := died + 1)
    first = running(supervisor)
    assert len(first) == 2 and "it-3" in first
    supervisor._start_due(later + 0.5)
    assert running(supervisor) == first
    supervisor._start_due(later + pacing.START_WITHOUT_PORT_S)
    assert len(running(supervisor)) == 4


def test_what_waits_is_shown_with_its_pause(supervisor: Supervisor) -> None:
    for number in range(3):
        ask_to_start(supervisor, f"it-{number}")
    shown = supervisor._read_state()["processes"]
    assert waiting_for(shown["it-0"]) == ""
    assert waiting_for(shown["it-2"]) == "its turn to start"
    child = supervisor.children["it-0"]
    assert child.popen
    child.soon_ends = 4
    child.popen.kill()
    child.popen.wait()
    child.tick(time.monotonic())
    shown = supervisor._read_state()["processes"]["it-0"]
    assert shown["state"] == "waiting" and 5 < shown["pause_s"] <= 8
    assert waiting_for(shown).startswith("its restart in ")
    assert describe(shown["last_exit"]).startswith("killed by SIGKILL after")


def test_a_worker_says_itself_what_it_waits_for_and_one_that_ended_since_says_nothing(tmp_path: Path) -> None:
    places = Places.of("test", tmp_path)
    process = {"state": "running", "pid": 4711}
    assert own_words(places, "assess-0", process) == ""
    places.waiting.mkdir(parents=True)
    file = places.waiting / "assess-0.json"
    file.write_text('{"pid": 4711, "waiting_for": "Kafka at 127.0.0.1:1 does not answer", "since": "2026-03-01T08:00:00Z"}')
    assert own_words(places, "assess-0", process) == "Kafka at 127.0.0.1:1 does not answer, since 2026-03-01T08:00:00Z"
    assert own_words(places, "assess-0", process | {"pid": 4712}) == ""
    for text in ("", "[]", "{}", '{"pid": 4711}'):
        file.write_text(text)
        assert own_words(places, "assess-0", process) == ""


def test_a_gateway_that_does_not_answer_says_nothing() -> None:
    assert gateway_words("http://127.0.0.1:1") == ""


# patience


def test_on_an_idle_machine_the_limit_is_the_limit() -> None:
    patience = Patience(10)
    for _ in range(9):
        patience.spend(1.0, Busy())
    assert not patience.is_over()
    patience.spend(1.0, Busy())
    assert patience.is_over() and not patience.is_starved()


def test_seconds_of_work_and_of_waiting_for_a_core_do_not_count_but_the_wait_ends() -> None:
    patience = Patience(10)
    for _ in range(int(10 * LONGEST) - 1):
        patience.spend(1.0, Busy(0.2, 0.8))
    assert not patience.is_over() and patience.is_starved()
    patience.spend(1.0, Busy(0.2, 0.8))
    assert patience.is_over()


def test_work_alone_is_no_starving() -> None:
    patience = Patience(10)
    patience.spend(5.0, Busy(4.0, 0.5))
    assert not patience.is_starved()


def test_the_busiest_thread_counts_and_only_what_came_since() -> None:
    figures = {1: {10: Busy(5.0, 1.0)}, 2: {20: Busy(1.0, 0.0), 21: Busy(0.0, 0.0)}}
    times = BusyTimes(lambda pid: figures.get(pid, {}))
    times.read([1, 2])
    figures[2] = {20: Busy(1.5, 0.4), 21: Busy(0.1, 0.0)}
    assert times.read([1, 2]) == pytest.approx((0.5, 0.4))
    figures[2] = {20: Busy(0.3, 0.0)}  # another thread with that number
    assert times.read([1, 2]) == pytest.approx((0.3, 0.0))
    assert times.read([3]) == Busy()


def test_a_working_process_is_seen_to_work() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as worker:
        try:
            times = BusyTimes()
            times.read([worker.pid])
            time.sleep(0.5)
            assert sum(times.read([worker.pid])) > 0.1
        finally:
            worker.kill()
    assert thread_times(worker.pid) == {}


def test_one_that_waits_for_its_turn_longer_than_the_patience_is_told(tmp_path: Path) -> None:
    process = {"state": "waiting", "pause_s": 12.0, "pid": None, "restarts": 0, "last_exit": None}
    with pytest.raises(LauncherError, match=r"it is not ready after .*, it waits for its restart in 12 s"):
        ready.wait(ready.ReadinessWait("it", lambda: False, lambda: {"it": process}, waiting_for, tmp_path / "it.log", 0.1))


def test_one_that_keeps_ending_is_an_error_unless_the_machine_starves_it(tmp_path: Path) -> None:
    ends = iter([0, 0, *range(1, 100)])

    def processes() -> dict[str, object]:
        last_exit = {"code": 70, "ran_s": 1.0, "reason": "TimeoutError"}
        return {"it": {"state": "running", "pid": 1, "restarts": next(ends), "last_exit": last_exit}}

    with pytest.raises(LauncherError, match=r"it keeps ending \(exit code 70 after 1 s: TimeoutError\)"):
        ready.wait(
            ready.ReadinessWait("it", lambda: False, processes, waiting_for, tmp_path / "it.log", 5, busy=BusyTimes(lambda _: {}))
        )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        ("one\n\n", "one"),
        ("2026-01-02 10:00:00,123 ERROR liandong ending: LostState: gone\nTraceback\n  x\n", "LostState: gone"),
        ("[2026-01-02T10:00:00,123] ERROR kafka.Log No space left\n", "No space left"),
        ("x" * 300, "x" * 199 + "…"),
    ],
)
def test_the_last_words_of_a_process(tmp_path: Path, text: str, words: str) -> None:
    log = tmp_path / "it.log"
    log.write_text(text)
    assert last_words(log, 0) == words
