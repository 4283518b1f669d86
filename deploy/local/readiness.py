"""Decides when a process is ready, and describes one that does not get there."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.local.errors import LauncherError
from deploy.local.exit_reason import describe
from deploy.local.progress import SAMPLE_S, BusyTimes, Patience

if TYPE_CHECKING:
    from collections.abc import Iterator

POLL_S = 0.05
SLOW_POLL_S = 0.15  # after the first second: each look costs the supervisor and a starving machine something
SPEAK_S = 5.0
TAIL_LINES = 15
MANY_RESTARTS = 3


def listens(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def kafka_answers(bootstrap: str) -> bool:
    from deploy.local.topics import broker_is_ready

    with _silence_logs():
        return asyncio.run(broker_is_ready(bootstrap))


def http_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def gateway_serves(url: str, *, views: bool) -> bool:
    """Whether it accepts signals; with `views` also whether the views have been built from the log."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            checks = json.load(answer).get("checks", {})
    except (urllib.error.URLError, OSError, ValueError):
        return False
    return not views or checks.get("views", "ok") == "ok"


@contextmanager
def _silence_logs() -> Iterator[None]:
    """Silences aiokafka's warnings about a broker that is not up yet."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


@dataclass(frozen=True)
class ReadinessWait:
    """A wait: the process, the test of its readiness, and the limit.

    `processes` returns the supervisor's view by name; `reason` the cause that the process itself waits for, empty for none.
    """

    name: str
    check: Callable[[], bool]
    processes: Callable[[], dict[str, Any]]
    reason: Callable[[dict[str, Any]], str]
    log: Path
    timeout_s: float
    say: Callable[[str], None] = lambda _: None
    busy: BusyTimes = field(default_factory=BusyTimes)


def wait(it: ReadinessWait) -> None:
    """Waits until the check holds. LauncherError with the end of the log if the process keeps ending or the limit is reached.

    Activity of the profile's processes counts as progress (`progress.py`).
    """
    patience, began = Patience(it.timeout_s), time.monotonic()
    last, spoken = began, began
    before = it.processes()
    first = before.get(it.name, {}).get("restarts", 0)
    it.busy.read(_list_pids(before))
    while not it.check():
        every = it.processes()
        process = every.get(it.name)
        if process is None:
            raise LauncherError(f"{it.name} and its supervisor have ended", f"see {it.log.parent}")
        now = time.monotonic()
        if now - last >= min(SAMPLE_S, it.timeout_s):
            patience.spend(now - last, it.busy.read(_list_pids(every)))
            last = now
        keeps_ending = process["restarts"] - first >= MANY_RESTARTS and not patience.is_starved()
        if keeps_ending or (process["state"] == "stopped" and process["last_exit"]):
            raise LauncherError(
                f"{it.name} keeps ending ({describe(process['last_exit'])}). The end of {it.log}:\n{tail(it.log)}"
            )
        if patience.is_over():
            raise LauncherError(_not_ready(it, process, patience))
        if now - spoken >= SPEAK_S and (reason := it.reason(process)):
            it.say(f"{it.name} waits for {reason}")
            spoken = now
        time.sleep(POLL_S if now - began < 1 else SLOW_POLL_S)


def _list_pids(processes: dict[str, Any]) -> list[int]:
    return [process["pid"] for process in processes.values() if process["pid"]]


def _not_ready(it: ReadinessWait, process: dict[str, Any], patience: Patience) -> str:
    reason = it.reason(process)
    waits = f", it waits for {reason}" if reason else ""
    return f"{it.name} is not ready after {patience.elapsed_s:.0f} s{waits}. The end of {it.log}:\n{tail(it.log)}"


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - 16_384))
            text = handle.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return "  (empty)"
    return "\n".join(f"  | {line}" for line in text.splitlines()[-lines:]) or "  (empty)"
