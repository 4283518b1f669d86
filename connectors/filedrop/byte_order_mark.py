"""The byte order mark of a file: removed if it matches the encoding, a MappingError if it contradicts it.

Invariant: a file is never decoded in an encoding that its own first bytes contradict.
"""

from __future__ import annotations

import codecs

from connectors.filedrop.mapping import MappingError

LONGEST_MARK_BYTES = 4
_GB18030_MARK = b"\x84\x31\x95\x33"
# The longer ones first: the mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32", None),
    (codecs.BOM_UTF32_BE, "UTF-32", None),
    (codecs.BOM_UTF8, "UTF-8", "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "UTF-16", None),
    (codecs.BOM_UTF16_BE, "UTF-16", None),
    (_GB18030_MARK, "GB 18030", "gb18030"),
)
_OWN = {"utf-8": codecs.BOM_UTF8, "utf-8-sig": codecs.BOM_UTF8, "gb18030": _GB18030_MARK}


def own_mark(encoding: str) -> bytes:
    """Returns the mark that files of an encoding may begin with; empty if there is none."""
    return _OWN.get(encoding, b"")


def check_mark(head: bytes, encoding: str, file: str) -> None:
    """MappingError if the file begins with the mark of another encoding than the mapping's."""
    for mark, name, right in _MARKS:
        if not head.startswith(mark):
            continue
        if mark == own_mark(encoding):
            return
        remedy = f"set `encoding: {right}`" if right else "save the file as UTF-8 and set `encoding: utf-8-sig`"
        raise MappingError(f"{file}: the file has the byte order mark of {name}, but the mapping sets {encoding}; {remedy}")
