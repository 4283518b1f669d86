"""Takes back what people write into an address so that nobody clicks it: `hxxp`, `[.]`, `(dot)`, `[://]`.

Invariant: an address that was never disarmed comes back as it is.
"""

from __future__ import annotations

import re

_SQUARE = re.compile(r"\[+(\.|dot|点|:|://)\]+", re.IGNORECASE)
_OTHER = re.compile(r"[({](?:\.|dot|点)[)}]", re.IGNORECASE)


def refang_marks(text: str) -> str:
    """`hxxps[://]evil[dot]example/a[.]php` -> `hxxps://evil.example/a.php`. Square brackets stand unencoded in no address."""
    return _SQUARE.sub(_mark, text) if "[" in text else text


def refang_name(text: str) -> str:
    """The same, and `(.)`, `{.}`, `(dot)`: in a host only, for in a path round brackets are letters."""
    text = refang_marks(text)
    return _OTHER.sub(".", text) if "(" in text or "{" in text else text


def _mark(match: re.Match[str]) -> str:
    return "." if match[1].lower() in (".", "dot", "点") else match[1]
