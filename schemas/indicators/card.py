"""Payment card numbers: 12 to 19 digits (ISO/IEC 7812). Luhn is advisory: some Chinese debit cards do not keep it."""

from __future__ import annotations

import re

_SEPARATORS = str.maketrans("", "", " -\u3000\u00a0")
_FORM = re.compile(r"[0-9]{12,19}", re.ASCII)


def canonical(text: str) -> str:
    """`6222 0212 3456 7890` -> `6222021234567890`. ValueError when it is no card number."""
    plain = text.translate(_SEPARATORS)
    if not _FORM.fullmatch(plain):
        raise ValueError("a card is 12 to 19 digits, spaces and hyphens allowed between them")
    return plain


def luhn_ok(canonical_card: str) -> bool:
    """Whether the check digit fits. Advice only: nothing is refused for it."""
    doubled = (int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(canonical_card)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0
