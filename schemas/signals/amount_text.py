"""Reads an amount of money exactly as people write it: `12,000.50`, `1 000`, `￥12000`, `１２０００`.

Invariant: a sign between digits must separate groups of three (or four), and the first group must not begin with zero. Nothing is
dropped or guessed.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import cache

MOST_DIGITS = 40
_FULL_WIDTH = str.maketrans({chr(code): chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)})
# Spaces that stand between groups are one sign; apostrophes are another.
_SPACES = str.maketrans({"\u00a0": " ", "\u3000": " ", "\u202f": " ", "\u2009": " ", "\u2019": "'"})


def read_amount(text: str, decimal_sign: str = ".") -> Decimal | None:
    """Returns the number; None if the text is not an amount. `decimal_sign` is `.` or `,`; the other sign separates groups."""
    plain = text if text.isascii() else text.translate(_FULL_WIDTH).translate(_SPACES)
    plain = plain.strip().removeprefix("'")
    plain = plain.removeprefix("¥").removeprefix("\uffe5").strip()
    match = _pattern(decimal_sign).fullmatch(plain)
    if match is None or len(plain) > MOST_DIGITS:
        return None
    sign, grouped, ungrouped, fraction, exponent = match.groups()
    digits = re.sub(r"\D", "", grouped, flags=re.ASCII) if grouped is not None else ungrouped
    if not digits and not fraction:
        return None
    return Decimal(f"{sign}{digits or '0'}{'.' + fraction if fraction else ''}{exponent or ''}")


@cache
def _pattern(decimal_sign: str) -> re.Pattern[str]:
    point = re.escape(decimal_sign)
    group = "," if decimal_sign == "." else "."
    # Spaces separate no groups of four: `6000 6000` is two amounts.
    groupings = ((group, 3), (group, 4), (" ", 3), ("'", 3))
    grouped = "|".join(rf"[1-9][0-9]{{0,{size - 1}}}(?:{re.escape(sign)}[0-9]{{{size}}})+" for sign, size in groupings)
    return re.compile(rf"([+-]?)(?:({grouped})|([0-9]*))(?:{point}([0-9]*))?([eE][+-]?[0-9]{{1,3}})?")
