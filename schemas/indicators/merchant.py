"""Merchants by the number that their acquirer gave them, after the acquirer's name where the number alone says too little."""

from __future__ import annotations

import re

from schemas.indicators.plain import SEPARATORS

_FORM = re.compile(r"(?:([A-Za-z][A-Za-z0-9_]{1,31}):)?([A-Za-z0-9]{6,32})", re.ASCII)


def canonical(text: str) -> str:
    """`WeChat:1230000109` -> `wechat:1230000109`; `898 1101 4816 0001` -> `898110148160001`. ValueError when it is none."""
    found = _FORM.fullmatch(text.translate(SEPARATORS))
    if not found:
        raise ValueError("a merchant is a number of 6 to 32 letters and digits, or acquirer:number")
    acquirer, number = found.groups()
    return f"{acquirer.lower()}:{number.upper()}" if acquirer else number.upper()
