"""Phone numbers in E.164. A number without a country code is a Chinese one; China's service numbers (95588, 12381, 1069…) are
kept as they are dialled, for E.164 has no room for them (1069… has up to 20 digits) and +86106… is a line in Beijing.
"""

from __future__ import annotations

import re

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from schemas.indicators.remembered import remembered

_SEPARATORS = str.maketrans("", "", " -()\u3000\u00a0.")
_MOBILE = re.compile(r"(?:\+86|0086|86)?(1[3-9]\d{9})", re.ASCII)
_SERVICE = re.compile(r"(?:\+86|0086)?(1\d{2,4}|9[56]\d{3,6})|(106\d{5,17})", re.ASCII)
_FOREIGN = re.compile(r"\+\d{7,18}", re.ASCII)
_LANDLINE = re.compile(r"0\d{9,11}", re.ASCII)
_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_ZEROES = 6
_SAID = "a phone is E.164 (+8613800001234), a Chinese mobile (13800001234), 0 with area code, or a service number (95588)"


def canonical(text: str) -> str:
    """`138 0000 1234`, `0086 138…`, `+86138…` -> `+8613800001234`; `95588` stays. ValueError when it is no phone number."""
    plain = text.translate(_SEPARATORS)
    if mobile := _MOBILE.fullmatch(plain):
        return "+86" + mobile[1]
    return _other(plain)


@remembered
def _other(plain: str) -> str:
    if service := _SERVICE.fullmatch(plain):
        return service[1] or service[2]
    if plain.startswith("00"):
        plain = "+" + plain[2:]
    if not (_FOREIGN.fullmatch(plain) or _LANDLINE.fullmatch(plain)):
        raise ValueError(_SAID)
    for _ in range(_ZEROES):
        found = _parsed(plain)
        if found == plain:
            return found
        plain = found  # of several national zeroes each reading takes one off
    raise ValueError(_SAID)


def _parsed(plain: str) -> str:
    try:
        found = phonenumbers.format_number(phonenumbers.parse(plain, "CN"), PhoneNumberFormat.E164)
    except NumberParseException as error:
        raise ValueError(f"{_SAID}; no country has this code, or the number is too short or too long") from error
    if not _E164.fullmatch(found):
        raise ValueError(_SAID)
    return found


@remembered
def advisories(value: str) -> tuple[str, ...]:
    """`number_not_assigned`: the numbering plan of its country has no such number."""
    if _MOBILE.fullmatch(value) or not value.startswith("+"):
        return ()
    return () if phonenumbers.is_valid_number(phonenumbers.parse(value)) else ("number_not_assigned",)
