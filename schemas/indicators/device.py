"""Devices by the identifier that an app or a browser gives them: OAID, Android id, IDFA, MAC address, fingerprint.

Hexadecimal ones have one form whatever their case and marks; others are kept letter by letter, for their case is part of them.
"""

from __future__ import annotations

import re

_HEX = re.compile(r"\{?[0-9A-Fa-f]{2}(?:[-:]?[0-9A-Fa-f]{2}){3,63}\}?", re.ASCII)
_OPAQUE = re.compile(r"[A-Za-z0-9._:+/=-]{8,128}", re.ASCII)
_MARKS = str.maketrans("", "", "-:{}")


def canonical(text: str) -> str:
    """`AA:BB:CC:00:11:22` -> `aabbcc001122`. ValueError when it is no identifier."""
    plain = text.strip()
    if _HEX.fullmatch(plain):
        return plain.translate(_MARKS).lower()
    if not _OPAQUE.fullmatch(plain):
        raise ValueError("a device is an identifier of 8 to 128 letters, digits and . _ : + / = - without spaces")
    return plain
