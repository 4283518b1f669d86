"""What people put between the digits of a number, and the check digits that several kinds share."""

from __future__ import annotations

SEPARATORS = str.maketrans("", "", " -\u3000\u00a0")
"""Spaces, hyphens, the ideographic and the no-break space: removed."""


def luhn_ok(digits: str) -> bool:
    """Whether the last digit is the check digit of ISO/IEC 7812-1 (modulus 10, double-add-double)."""
    doubled = (int(digit) * (1 + index % 2) for index, digit in enumerate(reversed(digits)))
    return sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def luhn_digit(digits: str) -> str:
    """The check digit that belongs behind `digits`."""
    return next(digit for digit in "0123456789" if luhn_ok(digits + digit))
