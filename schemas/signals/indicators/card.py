"""Payment card numbers: 12 to 19 digits (ISO/IEC 7812). Luhn is advisory, because some Chinese debit cards do not follow it."""

from __future__ import annotations

import re

from schemas.signals.indicators.checksums import label, luhn_ok, read_number

_FORM = re.compile(r"[0-9]{12,19}", re.ASCII)
_LABEL = label("(?:银行|信用)?卡号", "银行卡", "信用卡", r"card(?:\s*no\.?)?")
_RULE = "a card must be 12 to 19 digits, with optional spaces and hyphens between them"


def canonical(text: str) -> str:
    """`6222 0212 3456 7890` -> `6222021234567890`. ValueError when it is no card number."""
    return read_number(text, _FORM, _FORM, _LABEL, _RULE)


def advisories(value: str) -> tuple[str, ...]:
    """`luhn_failed`: a digit may be mistyped."""
    return () if luhn_ok(value) else ("luhn_failed",)
