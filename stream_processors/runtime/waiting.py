"""Publishes the cause that a worker waits for, to people and programs: a small file beside its profile, and a metric.

`<home>/<profile>/waiting/<worker id>.json` is `{"pid": 4711, "cause": "kafka", "waiting_for": "Kafka at … does not answer",
"since": "2026-03-01T08:00:00Z", "tries": 3}`. Invariant: the file exists only while its process waits. It names the process, so
that the file of a killed process can be recognised; a failure to write it never stops a worker.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from stream_processors.runtime.metrics import METRICS, WAITING_CAUSES
from stream_processors.runtime.settings import Settings

KAFKA, REDIS, LOCK = WAITING_CAUSES
"""The broker or its leaders; Redis; another process at the restore barrier of the same stage."""


def waiting_file(home: Path, profile: str, worker: str) -> Path:
    """The file in which a worker publishes the cause of its wait."""
    return home / profile / "waiting" / f"{worker}.json"


def read_waiting(file: Path) -> dict[str, Any] | None:
    """The content of the file; None while the worker waits for nothing."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


class Waiting:
    """Publishes the cause that one worker waits for. `begin` replaces it, `end` removes it."""

    def __init__(self, settings: Settings, stage: str) -> None:
        self._file = waiting_file(settings.home, settings.profile, settings.worker_id)
        self._stage = stage
        self._causes: dict[str, dict[str, Any]] = {}

    @property
    def causes(self) -> tuple[str, ...]:
        return tuple(self._causes)

    def since_s(self, cause: str) -> float:
        """Seconds of the wait for this cause; 0 if there is none."""
        entry = self._causes.get(cause)
        return 0.0 if entry is None else time.monotonic() - float(entry["began"])

    def begin(self, cause: str, sentence: str) -> None:
        """One more try failed, or a wait has begun."""
        entry = self._causes.setdefault(cause, {"began": time.monotonic(), "at": datetime.now(UTC), "tries": 0})
        entry |= {"sentence": sentence, "tries": entry["tries"] + 1}
        METRICS.waiting.labels(self._stage, cause).set(entry["at"].timestamp())
        self._write_file()

    def end(self, *causes: str) -> None:
        """The wait is over. Without a cause: all waits are."""
        ended = [cause for cause in causes or tuple(self._causes) if self._causes.pop(cause, None)]
        for cause in ended:
            METRICS.waiting.labels(self._stage, cause).set(0)
        if ended:
            self._write_file()

    def _write_file(self) -> None:
        with contextlib.suppress(OSError):
            if not self._causes:
                self._file.unlink(missing_ok=True)
                return
            cause, entry = next(iter(self._causes.items()))
            content = {
                "pid": os.getpid(),
                "cause": cause,
                "waiting_for": entry["sentence"],
                "since": entry["at"].strftime("%Y-%m-%dT%H:%M:%SZ"),
                "tries": entry["tries"],
            }
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = self._file.with_suffix(".part")
            partial.write_text(json.dumps(content, ensure_ascii=False) + "\n", "utf-8")
            partial.replace(self._file)
