"""Apps, by package name (Android) or bundle id (iOS): dotted names; their case is part of them."""

from __future__ import annotations

import re

from schemas.signals.indicators.fold import fold

_FORM = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+", re.ASCII)


def canonical(text: str) -> str:
    """` com.example.Loan ` -> `com.example.Loan`. ValueError when it is no package name."""
    if len(text) <= 255 and _FORM.fullmatch(text):
        return text
    plain = fold(text).removeprefix("package:")
    if len(plain) > 255 or not _FORM.fullmatch(plain):
        raise ValueError("an app must be a package name such as com.example.loan, with dots and at most 255 characters")
    return plain
