"""IMEI (3GPP TS 23.003): a handset. 14 digits identify it. The 15th is a check digit, often sent as 0 by networks; IMEISV has two
digits of software version instead. The canonical form has the check digit."""

from __future__ import annotations

import re

from schemas.signals.indicators.checksums import SEPARATORS, drop_label, has_decimals, label, luhn_digit, refusal
from schemas.signals.indicators.fold import fold

_FORM = re.compile(r"\d{14,16}", re.ASCII)
_MARKS = str.maketrans("", "", "/.")
_LABEL = label(r"imei(?:sv|\s?[12])?(?=\W|\d{14})", "手机串号", "串号")
_RULE = "an IMEI must be 14 digits, 15 with the check digit, or 16 with the software version"


def canonical(text: str) -> str:
    """`49-015420-323751-8`, `49015420323751`, `4901542032375101` -> `490154203237518`. ValueError when it is no IMEI."""
    number = text
    if not _FORM.fullmatch(text):
        plain = drop_label(fold(text), _LABEL)
        number = plain.translate(SEPARATORS).translate(_MARKS)
        if not _FORM.fullmatch(number) or has_decimals(plain):
            raise refusal(plain, _RULE)
    complete = number[:14] + luhn_digit(number[:14])
    if len(number) == 15 and number[14] not in ("0", complete[14]):
        raise ValueError("the 15th digit of an IMEI must be its check digit, or 0 if unknown; this one does not match")
    return complete
