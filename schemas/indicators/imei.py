"""IMEI (3GPP TS 23.003): a handset. 14 digits name it; the 15th is a check digit that networks often send as 0, and IMEISV has
two digits of software version in its place. Canonical is the form with its check digit.
"""

from __future__ import annotations

import re

from schemas.indicators.plain import SEPARATORS, luhn_digit

_FORM = re.compile(r"\d{14,16}", re.ASCII)
_MARKS = str.maketrans("", "", "/.")


def canonical(text: str) -> str:
    """`49-015420-323751-8`, `49015420323751`, `4901542032375101` -> `490154203237518`. ValueError when it is no IMEI."""
    plain = text.translate(SEPARATORS).translate(_MARKS)
    if not _FORM.fullmatch(plain):
        raise ValueError("an IMEI is 14 digits, 15 with its check digit, 16 with its software version")
    whole = plain[:14] + luhn_digit(plain[:14])
    if len(plain) == 15 and plain[14] not in ("0", whole[14]):
        raise ValueError("the 15th digit of an IMEI is a check digit (or 0, not known); this one does not fit")
    return whole
