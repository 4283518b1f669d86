"""Domain names, as their ASCII (A-label) lower-case form (IDNA 2008 over UTS 46); defanged `[.]` and `(.)` are accepted.

`registrable` is the part that somebody registered, by the public suffix list that the library carries: no network is asked.

Invariant: two names that can be registered apart stay two: ß, ς and joiners are letters where IDNA 2008 has them as letters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import idna
from idna.core import check_bidi, valid_contextj
from publicsuffixlist import PublicSuffixList

from schemas.signals.indicators.fold import drop_invisible
from schemas.signals.indicators.lookalike import is_lookalike
from schemas.signals.indicators.memo import remembered
from schemas.signals.indicators.refang import refang_name

LONGEST = 253
_PLAIN = re.compile(r"(?!.{254})(?:(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", re.ASCII)
_LABEL = re.compile(r"[a-z0-9_-]{1,63}", re.ASCII)
_REGISTERED = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_LAST = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?", re.ASCII)
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*", re.ASCII)
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"), "-")
_SAID = "a domain is a name such as example.com, without path or port"


@remembered
def canonical(text: str) -> str:
    """`WWW.例子[.]CN.` -> `www.xn--fsqu00a.cn`. ValueError when it is no domain name."""
    if _PLAIN.fullmatch(text):
        return text
    name = read_name(text)
    if ends_in_number(name):
        raise ValueError(f"{_SAID}; this one ends in a number, as an address does: an address of numbers is of the kind ip")
    return check_name(name)


def read_name(text: str) -> str:
    """The ASCII form of what stands where a host stands, as browsers read it; not yet checked to be a name."""
    plain = refang_name(drop_invisible(text))
    if not plain.isascii():
        plain = _ascii(plain.translate(_DASHES))
    return plain.rstrip(".").lower()


def ends_in_number(name: str) -> bool:
    """Whether browsers read it as an address (or as a fault): its last label is a decimal, octal or hexadecimal number."""
    return _NUMBER.fullmatch(name.rpartition(".")[2]) is not None


def check_name(name: str) -> str:
    """The name itself. ValueError when it can be none."""
    labels = name.split(".")
    if len(name) > LONGEST or len(labels) < 2:
        raise ValueError(f"{_SAID}; {_fault(name)}")
    registered = _LAST.fullmatch(labels[-1]) and _REGISTERED.fullmatch(labels[-2])
    if not registered or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{_SAID}; {_fault(name)}")
    return name


def _fault(name: str) -> str:
    if len(name) > LONGEST:
        return f"a name has at most {LONGEST} characters, this one has {len(name)}"
    if re.search(r"[\s,;、，；|]", name):
        return "this one has a blank or a comma in it: two names are two indicators"
    if "/" in name or "\\" in name:
        return "an address with a path is of the kind url"
    if "@" in name:
        return "this one has an @, as a mail address does: send what stands behind it"
    if ":" in name:
        return "this one has a colon: send it without a port, or as the kind url"
    return "this one has no dot" if "." not in name else "this one has a part that no name has"


def _ascii(name: str) -> str:
    if len(name) > LONGEST:
        raise ValueError(f"{_SAID}; {_fault(name)}")
    try:
        mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
        return ".".join(_encoded(label) for label in mapped.split("."))
    except UnicodeError as error:  # idna's own error is one
        raise ValueError(f"{_SAID}; this one has a character that no name has") from error


def _encoded(label: str) -> str:
    """The A-label of a mapped label. What IDNA 2008 does not know (an emoji) is registered here and there: browsers open it."""
    label = unicodedata.normalize("NFC", "".join(letter for at, letter in enumerate(label) if _is_letter(label, at)))
    if label.isascii():
        return label
    _check_letters(label)
    return f"xn--{label.encode('punycode').decode('ascii')}"


def _is_letter(label: str, at: int) -> bool:
    """False for a joiner that joins nothing here: it came in with a copy, and no registry takes it."""
    if label[at] not in "\u200c\u200d":
        return True
    try:
        return bool(valid_contextj(label, at))
    except ValueError:
        return False


def _check_letters(label: str) -> None:
    if unicodedata.category(label[0])[0] == "M" or label.startswith("xn--"):
        raise ValueError(f"{_SAID}; this one begins with a mark that belongs behind a letter, or with xn-- before letters")
    check_bidi(label)


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


@remembered
def registrable(value: str) -> str | None:
    """`pay.example.com.cn` -> `example.com.cn`; None when no public suffix fits, or the name is one itself."""
    name: str | None = _suffixes().privatesuffix(value)
    return name


def advisories(value: str) -> tuple[str, ...]:
    """`mixed_script`: it looks like another name. `suffix_unknown`: nobody can register a name under this ending."""
    codes = ("mixed_script",) if "xn--" in value and is_lookalike(_readable(value)) else ()
    return codes if registrable(value) else (*codes, "suffix_unknown")


def _readable(value: str) -> str:
    return ".".join(map(_letters, value.split(".")))


def _letters(label: str) -> str:
    """A label in Unicode; as it is when it encodes none (browsers open such a name, too)."""
    try:
        return label[4:].encode("ascii").decode("punycode") if label.startswith("xn--") else label
    except UnicodeError:
        return label
