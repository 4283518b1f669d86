"""Bank account numbers: 6 to 34 letters and digits (IBAN's bound); spaces and hyphens are how people write them."""

from __future__ import annotations

import re

_SEPARATORS = str.maketrans("", "", " -\u3000\u00a0")
_FORM = re.compile(r"[0-9A-Z]{6,34}", re.ASCII)


def canonical(text: str) -> str:
    """`6222 0210-0101 234` -> `622202100101234`. ValueError when it is no account number."""
    plain = text.translate(_SEPARATORS).upper()
    if not _FORM.fullmatch(plain):
        raise ValueError("an account is 6 to 34 letters and digits, spaces and hyphens allowed between them")
    return plain
