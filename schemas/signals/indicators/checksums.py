"""Separators between the digits of a number, check digits shared by several kinds, and the wording of refusals.

Invariant: two numbers in one text never become one, and a refusal counts characters but never repeats them.
"""

from __future__ import annotations

import re

from schemas.signals.indicators.fold import fold

SEPARATORS = str.maketrans("", "", " -")
"""Spaces and hyphens are removed; the fold turns similar characters into these."""

_RUN = re.compile(r"[0-9A-Za-z]{11,}", re.ASCII)
_MOBILE = re.compile(r"(?:86)?1[3-9]\d{9}", re.ASCII)
_BETWEEN = re.compile(r"[ ,;/|、和及或&]+")
_SHORTEST_RUN = 12
_SHORTEST_HALF = 12
SHORTEST_TWO = 23
"""Length of the shortest text with two numbers: two mobiles and a separator."""
SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?[eE]\+?\d{1,3}", re.ASCII)
_DECIMAL = re.compile(r"[^.]*\d\.(?:0+|\d)", re.ASCII)
_EVEN = tuple(int(digit) for digit in "0246813579")


def luhn_ok(digits: str) -> bool:
    """Whether the last digit is the check digit of ISO/IEC 7812-1 (modulus 10, double-add-double)."""
    return (sum(map(int, digits[-1::-2])) + sum([_EVEN[int(digit)] for digit in digits[-2::-2]])) % 10 == 0


def luhn_digit(digits: str) -> str:
    """Returns the check digit for `digits`."""
    return str(-(sum(map(int, digits[-2::-2])) + sum([_EVEN[int(digit)] for digit in digits[-1::-2]])) % 10)


def label(*words: str) -> re.Pattern[str]:
    """Matches names that people write before a number of this kind: `IBAN GB29…`, `卡号：6222…`."""
    return re.compile(rf"(?:{'|'.join(words)})\s*(?:号码?|码)?\s*[:#=]?\s*", re.IGNORECASE)


def drop_label(plain: str, names: re.Pattern[str]) -> str:
    """Returns a folded text without the name before its number."""
    if plain[:1].isdigit():
        return plain
    name = names.match(plain)
    return plain[name.end() :] if name else plain


def has_two_numbers(plain: str) -> bool:
    """Whether a folded text contains two numbers: two runs of 12, two mobiles with a separator, or two halves grouped alike."""
    if len(plain) < SHORTEST_TWO or (plain.isascii() and plain.isalnum()):
        return False
    runs = [run for run in _RUN.findall(plain) if len(run) >= _SHORTEST_RUN or _MOBILE.fullmatch(run)]
    if len(runs) >= 2 or len([part for part in _BETWEEN.split(plain) if _is_whole(part)]) >= 2:
        return True
    digits = plain.translate(SEPARATORS)
    half = len(digits) // 2
    if not digits.isdigit() or len(digits) % 2 or half < _SHORTEST_HALF or not _has_gap_at(plain, half):
        return False
    return digits[:4] == digits[half : half + 4] or (luhn_ok(digits[:half]) and luhn_ok(digits[half:]))


def _is_whole(part: str) -> bool:
    digits = part.translate(SEPARATORS).lstrip("+")
    return digits.isdigit() and (len(digits) >= _SHORTEST_RUN or _MOBILE.fullmatch(digits) is not None)


def _has_gap_at(plain: str, half: int) -> bool:
    digits = 0
    for at, letter in enumerate(plain):
        digits += letter.isdigit()
        if digits == half:
            return plain[at + 1 : at + 2] in ("-", " ")
    return False


def has_decimals(plain: str) -> bool:
    """Whether a spreadsheet treated the number as a quantity: `95588.0`. A last group after the only dot is not a separator."""
    return plain.endswith(".0") or _DECIMAL.fullmatch(plain) is not None


def is_masked(plain: str) -> bool:
    """Whether digits were masked: `138****1234`."""
    return any(mark in plain for mark in "*•●")


def refusal(plain: str, rule: str) -> ValueError:
    """Returns the error for a folded text that is not a number of its kind: `rule` gives the valid form, this adds the fault."""
    return ValueError(f"{rule}; {_fault(plain)}")


def _fault(plain: str) -> str:
    if not plain:
        return "the value is blank"
    if is_masked(plain):
        return "a masked number cannot be matched; send all of its digits"
    if SCIENTIFIC.fullmatch(plain):
        return "a spreadsheet rounded this number (its form is 1.23E+14); send it as text with all of its digits"
    if has_decimals(plain):
        return "this number has decimals, as a spreadsheet writes a quantity; send it as text without them"
    if has_two_numbers(plain):
        return "the value contains two numbers; send each as a separate indicator"
    if any(letter not in " -" and not (letter.isascii() and letter.isalnum()) for letter in plain):
        return "this value contains other characters"
    letters = sum(letter.isalpha() for letter in plain)
    count = len(plain.translate(SEPARATORS))
    return f"this value has {count} characters, {letters} of them letters" if letters else f"this value has {count} digits"


def read_number(text: str, form: re.Pattern[str], spelling: re.Pattern[str], names: re.Pattern[str], rule: str) -> str:
    """Returns the number in a text without separators, label and noise. `form` matches nearly all texts, `spelling` a folded one.
    ValueError gives `rule` and the fault."""
    if form.fullmatch(text):
        return text
    number = text.translate(SEPARATORS)
    if len(text) < SHORTEST_TWO and form.fullmatch(number):
        return number
    plain = drop_label(fold(text), names)
    number = plain.translate(SEPARATORS)
    if not spelling.fullmatch(number) or has_two_numbers(plain):
        raise refusal(plain, rule)
    return number
