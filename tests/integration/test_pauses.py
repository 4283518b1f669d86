"""A pause is not a crash: a full machine, a frozen broker and a second stack cost time, and no circle of restarts."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from deploy.local.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

FROZEN_S = 20.0
BUSY_S = 20.0
BUSY_PROCESSES = 6
SPIN = "while True: pass"


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Stack]]:
    """Two whole stacks that start in the same moment."""
    home = tmp_path_factory.mktemp("home")
    pair = [Stack(f"pause-{number}", home=home, kafka_heap_mb=256) for number in range(2)]
    try:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(Stack.up, pair))
        yield pair
    finally:
        for stack in pair:
            stack.down()


def until(holds: Callable[[], bool], timeout_s: float, what: str) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def restarts_of(stack: Stack) -> dict[str, int]:
    return {name: process["restarts"] for name, process in stack.conditions().items()}


def test_two_stacks_that_start_at_the_same_time_both_become_ready(stacks: list[Stack]) -> None:
    for stack in stacks:
        assert stack.is_healthy()
        assert not any(restarts_of(stack).values()), stack.conditions()
        assert not any(process["waiting_for"] for process in stack.conditions().values())


def test_no_process_of_a_stack_listens_but_on_this_machine(stacks: list[Stack]) -> None:
    for name in stacks[0].names():
        sockets = psutil.Process(stacks[0].pid(name)).net_connections("inet")
        listening = {one.laddr.ip.removeprefix("::ffff:") for one in sockets if one.status == psutil.CONN_LISTEN}
        assert listening == {"127.0.0.1"}, name


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a frozen process is not told apart")
def test_a_frozen_broker_is_shown_and_brings_no_circle_of_restarts(stacks: list[Stack]) -> None:
    stack, _ = stacks
    before = restarts_of(stack)
    stack.kill("kafka", signal.SIGSTOP)
    try:
        assert stack.conditions()["kafka"]["waiting_for"].startswith("a signal: it is frozen")
        time.sleep(FROZEN_S)
    finally:
        stack.kill("kafka", signal.SIGCONT)
    settles_without_a_circle(stack, before)


def test_a_machine_without_a_free_core_brings_no_circle_of_restarts(stacks: list[Stack]) -> None:
    stack, _ = stacks
    before = restarts_of(stack)
    spinning = [subprocess.Popen([sys.executable, "-c", SPIN]) for _ in range(BUSY_PROCESSES)]
    try:
        time.sleep(BUSY_S)
    finally:
        for one in spinning:
            one.kill()
            one.wait()
    settles_without_a_circle(stack, before)


def settles_without_a_circle(stack: Stack, before: dict[str, int]) -> None:
    """Healthy again, nothing ended more than once, and nothing ends any more."""
    until(stack.is_healthy, 90, "it does not come back")
    after = restarts_of(stack)
    assert all(after[name] - before[name] <= 1 for name in after), stack.conditions()
    time.sleep(5)
    assert (stack.is_healthy(), restarts_of(stack)) == (True, after)
