"""Merchants by their number at the acquirer, after the acquirer's name if the number alone is ambiguous."""

from __future__ import annotations

import re

from schemas.signals.indicators.checksums import SEPARATORS, drop_label, has_two_numbers, label, refusal
from schemas.signals.indicators.fold import fold

_FORM = re.compile(r"(?:([A-Za-z][A-Za-z0-9_]{1,31}):)?([A-Za-z0-9]{6,32})", re.ASCII)

_PLAIN = re.compile(r"(?:[a-z][a-z0-9_]{1,31}:)?[A-Z0-9]{6,32}", re.ASCII)
_LABEL = label("商户", r"mid(?=[\s:])")
_RULE = "a merchant must be a number of 6 to 32 letters and digits, or acquirer:number"


def canonical(text: str) -> str:
    """`WeChat:1230000109` -> `wechat:1230000109`; `898 1101 4816 0001` -> `898110148160001`. ValueError when it is none."""
    if _PLAIN.fullmatch(text):
        return text
    plain = drop_label(fold(text), _LABEL)
    form = _FORM.fullmatch(plain.translate(SEPARATORS))
    if not form or has_two_numbers(plain):
        raise refusal(plain, _RULE)
    acquirer, number = form.groups()
    return f"{acquirer.lower()}:{number.upper()}" if acquirer else number.upper()
