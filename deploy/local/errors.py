"""Errors that keep the launcher from starting, each with its remedy."""

from __future__ import annotations


class LauncherError(Exception):
    """Something is missing or in the way. `str()` is the whole message for a person, the remedy included."""

    def __init__(self, what: str, remedy: str = "") -> None:
        super().__init__(f"{what}\n  {remedy}" if remedy else what)
        self.what = what
        self.remedy = remedy
