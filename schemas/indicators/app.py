"""Apps, by package name (Android) or bundle id (iOS): dotted names; their case is part of them."""

from __future__ import annotations

import re

_FORM = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)+", re.ASCII)


def canonical(text: str) -> str:
    """` com.example.Loan ` -> `com.example.Loan`. ValueError when it is no package name."""
    plain = text.strip().removeprefix("package:")
    if len(plain) > 255 or not _FORM.fullmatch(plain):
        raise ValueError("an app is a package name such as com.example.loan: dotted, at most 255 characters")
    return plain
