"""Names that look like others: letters of several alphabets in one name, or all of them drawn like Latin letters.

Invariant: the result is advice. A name of one alphabet, and Chinese, Japanese or Korean with Latin, are normal.
"""

from __future__ import annotations

import unicodedata

_EAST_ASIAN = ("CJK", "IDEOGRAPHIC", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO")
_DRAWN_LIKE_LATIN = frozenset("аеорсухіјѕһԛԝӏԁҽѵ" + "ονρυια" + "օսոհ")
"""Small letters of Cyrillic, Greek and Armenian that are drawn like a Latin one."""


def is_lookalike(name: str) -> bool:
    """Whether one label of a name (in Unicode, not `xn--`) mixes alphabets or passes as Latin: `аррӏе.com`, `pаypal.com`.

    Under a suffix of its own alphabet (`.рф`) a name is read as it is.
    """
    labels = name.split(".")
    can_pass = len(labels) == 1 or labels[-1].isascii()
    return not name.isascii() and any(_is_lookalike_label(label, can_pass) for label in labels)


def _is_lookalike_label(label: str, can_pass: bool) -> bool:
    if label.isascii():
        return False
    letters = [letter for letter in label.lower() if letter.isalpha()]
    scripts = {_script(letter) for letter in letters}
    if len(scripts) > 1:
        return bool(scripts - {"LATIN", "EAST ASIAN"})
    return can_pass and bool(letters) and all(letter in _DRAWN_LIKE_LATIN for letter in letters)


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "OTHER")
    if name.startswith(_EAST_ASIAN):
        return "EAST ASIAN"
    return name.partition(" ")[0]
