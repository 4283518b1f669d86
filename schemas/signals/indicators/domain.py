"""Domain names in ASCII (A-label) lower case (IDNA 2008 over UTS 46). Defanged `[.]` and `(.)` are accepted.

`registrable` is the part that somebody registered, by the public suffix list of the library; it asks no network.

Invariant: two names that can be registered separately stay two: ß, ς and joiners are letters where IDNA 2008 treats them as
letters.
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
_SAID = "a domain must be a name such as example.com, without path or port"


@remembered
def canonical(text: str) -> str:
    """`WWW.例子[.]CN.` -> `www.xn--fsqu00a.cn`. ValueError when it is no domain name."""
    if _PLAIN.fullmatch(text):
        return text
    name = read_name(text)
    if ends_in_number(name):
        raise ValueError(f"{_SAID}; this value ends in a number like an IP address, which has the kind ip")
    return check_name(name)


def read_name(text: str) -> str:
    """Returns the ASCII form of a host as browsers read it, not yet checked to be a name."""
    plain = refang_name(drop_invisible(text))
    if not plain.isascii():
        plain = _ascii(plain.translate(_DASHES))
    return plain.rstrip(".").lower()


def ends_in_number(name: str) -> bool:
    """Whether browsers read it as an address or an error: its last label is a decimal, octal or hexadecimal number."""
    return _NUMBER.fullmatch(name.rpartition(".")[2]) is not None


def check_name(name: str) -> str:
    """Returns the name itself. ValueError if it is not valid."""
    labels = name.split(".")
    if len(name) > LONGEST or len(labels) < 2:
        raise ValueError(f"{_SAID}; {_fault(name)}")
    registered = _LAST.fullmatch(labels[-1]) and _REGISTERED.fullmatch(labels[-2])
    if not registered or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError(f"{_SAID}; {_fault(name)}")
    return name


def _fault(name: str) -> str:
    if len(name) > LONGEST:
        return f"a name may have at most {LONGEST} characters; this one has {len(name)}"
    if re.search(r"[\s,;、，；|]", name):
        return "this value contains a blank or a comma; send two names as two indicators"
    if "/" in name or "\\" in name:
        return "this value has a path; send it as the kind url"
    if "@" in name:
        return "this value contains an @ like a mail address; send the part after it"
    if ":" in name:
        return "this value contains a colon; send it without a port, or as the kind url"
    return "this value has no dot" if "." not in name else "this value has a part that is not valid in a name"


def _ascii(name: str) -> str:
    if len(name) > LONGEST:
        raise ValueError(f"{_SAID}; {_fault(name)}")
    try:
        mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
        return ".".join(_encoded(label) for label in mapped.split("."))
    except UnicodeError as error:  # idna's own error is one
        raise ValueError(f"{_SAID}; this value has a character that is not valid in a name") from error


def _encoded(label: str) -> str:
    """The A-label of a mapped label. Some registries accept characters unknown to IDNA 2008 (an emoji), as browsers do."""
    label = unicodedata.normalize("NFC", "".join(letter for at, letter in enumerate(label) if _is_letter(label, at)))
    if label.isascii():
        return label
    _check_letters(label)
    return f"xn--{label.encode('punycode').decode('ascii')}"


def _is_letter(label: str, at: int) -> bool:
    """False for a joiner without effect here: it was copied in, and no registry accepts it."""
    if label[at] not in "\u200c\u200d":
        return True
    try:
        return bool(valid_contextj(label, at))
    except ValueError:
        return False


def _check_letters(label: str) -> None:
    if unicodedata.category(label[0])[0] == "M" or label.startswith("xn--"):
        raise ValueError(f"{_SAID}; this value begins with a combining mark, or with xn-- before letters")
    check_bidi(label)


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList(accept_unknown=False)


@remembered
def registrable(value: str) -> str | None:
    """Returns `example.com.cn` for `pay.example.com.cn`; None if no public suffix matches, or the name is one itself."""
    name: str | None = _suffixes().privatesuffix(value)
    return name


def advisories(value: str) -> tuple[str, ...]:
    """`mixed_script`: it looks like another name. `suffix_unknown`: nobody can register a name under this suffix."""
    codes = ("mixed_script",) if "xn--" in value and is_lookalike(_readable(value)) else ()
    return codes if registrable(value) else (*codes, "suffix_unknown")


def _readable(value: str) -> str:
    return ".".join(map(_letters, value.split(".")))


def _letters(label: str) -> str:
    """A label in Unicode; unchanged if it encodes none (browsers open such a name, too)."""
    try:
        return label[4:].encode("ascii").decode("punycode") if label.startswith("xn--") else label
    except UnicodeError:
        return label
