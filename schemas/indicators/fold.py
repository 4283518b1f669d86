"""The first step of every kind: takes out of a text what a keyboard, a spreadsheet or a chat program put into it.

Full-width letters, digits and marks become plain ones, every dash a hyphen, every blank a space. Characters that nobody sees
(format and control characters, byte order marks, marks of direction, fillers) go. So does the apostrophe that a spreadsheet puts
before digits, and its `="…"`.

Invariant: folding twice is folding once, and plain ASCII without blanks at its ends comes back as it is.
"""

from __future__ import annotations

import re
import unicodedata

_DASHES = "\u02d7\u058a\u05be\u1806\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u2e3a\u2e3b\u30fc\ufe58\ufe63\uff0d\uff70"
_FILLERS = "\u034f\u115f\u1160\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))
_MARKS = {
    **dict.fromkeys(map(ord, _DASHES), "-"),
    **dict.fromkeys(map(ord, _FILLERS), None),
    **dict.fromkeys(map(ord, "\u2018\u2019\u201b\u2032\u02bc\uff07"), "'"),
    **dict.fromkeys(map(ord, "\u3010\u3014\u3016\u3018\u301a"), "["),
    **dict.fromkeys(map(ord, "\u3011\u3015\u3017\u3019\u301b"), "]"),
    **dict.fromkeys(map(ord, "\u3002\uff61\u00b7\u2022"), "."),
    **dict.fromkeys(map(ord, "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"), " "),
}
"""Characters that stand for others, and fillers that stand for nothing, beyond what NFKC knows."""

_QUOTED = re.compile(r'="([^"]*)"')
_ROUNDS = 4


def fold(text: str) -> str:
    """`'６２２２－０２１０\\u200b` -> `6222-0210`: for kinds whose characters are a closed set (numbers, names of things)."""
    plain = text.strip()
    if not (plain.isascii() and plain.isprintable()):
        plain = _fold_all(plain)
    if plain[:1] in ("'", "="):
        plain = _drop_spreadsheet_marks(plain)
    return plain


def drop_invisible(text: str) -> str:
    """The text without what nobody sees, its letters as they are: for kinds whose characters tell things apart (URL, domain).

    Line ends and tabs go (browsers drop them too); a joiner (U+200C, U+200D) stays behind a character that is not ASCII.
    """
    plain = text.strip()
    if not (plain.isascii() and plain.isprintable()):
        plain = "".join(letter for at, letter in enumerate(plain) if _is_visible(plain, at)).strip()
    return _drop_spreadsheet_marks(plain) if plain[:1] in ("'", "=") else plain


def _fold_all(text: str) -> str:
    """Until nothing changes: a character that goes can bring two others together."""
    for _ in range(_ROUNDS):
        plain = unicodedata.normalize("NFKC", text.translate(_MARKS)).translate(_MARKS)
        plain = "".join(letter for letter in map(_ascii_digit, plain) if unicodedata.category(letter) not in ("Cc", "Cf"))
        plain = "".join(" " if letter.isspace() else letter for letter in plain).strip()
        if plain == text:
            break
        text = plain
    return text


def _ascii_digit(letter: str) -> str:
    """The digit of any script as its ASCII one."""
    return letter if letter.isascii() or not letter.isdecimal() else str(unicodedata.decimal(letter))


def _is_visible(text: str, at: int) -> bool:
    letter = text[at]
    if letter in "\u200c\u200d":
        return 0 < at < len(text) - 1 and not text[at - 1].isascii()
    return unicodedata.category(letter) not in ("Cc", "Cf", "Zl", "Zp")


def _drop_spreadsheet_marks(text: str) -> str:
    if quoted := _QUOTED.fullmatch(text):
        return quoted[1].strip()
    return text.lstrip("'").lstrip() if text.startswith("'") else text
