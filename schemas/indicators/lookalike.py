"""Names that look like others: letters of several alphabets in one name, or all of them drawn like Latin ones.

Invariant: it is advice. A name of one alphabet, and Chinese, Japanese or Korean beside Latin, are as people write.
"""

from __future__ import annotations

import unicodedata

_EAST_ASIAN = ("CJK", "HIRAGANA", "KATAKANA", "HANGUL", "BOPOMOFO")
_DRAWN_LIKE_LATIN = frozenset("аеорсухіјѕһԛԝӏԁԍҽԃѵѡкпгтмвнзбь" + "ονρτυικαηωχγε" + "օսոհցզվյքգռ")
"""Small letters of Cyrillic, Greek and Armenian that are drawn like a Latin one or like a digit."""


def is_lookalike(name: str) -> bool:
    """Whether one label of a name (in Unicode, not `xn--`) mixes alphabets or passes as Latin: `аррӏе`, `pаypal`."""
    return not name.isascii() and any(_is_lookalike_label(label) for label in name.split("."))


def _is_lookalike_label(label: str) -> bool:
    if label.isascii():
        return False
    letters = [letter for letter in label.lower() if letter.isalpha()]
    scripts = {_script(letter) for letter in letters}
    if len(scripts) > 1:
        return bool(scripts - {"LATIN", "EAST ASIAN"})
    return bool(letters) and all(letter in _DRAWN_LIKE_LATIN for letter in letters)


def _script(letter: str) -> str:
    name = unicodedata.name(letter, "OTHER")
    if name.startswith(_EAST_ASIAN):
        return "EAST ASIAN"
    return name.partition(" ")[0]
