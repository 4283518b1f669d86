"""What the senders were promised: (institution, reference) -> the answer that acknowledged it."""

from __future__ import annotations

import threading
from typing import Any, Protocol


class Remembers(Protocol):
    def sending(self, institution: str, bodies: list[dict[str, Any]]) -> None: ...

    def answered(self, institution: str, body: dict[str, Any], row: dict[str, Any]) -> None: ...


class Promises:
    """Kept in memory; passes all on to the ledger file, when there is one."""

    def __init__(self, file: Remembers | None = None) -> None:
        self.acknowledged: dict[tuple[str, str], dict[str, Any]] = {}
        self._file = file
        self._lock = threading.Lock()

    def sending(self, institution: str, bodies: list[dict[str, Any]]) -> None:
        if self._file:
            self._file.sending(institution, bodies)

    def answered(self, institution: str, body: dict[str, Any], row: dict[str, Any]) -> None:
        if row["status"] == 202:
            with self._lock:
                self.acknowledged.setdefault((institution, body["reference"]), row)
        if self._file:
            self._file.answered(institution, body, row)
