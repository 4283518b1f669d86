"""SIM cards by ICCID (ITU-T E.118): 89, then country, operator and number; 19 or 20 places. Chinese operators use letters in some
places, which are kept; a filler F at the end is not part of the number."""

from __future__ import annotations

import re

from schemas.signals.indicators.checksums import SEPARATORS, drop_label, label, luhn_ok, refusal
from schemas.signals.indicators.fold import fold

_FORM = re.compile(r"89[0-9A-F]{17,18}", re.ASCII)
_LABEL = label("iccid", "sim(?:\\s*卡)?")
_RULE = "a SIM must be its ICCID: 89 and 17 or 18 more digits (letters A to F if the operator uses them)"


def canonical(text: str) -> str:
    """`8986 0012 3456 7890 123F` -> `8986001234567890123`. ValueError when it is no ICCID."""
    if _FORM.fullmatch(text) and text[-1] != "F":
        return text
    plain = drop_label(fold(text), _LABEL)
    number = plain.translate(SEPARATORS)
    number = number.upper() if number.isascii() else number
    if len(number) == 20 and number.endswith("F"):
        number = number[:-1]
    if not _FORM.fullmatch(number) or number.endswith("F"):
        raise refusal(plain, _RULE)
    return number


def advisories(value: str) -> tuple[str, ...]:
    """`luhn_failed`: a digit may be mistyped. A number with a letter cannot be checked."""
    return () if not value.isdigit() or luhn_ok(value) else ("luhn_failed",)
