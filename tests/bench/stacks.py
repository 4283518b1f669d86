"""stacks: five whole stacks on one machine. They start at once, idle, lose every process at once, and come back.

What starves ends by its time-outs, starts again and starves the others: the figures show that this circle does not begin. A
restart counts as a wrong one when no kill of the bench caused it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil

from deploy.local.stack import Stack
from tests.bench.figures import AtMost, Figure, Row
from tests.bench.harness import Setting

STACKS = 5
IDLE_S = 30.0
SETTLE_S = 20.0
LONGEST_S = 600.0
LOOK_S = 1.0
MIB = 2**20


def run(setting: Setting) -> list[Row]:
    """Once, whatever `runs` says: it takes minutes of all cores."""
    count = setting.size(STACKS, 2)
    stacks = [Stack(f"stacks-{number}", bound=True, external=False, ready_timeout_s=120.0) for number in range(count)]
    with gone_afterwards(stacks):
        setting.said(f"stacks: starting {count} at once")
        started_s = timed(lambda: for_each(stacks, Stack.up))
        time.sleep(SETTLE_S)
        cpu_share, resident_mib = idle_costs(stacks)
        killed = kill_all(stacks)
        setting.said(f"stacks: killed {killed} processes at once")
        returned_s = timed(lambda: wait_healthy(stacks))
        time.sleep(SETTLE_S)
        wrong_restarts = count_restarts(stacks) - killed
    return [
        Figure("stacks", f"{count} started at once: all healthy", "s", [started_s], AtMost(300)),
        Figure("stacks", f"all {killed} processes of {count} killed at once: all healthy", "s", [returned_s], AtMost(300)),
        Figure("stacks", "restarts that no kill caused", "restarts", [wrong_restarts], AtMost(0)),
        Figure("stacks", f"CPU of an idle stack, {count} side by side", "% of a core", [100 * cpu_share]),
        Figure("stacks", "memory of an idle stack, shared pages divided", "MiB", [resident_mib], AtMost(1024)),
    ]


@contextmanager
def gone_afterwards(stacks: list[Stack]) -> Iterator[None]:
    """No data of an earlier run before, no process and no data after."""
    for_each(stacks, lambda stack: stack.down(wipe=True))
    try:
        yield
    finally:
        for_each(stacks, lambda stack: stack.down(wipe=True))


def for_each(stacks: list[Stack], work: Callable[[Stack], object]) -> None:
    """All at the same time. Raises the first error after all have ended."""
    with ThreadPoolExecutor(len(stacks)) as pool:
        for done in [pool.submit(work, stack) for stack in stacks]:
            done.result()


def timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def count_restarts(stacks: list[Stack]) -> int:
    """Since each supervisor started."""
    return sum(stack.process(name)["restarts"] for stack in stacks for name in stack.names())


def kill_all(stacks: list[Stack]) -> int:
    """SIGKILL to every process but the supervisors; gives how many there were."""
    return sum(1 for stack in stacks for name in stack.names() if stack.kill(name))


def wait_healthy(stacks: list[Stack]) -> None:
    """Until all are healthy at the same look, at most ten minutes."""
    deadline = time.monotonic() + LONGEST_S
    time.sleep(LOOK_S)  # a look in the moment of the kill finds the dead healthy
    while not all(stack.is_healthy() for stack in stacks):
        if time.monotonic() > deadline:
            states = {f"{stack.profile}/{name}": stack.process(name)["state"] for stack in stacks for name in stack.names()}
            raise TimeoutError(f"not all healthy after {LONGEST_S:.0f} s: {states}")
        time.sleep(LOOK_S)


def idle_costs(stacks: list[Stack]) -> tuple[float, float]:
    """Of one stack, the mean of all: the share of a core in `IDLE_S`, and the memory in MiB."""
    processes = [psutil.Process(stack.pid(name)) for stack in stacks for name in stack.names()]
    before, began = cpu_seconds(processes), time.monotonic()
    time.sleep(IDLE_S)
    share = (cpu_seconds(processes) - before) / (time.monotonic() - began)
    return share / len(stacks), sum(map(resident_bytes, processes)) / len(stacks) / MIB


def cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(times.user + times.system for times in (process.cpu_times() for process in processes))


def resident_bytes(process: psutil.Process) -> int:
    """What it holds, shared pages divided among those who share them where the system tells."""
    memory = process.memory_full_info() if Path("/proc/self/smaps").exists() else process.memory_info()
    size: int = getattr(memory, "pss", memory.rss)
    return size
