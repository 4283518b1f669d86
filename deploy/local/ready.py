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


def wait(name: str, check: Callable[[], bool], look: Callable[[], dict[str, Any] | None], log: Path, timeout_s: float) -> None:
    """Until the check holds. LauncherError with the log's end when the process keeps ending or the time is over.

    `look` gives the process as the supervisor sees it, None when there is none.
    """
    began = time.monotonic()
    first = (look() or {}).get("restarts", 0)
    while not check():
        seen = look()
        if seen is None:
            raise LauncherError(f"{name} is gone, its supervisor too", f"see {log.parent}")
        if seen["restarts"] - first >= MANY_RESTARTS or (seen["state"] == "stopped" and seen["last_exit"]):
            raise LauncherError(f"{name} keeps ending ({_how(seen)}). The end of {log}:\n{tail(log)}")
        if time.monotonic() - began > timeout_s:
            raise LauncherError(f"{name} is not ready after {timeout_s:.0f} s. The end of {log}:\n{tail(log)}")
        time.sleep(POLL_S)


def _how(seen: dict[str, Any]) -> str:
    last = seen["last_exit"] or {}
    return f"signal {last['signal']}" if "signal" in last else f"exit code {last.get('code')}"


def tail(log: Path, lines: int = TAIL_LINES) -> str:
    try:
        with log.open("rb") as handle:
            handle.seek(max(0, log.stat().st_size - 16_384))
            text = handle.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return "  (empty)"
    return "\n".join(f"  | {line}" for line in text.splitlines()[-lines:]) or "  (empty)"
