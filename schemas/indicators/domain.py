"""Domain names, as their ASCII (A-label) lower-case form; `[.]` and `(.)` of defanged reports are accepted."""

from __future__ import annotations

import re
from functools import lru_cache

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?", re.ASCII)
_SAID = "a domain is a name such as example.com, without path or port"


@lru_cache(maxsize=65536)
def canonical(text: str) -> str:
    """`WWW.例子[.]CN.` -> `www.xn--fsqu00a.cn`. ValueError when it is no domain name."""
    plain = text.strip().replace("[.]", ".").replace("(.)", ".").replace("\u3002", ".").rstrip(".").lower()
    if not plain.isascii():
        try:
            plain = plain.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise ValueError(_SAID) from error
    labels = plain.split(".")
    if len(plain) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(_SAID)
    return plain
