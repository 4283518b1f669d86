"""The first step of every kind: removes artefacts of keyboards, spreadsheets and chat programs from a text.

Full-width letters, digits and signs become plain ones, every dash a hyphen, every blank a space. Invisible characters (format and
control characters, byte order marks, direction marks, fillers) are removed, as are the apostrophe of a spreadsheet before digits
and its `="…"`.

Invariant: folding is idempotent, and plain ASCII without outer blanks is unchanged.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

_DASHES = "\u02d7\u058a\u05be\u1806\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u2e3a\u2e3b\u30fc\ufe58\ufe63\uff0d\uff70"
_FILLERS = "\u034f\u115f\u1160\u2800\u3164\uffa0" + "".join(map(chr, range(0xFE00, 0xFE10)))
_MARKS = {
    **dict.fromkeys(map(ord, _DASHES), "-"),
    **dict.fromkeys(map(ord, _FILLERS), None),
    **dict.fromkeys(map(ord, "\u2018\u2019\u201b\u2032\u02bc\uff07"), "'"),
    **dict.fromkeys(map(ord, "\u3010\u3014\u3016\u3018\u301a"), "["),
    **dict.fromkeys(map(ord, "\u3011\u3015\u3017\u3019\u301b"), "]"),
    **dict.fromkeys(map(ord, "\u3002\uff61\u00b7"), "."),
    **dict.fromkeys(map(ord, "\t\n\v\f\r\x1c\x1d\x1e\x1f\x85\u2028\u2029"), " "),
}
"""Characters that stand for others, and fillers without a meaning, in addition to those of NFKC."""

_QUOTED = re.compile(r'="([^"]*)"')
_LOOSE_JOINER = re.compile(r"(?<![^\x00-\x7f])[\u200c\u200d]+|[\u200c\u200d]+\Z")
_ROUNDS = 4
_REMEMBERED = 4096
_JOINERS = "\u200c\u200d"


class _Table(dict[int, str | None]):
    """The table of `str.translate`, computed when a character first occurs, and remembered up to a limit."""

    def __init__(self, make: Callable[[str], str | None]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, code: int) -> str | None:
        made = self._make(chr(code))
        if len(self) < _REMEMBERED:
            self[code] = made
        return made


def fold(text: str) -> str:
    r"""`'６２２２－０２１０\u200b` -> `6222-0210`: for kinds with a closed set of characters (numbers, names of things)."""
    plain = text.strip()
    if not (plain.isascii() and plain.isprintable()):
        plain = _fold_all(plain)
    if plain[:1] in ("'", "="):
        plain = _drop_spreadsheet_marks(plain)
    return plain


def drop_invisible(text: str) -> str:
    """Removes invisible characters and keeps the letters: for kinds whose characters matter (URL, domain).

    Line ends and tabs are removed, as browsers do. A joiner (U+200C, U+200D) stays after a character that is not ASCII.
    """
    plain = text.strip()
    if not (plain.isascii() and plain.isprintable()):
        plain = _LOOSE_JOINER.sub("", plain.translate(_VISIBLE)).strip()
    return _drop_spreadsheet_marks(plain) if plain[:1] in ("'", "=") else plain


def _fold_all(text: str) -> str:
    """Repeats until nothing changes: a removed character can bring two others together."""
    for _ in range(_ROUNDS):
        plain = unicodedata.normalize("NFKC", text.translate(_MARKS)).translate(_PLAIN).strip()
        if plain == text:
            break
        text = plain
    return text


def _plain(letter: str) -> str | None:
    """One character of normal form NFKC: a digit of any script becomes ASCII, a blank a space."""
    if (code := ord(letter)) in _MARKS:
        return _MARKS[code]
    if letter.isspace():
        return " "
    if unicodedata.category(letter) in ("Cc", "Cf"):
        return None
    return letter if letter.isascii() or not letter.isdecimal() else str(unicodedata.decimal(letter))


def _visible(letter: str) -> str | None:
    return letter if letter in _JOINERS or unicodedata.category(letter) not in ("Cc", "Cf", "Zl", "Zp") else None


_PLAIN, _VISIBLE = _Table(_plain), _Table(_visible)


def _drop_spreadsheet_marks(text: str) -> str:
    plain = text
    while plain[:1] in ("'", "="):
        quoted = _QUOTED.fullmatch(plain)
        if quoted is None and plain[0] == "=":
            break
        plain = quoted[1].strip() if quoted else plain.lstrip("' ")
    return plain
