"""Times as files write them: ISO 8601, a count since 1970, or a strptime format. Pure.

Invariant: no digit is guessed. If nothing separates two numbers, each must have all its digits.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import NamedTuple

_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
    r"|[0-9]{8}T[0-9]{4}([0-9]{2}([.,][0-9]{1,9})?)?(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
)
_EPOCH = re.compile(r"[+-]?[0-9]{1,16}(\.[0-9]{1,9})?")
_DIGITS = re.compile(r"\d+")
_WIDTHS = {"Y": 4, "m": 2, "d": 2, "H": 2, "I": 2, "M": 2, "S": 2, "y": 2, "j": 3, "U": 2, "W": 2, "V": 2, "G": 4, "w": 1, "u": 1}
_FRACTION_WIDTH = 6


class TimeFault(ValueError):
    """The fault of a text that looks like a time of the format."""


class _Run(NamedTuple):
    """Adjacent numbers of a format: the fewest and the most digits that they have together."""

    fewest: int
    most: int
    is_checked: bool


def read_iso(text: str) -> datetime:
    """Reads date and time. A date alone, or a week date, is not a moment."""
    if not _ISO.fullmatch(text):
        raise TimeFault("a date and a time, for example 2026-03-01T08:00:00+08:00")
    return datetime.fromisoformat(text)


def read_epoch(count: Decimal | str, form: str) -> datetime:
    """Reads `epoch_s` or `epoch_ms`: plain digits, or a number of JSON."""
    if isinstance(count, str):
        if not _EPOCH.fullmatch(count):
            raise TimeFault("digits only")
        count = Decimal(count)
    if not count.is_finite() or abs(count) >= Decimal(10) ** 16:  # 9e900000 would take minutes to become an int
        raise TimeFault("out of range")
    milliseconds = int(count * (1000 if form == "epoch_s" else 1))
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)


def read_form(text: str, form: str) -> datetime:
    """Reads a time of a strptime format, which alone would accept one digit in place of two."""
    moment = datetime.strptime(text, form)  # noqa: DTZ007 (the zone follows in the converter)
    runs = _find_runs(form)
    for run, digits in zip(runs, _DIGITS.findall(text), strict=False) if runs else ():
        if run.is_checked and not run.fewest <= len(digits) <= run.most:
            raise TimeFault(f"exactly {run.fewest} digits expected, not {len(digits)}")
    return moment


@cache
def _find_runs(form: str) -> tuple[_Run, ...]:
    """Returns the runs of digits in a format, up to its first part of unknown length; none if none is checked."""
    runs: list[_Run] = []
    fewest, most, parts = 0, 0, 0

    def close() -> None:
        nonlocal fewest, most, parts
        if parts:
            runs.append(_Run(fewest, most, parts > 1))
        fewest, most, parts = 0, 0, 0

    for directive, literal in re.findall(r"%(.)|([^%])", form, flags=re.DOTALL):
        if directive in _WIDTHS or literal.isdecimal():
            width = _WIDTHS.get(directive, 1)
            fewest, most, parts = fewest + width, most + width, parts + 1
        elif directive == "f":
            fewest, most, parts = fewest + 1, most + _FRACTION_WIDTH, parts + 1
        elif directive in ("z", "c", "x", "X"):
            break
        else:
            close()
    close()
    return tuple(runs) if any(run.is_checked for run in runs) else ()
