"""When is a process ready, and what to say when it does not get there."""

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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deploy.local.errors import LauncherError
from deploy.local.exit_reason import describe
from deploy.local.progress import SAMPLE_S, BusyTimes, Patience

if TYPE_CHECKING:
    from collections.abc import Iterator

POLL_S = 0.05
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

    with _quiet():
        return asyncio.run(broker_is_ready(bootstrap))


def http_ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError, ValueError):
        return False


def gateway_serves(url: str, *, views: bool) -> bool:
    """Whether it accepts signals; with `views` also whether what is shown has been built from the log."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            checks = json.load(answer).get("checks", {})
    except (urllib.error.URLError, OSError, ValueError):
        return False
    return not views or checks.get("views", "ok") == "ok"


@contextmanager
def _quiet() -> Iterator[None]:
    """While one waits, aiokafka's complaints about a broker that is not up yet are no news."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)


def wait(
    name: str, check: Callable[[], bool], processes: Callable[[], dict[str, Any]], log: Path, timeout_s: float, busy: BusyTimes
) -> None:
    """Until the check holds. LauncherError with the log's end when the process keeps ending or the patience is over.

    `processes` gives what the supervisor knows, by name. What the profile's processes do counts as progress (`progress.py`).
    """
    patience, last = Patience(timeout_s), time.monotonic()
    first = processes().get(name, {}).get("restarts", 0)
    busy.read(_pids(processes()))
    while not check():
        all_known = processes()
        process = all_known.get(name)
        if process is None:
            raise LauncherError(f"{name} is gone, its supervisor too", f"see {log.parent}")
        if (now := time.monotonic()) - last >= SAMPLE_S or now - last >= timeout_s:
            patience.spend(now - last, busy.read(_pids(all_known)))
            last = now
        keeps_ending = process["restarts"] - first >= MANY_RESTARTS and not patience.is_starved()
        if keeps_ending or (process["state"] == "stopped" and process["last_exit"]):
            raise LauncherError(f"{name} keeps ending ({describe(process['last_exit'])}). The end of {log}:\n{tail(log)}")
        if patience.is_over():
            raise LauncherError(_not_ready(name, process, patience, log))
        time.sleep(POLL_S)


def _pids(processes: dict[str, Any]) -> list[int]:
    return [one["pid"] for one in processes.values() if one["pid"]]


def _not_ready(name: str, process: dict[str, Any], patience: Patience, log: Path) -> str:
    waits = waiting_for(process)
    waited = f"{name} is not ready after {patience.elapsed_s:.0f} s"
    return f"{waited}{f', it waits for {waits}' if waits else ''}. The end of {log}:\n{tail(log)}"


def waiting_for(process: dict[str, Any]) -> str:
    """What a process that is not running waits for; empty for the others."""
    if process["state"] != "waiting":
        return ""
    return f"its next start in {process['pause_s']:.0f} s" if process["pause_s"] else "its turn to start"


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - 16_384))
            text = handle.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return "  (empty)"
    return "\n".join(f"  | {line}" for line in text.splitlines()[-lines:]) or "  (empty)"
