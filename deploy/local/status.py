"""The cause that each process of a profile waits for, for people and for `--json`.

A process that does not run waits for its pause or its turn. A worker writes `<profile>/waiting/<name>.json` while it waits
(`{"pid": ..., "waiting_for": "Kafka at … does not answer", ...}`); the gateway reports it at `/readyz`. Invariant: the file of an
ended process does not count, and reading never fails.
"""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from deploy.local.exit_reason import describe
from deploy.local.paths import Places

_CHECKS = {"kafka": "Kafka", "redis": "Redis", "views": "the views"}


def waiting_for(process: Mapping[str, Any]) -> str:
    """The cause that a stopped process waits for; empty for the others."""
    if process["state"] != "waiting":
        return ""
    return f"its restart in {process['pause_s']:.0f} s" if process["pause_s"] else "its turn to start"


def own_words(places: Places, name: str, process: Mapping[str, Any]) -> str:
    """The cause that a running worker reports; empty if it reports none."""
    try:
        content = json.loads((places.waiting / f"{name}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return ""
    if not isinstance(content, dict) or content.get("pid") != process["pid"] or "waiting_for" not in content:
        return ""
    since = f", since {content['since']}" if content.get("since") else ""
    return f"{content['waiting_for']}{since}"


def gateway_words(url: str) -> str:
    """The failing checks of the gateway."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=2) as answer:
            body = answer.read()
    except urllib.error.HTTPError as refused:
        body = refused.read()
    except (urllib.error.URLError, OSError, ValueError):
        return ""
    try:
        checks = json.loads(body)["checks"]
        return ", ".join(f"{_CHECKS.get(name, name)} ({text})" for name, text in checks.items() if text != "ok")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""


def is_frozen(pid: int | None) -> bool:
    """Whether somebody stopped it with SIGSTOP. Linux only."""
    if pid is None or sys.platform != "linux":
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False


def table(title: str, processes: Mapping[str, Any]) -> Table:
    """One line for each process."""
    shown = Table(title=title, title_justify="left")
    for column in ("process", "state", "pid", "port", "restarts", "waits for", "last end"):
        shown.add_column(column)
    for name, process in processes.items():
        cells = (name, process["state"], process["pid"], process["port"], process["restarts"])
        words = (process["waiting_for"], describe(process["last_exit"]))
        style = "red" if process["state"] != "running" else "yellow" if process["waiting_for"] else None
        shown.add_row(*("" if cell is None else str(cell) for cell in (*cells, *words)), style=style)
    return shown
