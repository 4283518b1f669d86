"""Unified social credit codes of organizations (GB 32100-2015): 18 characters without I, O, S, V, Z, the last a check character.

The register of the first two characters grew over the years and contains letters, so it is not checked.
"""

from __future__ import annotations

import re

from stdnum.cn.uscc import calc_check_digit

from schemas.signals.indicators.checksums import SEPARATORS, drop_label, label, refusal
from schemas.signals.indicators.fold import fold

_FORM = re.compile(r"[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}", re.ASCII)
_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)
_LABEL = label("(?:统一)?(?:社会)?信用代码", "uscc")
_RULE = "a social credit code must be 18 digits and letters (no I, O, S, V, Z), with a region in digits 3 to 8"


def canonical(text: str) -> str:
    """`91110000 600037341l` -> `91110000600037341L`. ValueError when it is none."""
    if _FORM.fullmatch(text):
        return text
    plain = drop_label(fold(text), _LABEL)
    code = plain.translate(SEPARATORS)
    code = code.upper() if code.isascii() else code
    if not _FORM.fullmatch(code):
        raise refusal(plain, _RULE)
    return code


def advisories(value: str) -> tuple[str, ...]:
    """`uscc_check_failed`: the last character does not match (advice, because codes in use break the rule).
    `organization_code_check_failed`: the check character of the organization code inside (GB 11714) does not match."""
    if value[17] != calc_check_digit(value):
        return ("uscc_check_failed",)
    total = sum(int(letter, 36) * weight for letter, weight in zip(value[8:16], _WEIGHTS, strict=True))
    expected = "0123456789X"[(11 - total % 11) % 11]
    return () if value[16] == expected else ("organization_code_check_failed",)
