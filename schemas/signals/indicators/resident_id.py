"""Resident identity numbers (GB 11643-1999): 18 characters, or the 15 digits from before 1999, which get the century and the
check digit. Province, date and check digit must match. The county is advisory, because codes changed for decades. The permit of a
foreign permanent resident (since 2023) has the same form and begins with 9."""

from __future__ import annotations

import re
from datetime import date

from stdnum import numdb
from stdnum.cn.ric import calc_check_digit

from schemas.signals.indicators.checksums import SEPARATORS, drop_label, label, refusal
from schemas.signals.indicators.fold import fold

_FORM = re.compile(r"\d{15}|\d{17}[0-9X]", re.ASCII)
_PROVINCE = re.compile(r"1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|9\d", re.ASCII)

_LABEL = label("(?:居民)?身份证", "证件", "id")
_RULE = "a resident ID must be 17 digits and a digit or X, or the older 15 digits"


def canonical(text: str) -> str:
    """`110105491231002` -> `11010519491231002X`. ValueError names the invalid part."""
    plain = text
    if not _FORM.fullmatch(text):
        folded = drop_label(fold(text), _LABEL)
        plain = folded.translate(SEPARATORS)
        plain = plain.upper() if plain.isascii() else plain
        if not _FORM.fullmatch(plain):
            raise refusal(folded, _RULE)
    if len(plain) == 15:
        plain = plain[:6] + "19" + plain[6:]
        plain += calc_check_digit(plain + "0")
    if not _PROVINCE.match(plain):
        raise ValueError("the first two digits of a resident ID must be the code of a province")
    try:
        born = date(int(plain[6:10]), int(plain[10:12]), int(plain[12:14]))
    except ValueError as error:
        raise ValueError("the digits 7 to 14 of a resident ID must be a date") from error
    if not 1850 <= born.year < 2100:
        raise ValueError("the date in a resident ID must be between 1850 and 2099")
    if plain[17] != calc_check_digit(plain):
        raise ValueError("the check digit of this resident ID does not match")
    return plain


def advisories(value: str) -> tuple[str, ...]:
    """`county_unknown`: no county ever had these six digits."""
    if value[0] == "9":
        return ()
    parts = numdb.get("cn/loc").info(value[:6])
    return () if any("county" in properties for _, properties in parts) else ("county_unknown",)
