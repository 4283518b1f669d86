"""Phone numbers in E.164. A number without a country code is read as a Chinese one (GB 35 numbering plan)."""

from __future__ import annotations

import re

_SEPARATORS = str.maketrans("", "", " -()\u3000\u00a0.")
_MOBILE = re.compile(r"1[3-9]\d{9}", re.ASCII)
_LANDLINE = re.compile(r"0(\d{9,11})", re.ASCII)
_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)


def canonical(text: str) -> str:
    """`138 0000 1234`, `0086 138…`, `+86138…` -> `+8613800001234`. ValueError when it is no phone number."""
    plain = text.translate(_SEPARATORS)
    if plain.startswith("00"):
        plain = "+" + plain[2:]
    elif _MOBILE.fullmatch(plain):
        plain = "+86" + plain
    elif landline := _LANDLINE.fullmatch(plain):
        plain = "+86" + landline[1]
    if not _E164.fullmatch(plain):
        raise ValueError("a phone is E.164 (+8613800001234), a Chinese mobile (13800001234) or 0 with area code")
    return plain
