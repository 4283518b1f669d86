"""IMSI (ITU-T E.212): the subscriber on a SIM, 14 or 15 digits of which the first three are the country (460 and 461 China)."""

from __future__ import annotations

import re

from schemas.signals.indicators.checksums import SEPARATORS, drop_label, label, refusal
from schemas.signals.indicators.fold import fold

_FORM = re.compile(r"[0-79]\d{13,14}", re.ASCII)
_LABEL = label("imsi")
_RULE = "an IMSI must be 14 or 15 digits, of which the first three are a mobile country code"


def canonical(text: str) -> str:
    """`460 00 1234567890` -> `460001234567890`. ValueError when it is no IMSI."""
    if _FORM.fullmatch(text):
        return text
    plain = drop_label(fold(text), _LABEL)
    number = plain.translate(SEPARATORS)
    if not _FORM.fullmatch(number):
        raise refusal(plain, _RULE)
    return number
