"""IMSI (ITU-T E.212): the subscriber on a SIM, 14 or 15 digits, the first three the country (460 and 461 China)."""

from __future__ import annotations

import re

from schemas.indicators.plain import SEPARATORS

_FORM = re.compile(r"[0-79]\d{13,14}", re.ASCII)


def canonical(text: str) -> str:
    """`460 00 1234567890` -> `460001234567890`. ValueError when it is no IMSI."""
    plain = text.translate(SEPARATORS)
    if not _FORM.fullmatch(plain):
        raise ValueError("an IMSI is 14 or 15 digits, the first three a mobile country code")
    return plain
