"""Domain names, as their ASCII (A-label) lower-case form (IDNA 2008 over UTS 46); defanged `[.]` and `(.)` are accepted.

`registrable` is the part that somebody registered, by the public suffix list that the library carries: no network is asked.
"""

from __future__ import annotations

import re
from functools import cache

import idna
from publicsuffixlist import PublicSuffixList

from schemas.indicators.remembered import remembered

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?", re.ASCII)
_SAID = "a domain is a name such as example.com, without path or port"


@remembered
def canonical(text: str) -> str:
    """`WWW.例子[.]CN.` -> `www.xn--fsqu00a.cn`. ValueError when it is no domain name."""
    plain = text.strip().replace("[.]", ".").replace("(.)", ".").replace("\u3002", ".").rstrip(".").lower()
    if not plain.isascii():
        plain = _ascii(plain)
    labels = plain.split(".")
    if len(plain) > 253 or len(labels) < 2 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(_SAID)
    if labels[-1].isdigit():
        raise ValueError(f"{_SAID}; an address of numbers is of the kind ip")
    return plain


def _ascii(name: str) -> str:
    if len(name) > 253:
        raise ValueError(_SAID)
    try:
        return idna.encode(name, uts46=True).decode("ascii").rstrip(".").lower()
    except UnicodeError:  # idna's own error is one: what IDNA 2008 refuses (an emoji, an underscore) is registered here and there
        try:
            return name.encode("idna").decode("ascii").rstrip(".").lower()
        except UnicodeError as error:
            raise ValueError(_SAID) from error


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


@remembered
def registrable(value: str) -> str | None:
    """`pay.example.com.cn` -> `example.com.cn`; None when no public suffix fits, or the name is one itself."""
    found: str | None = _suffixes().privatesuffix(value)
    return found


def advisories(value: str) -> tuple[str, ...]:
    """`suffix_unknown`: nobody can register a name under this ending, so it resolves nowhere in public."""
    return () if registrable(value) else ("suffix_unknown",)
