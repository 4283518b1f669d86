"""Unified social credit codes of organizations (GB 32100-2015): 18 characters without I, O, S, V, Z, the last a check character.

The register of the first two characters grew over the years, so it is not checked: letters stand there too.
"""

from __future__ import annotations

import re

from stdnum.cn.uscc import calc_check_digit

from schemas.indicators.plain import SEPARATORS

_FORM = re.compile(r"[0-9A-HJ-NPQRTUWXY]{2}\d{6}[0-9A-HJ-NPQRTUWXY]{10}", re.ASCII)
_WEIGHTS = (3, 7, 9, 10, 5, 8, 4, 2)


def canonical(text: str) -> str:
    """`91110000 600037341l` -> `91110000600037341L`. ValueError when it is none."""
    plain = text.translate(SEPARATORS).upper()
    if not _FORM.fullmatch(plain):
        raise ValueError("a social credit code is 18 digits and letters (no I, O, S, V, Z), digits 3 to 8 a region")
    if plain[17] != calc_check_digit(plain):
        raise ValueError("the last character of a social credit code is a check character; this one does not fit")
    return plain


def advisories(value: str) -> tuple[str, ...]:
    """`organization_code_check_failed`: the organization code inside (GB 11714) has a check character of its own."""
    total = sum(int(letter, 36) * weight for letter, weight in zip(value[8:16], _WEIGHTS, strict=True))
    wanted = "0123456789X"[(11 - total % 11) % 11]
    return () if value[16] == wanted else ("organization_code_check_failed",)
