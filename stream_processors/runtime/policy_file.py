"""A policy file that operators edit while workers run: checked once a second, and used when it changed and is valid.

Invariant: an invalid file never takes effect; the policy in force stays, and each change's fault is logged once.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from schemas.policy import Policy
from stream_processors.runtime.settings import PolicyError, parse_policy


class PolicyFile:
    """`now` is the policy in force."""

    def __init__(self, path: Path) -> None:
        """PolicyError if there is no valid policy at the start."""
        self._path = path
        self._stat = self._look_at_file()
        text = self._read_file()
        self._digest = _digest(text)
        self.now: Policy = parse_policy(text, path)

    def changed(self) -> Policy | None:
        """The policy if it changed since the last check; None if not. PolicyError, once for each change, if the file is invalid:
        the next valid one is used again, even if it equals the one in force."""
        stat = self._look_at_file()
        if stat == self._stat:
            return None
        self._stat = stat
        text = self._read_file()
        if (digest := _digest(text)) == self._digest:
            return None
        self._digest = digest
        policy = parse_policy(text, self._path)
        if policy.label == self.now.label:
            return None
        self.now = policy
        return policy

    def _look_at_file(self) -> tuple[int, int, int] | None:
        """Time, size and number of the file: a file moved into place is another one even in the same instant."""
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read_file(self) -> bytes:
        try:
            return self._path.read_bytes()
        except OSError as error:
            self._digest = ""
            raise PolicyError(f"cannot read the policy {self._path}: {error}") from error


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
