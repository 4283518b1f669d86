"""Devices by the identifier of an app or browser: OAID, Android id, IDFA, MAC address, fingerprint.

Hexadecimal ones have one form, whatever their case and separators; others keep every letter, because their case counts.

Invariant: a MAC address is the same in every notation (colons, hyphens, dots, the groups of four of Cisco and Huawei, blanks,
none).
"""

from __future__ import annotations

import re

from schemas.signals.indicators.fold import fold

_PLAIN = re.compile(r"(?:[0-9a-f]{2}){4,64}", re.ASCII)
_HEX = re.compile(r"\{?[0-9A-Fa-f]{2}(?:[-:]?[0-9A-Fa-f]{2}){3,63}\}?", re.ASCII)
_MAC = re.compile(r"[0-9A-Fa-f]{2}([.: -])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}", re.ASCII)
_MAC_LONG = re.compile(r"[0-9A-Fa-f]{4}([.: -])[0-9A-Fa-f]{4}\1[0-9A-Fa-f]{4}|[0-9A-Fa-f]{6}[.: -][0-9A-Fa-f]{6}", re.ASCII)
_MAC_SHORT = re.compile(r"[0-9A-Fa-f]{1,2}(?::[0-9A-Fa-f]{1,2}){5}", re.ASCII)
_OPAQUE = re.compile(r"[A-Za-z0-9._:+/=-]{8,128}", re.ASCII)
_LABEL = re.compile(
    r"(?:mac(?:\s*(?:address|地址))?|oaid|idfa|idfv|gaid|aaid|udid|uuid|urn:uuid|android[ _]?id)\s*[:=]\s*", re.IGNORECASE
)
_MARKS = str.maketrans("", "", "-:{}. ")
_RULE = "a device must be an identifier of 8 to 128 letters, digits and . _ : + / = - without spaces"


def canonical(text: str) -> str:
    """`AA:BB:CC:00:11:22`, `aabb.cc00.1122` -> `aabbcc001122`. ValueError when it is no identifier."""
    if _PLAIN.fullmatch(text):
        return text
    if _HEX.fullmatch(text):
        return text.translate(_MARKS).lower()
    plain = fold(text)
    if name := _LABEL.match(plain):
        plain = plain[name.end() :]
    if _HEX.fullmatch(plain) or _MAC.fullmatch(plain) or _MAC_LONG.fullmatch(plain):
        return plain.translate(_MARKS).lower()
    if _MAC_SHORT.fullmatch(plain):
        return "".join(part.zfill(2) for part in plain.split(":")).lower()
    if not _OPAQUE.fullmatch(plain):
        raise ValueError(f"{_RULE}; {_fault(plain)}")
    return plain


def _fault(plain: str) -> str:
    if re.search(r"\s", plain):
        return "this value contains a space; send two identifiers as two indicators"
    if _OPAQUE.fullmatch(plain.ljust(8, "0")[:8]):
        return f"this value has {len(plain)} characters"
    return "this value contains other characters"
