"""Bank account numbers: 6 to 34 letters and digits (IBAN's bound), optionally written with spaces and hyphens."""

from __future__ import annotations

import re

from schemas.signals.indicators.checksums import label, read_number

_FORM = re.compile(r"(?!IBAN[A-Z]{2}[0-9]{2})[0-9A-Z]{6,34}", re.ASCII)
_SPELLING = re.compile(r"[0-9A-Za-z]{6,34}", re.ASCII)
_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[0-9A-Z]{11,30}", re.ASCII)
_LABEL = label(r"iban(?=[\s:]*[A-Z]{2}[\s-]*\d)", r"a/c(?:\s*no\.?)?", "(?:银行)?[账帐卡][号户](?:号码)?", "银行卡")
_RULE = "an account must be 6 to 34 letters and digits, with optional spaces and hyphens between them"


def canonical(text: str) -> str:
    """`6222 0210-0101 234` -> `622202100101234`. ValueError when it is no account number."""
    return read_number(text, _FORM, _SPELLING, _LABEL, _RULE).upper()


def advisories(value: str) -> tuple[str, ...]:
    """`iban_check_failed`: it looks like an IBAN, but its check digits (ISO 7064 mod 97-10) do not match."""
    if not _IBAN.fullmatch(value):
        return ()
    number = int("".join(str(int(letter, 36)) for letter in value[4:] + value[:4]))
    return () if number % 97 == 1 else ("iban_check_failed",)
