"""Reverses the defanging of addresses that people use to prevent clicks: `hxxp`, `[.]`, `(dot)`, `[://]`.

Invariant: an address that was never defanged is unchanged.
"""

from __future__ import annotations

import re

_SQUARE = re.compile(r"\[+(\.|dot|点|:|://)\]+", re.IGNORECASE)
_OTHER = re.compile(r"[({](?:\.|dot|点)[)}]", re.IGNORECASE)


def refang_marks(text: str) -> str:
    """`hxxps[://]evil[dot]example/a[.]php` -> `hxxps://evil.example/a.php`. No address contains unencoded square brackets."""
    return _SQUARE.sub(_mark, text) if "[" in text else text


def refang_name(text: str) -> str:
    """The same, and `(.)`, `{.}`, `(dot)`: only in a host, because round brackets are valid in a path."""
    text = refang_marks(text)
    return _OTHER.sub(".", text) if "(" in text or "{" in text else text


def _mark(match: re.Match[str]) -> str:
    return "." if match[1].lower() in (".", "dot", "点") else match[1]
