"""Web addresses, read as browsers read them (WHATWG URL) and compared according to RFC 3986 6.2.2.

The one reader of addresses, for indicators, events, tips and searches. A backslash is a slash, a user name is not a host, numbers
are an address, `%7E` is `~`, `/a/../b` is `/b`. The fragment, the default port and the dot after the host are removed; `hxxp` and
`[.]` are accepted. Two slashes in a path stay two, because to a server they can be another page.

Invariant: the host is the one that a browser would open. An address that no browser opens is refused.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote, urlsplit

from schemas.signals.indicators import domain, ip
from schemas.signals.indicators.fold import drop_invisible
from schemas.signals.indicators.host import read_host
from schemas.signals.indicators.memo import remembered
from schemas.signals.indicators.refang import refang_marks

LONGEST = 2048
"""Longest address in characters as people read it: an encoded character counts once."""
LONGEST_ENCODED = 9 * LONGEST

_PORTS = {"http": 80, "https": 443}
_MARKS = r"A-Za-z0-9\-._~!$&'()*+,;=:@"
_NAME = r"(?![^/]{254})(?:(?!xn--)[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}"
_PLAIN = re.compile(rf"https?://{_NAME}(?:/(?![.])[{_MARKS}]*)+(?:\?[{_MARKS}/?]+)?", re.ASCII)
"""Matches a canonical address that requires no closer look, as nearly all do."""
_SCHEME = re.compile(r"\s*h(?:tt|xx|\*\*)p(s?)\s*[:：]\s*[/\\／＼]*\s*", re.IGNORECASE)
_START = re.compile(r"[^/\\?#／＼]*[/\\／＼]*")
_OTHER_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*[:：][/\\／＼]{2}", re.IGNORECASE)
_NOT_WEB = re.compile(r"(?:mailto|tel|sms|data|javascript|file|about|blob|urn)[:：]", re.IGNORECASE)
_SLASHES = re.compile(r"[/\\／＼]+")
_END = re.compile(r"[/／]")
_QUERY = re.compile(r"[?#]")
_PORT = re.compile(r"(?P<host>.*?)(?:[:：](?P<port>[0-9]*))?", re.ASCII | re.DOTALL)
_BREAK = re.compile(r"[\t-\r\x85\u2028\u2029]+")
_TWO = re.compile(r"\S[\s、，；]+(?:h(?:tt|xx)ps?[:：]|www\.)", re.IGNORECASE)
_ESCAPE = re.compile(r"%(?P<code>[0-9A-Fa-f]{2})|%|[^%]+", re.ASCII)
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_CONTINUED = re.compile(r"%[89AB][0-9A-F]", re.IGNORECASE)
_ENCODED = re.compile(r"%[0-9A-F]{2}", re.IGNORECASE)
_IN_PATH = "/:@!$&'()*+,;=~-._"
_IN_QUERY = _IN_PATH + "?[]"
_SAID = "a URL must be http or https with a host, for example https://example.com/pay"


@remembered
def canonical(text: str) -> str:
    """`hxxps://Pay[.]Example.com:443/a b?x=1#top` -> `https://pay.example.com/a%20b?x=1`. ValueError if it is not an address."""
    return text if len(text) <= LONGEST and _PLAIN.fullmatch(text) else _read(text)


def _read(text: str) -> str:
    _check_length(text)
    if _TWO.search(drop_invisible(_BREAK.sub(" ", text))):  # before line ends go
        raise ValueError(f"{_SAID}; the value contains two addresses; send each as a separate indicator")
    named, rest = _split_scheme(refang_marks(drop_invisible(text)))
    scheme = named or "http"
    query_at = match.start() if (match := _QUERY.search(rest)) else len(rest)
    head, tail = rest[:query_at].replace("\\", "/"), rest[query_at:]
    path_at = match.start() if (match := _END.search(head)) else len(head)
    host, port = _read_authority(head[:path_at])
    if not named and host[-1].isdigit() and head[:path_at].count(".") < 3:
        raise ValueError(f"{_SAID}; this value is a single number; an IP address has four, or requires http:// before it")
    where = host if port in (None, _PORTS[scheme]) else f"{host}:{port}"
    path = _without_dots(_normal("/" + head[path_at + 1 :], _IN_PATH))
    query = _normal(tail[1:].partition("#")[0], _IN_QUERY) if tail.startswith("?") else ""
    return f"{scheme}://{where}{path}{'?' + query if query else ''}"


def _check_length(text: str) -> None:
    count = len(text)
    if LONGEST < count <= LONGEST_ENCODED:
        count = len(_ENCODED.sub("x", _CONTINUED.sub("", text)))
    if count > LONGEST:
        raise ValueError(f"a value may have at most {LONGEST} characters; this one has {count}")
    try:
        text.encode()
    except UnicodeError as error:
        raise ValueError(f"{_SAID}; this value contains an unpaired surrogate") from error


def _split_scheme(text: str) -> tuple[str, str]:
    """The scheme, blank if there is none, and the rest after its slashes, whatever their number and direction."""
    if not text.isascii():
        start = _START.match(text)
        folded = unicodedata.normalize("NFKC", start[0]) if start else ""
        if start and (_SCHEME.fullmatch(folded) or _OTHER_SCHEME.fullmatch(folded)):
            text = folded + text[start.end() :]
    if scheme := _SCHEME.match(text):
        return f"http{scheme[1].lower()}", text[scheme.end() :]
    if _OTHER_SCHEME.match(text) or _NOT_WEB.match(text):
        raise ValueError(f"{_SAID}; this value has another scheme")
    slashes = _SLASHES.match(text)
    return "", text[slashes.end() :] if slashes else text


def _read_authority(authority: str) -> tuple[str, int | None]:
    """The host and the port. A user name before the last @ is a lure and names nobody."""
    where = authority.rpartition("@")[2].strip()
    if where.startswith("["):
        closing = where.rfind("]") + 1
        host, port = where[:closing], where[closing:]
        match = _PORT.fullmatch("x" + port)
    else:
        match = _PORT.fullmatch(where)
        host = match["host"] if match else where
    if match is None or (where.startswith("[") and match["host"] != "x"):
        raise ValueError(f"{_SAID}; the port must be a number up to 65535")
    port_text = match["port"]
    if not host:
        raise ValueError(f"{_SAID}; this value has no host")
    number = int(port_text[-6:]) if port_text else None
    if port_text and (len(port_text.lstrip("0")) > 5 or int(port_text) > 65535):
        raise ValueError(f"{_SAID}; the port must be a number up to 65535")
    return read_host(host), number


def _normal(text: str, safe: str) -> str:
    """Percent-encodes where necessary, in capitals, and nowhere else (RFC 3986 6.2.2.1 and 6.2.2.2). A lone % is encoded."""

    def once(match: re.Match[str]) -> str:
        if match["code"]:
            code = int(match["code"], 16)
            return chr(code) if code in _UNRESERVED else f"%{code:02X}"
        return "%25" if match[0] == "%" else quote(match[0], safe=safe)

    return _ESCAPE.sub(once, text)


def _without_dots(path: str) -> str:
    """RFC 3986 6.2.2.3, as browsers do it: `/a/./b/../c` -> `/a/c`."""
    if "/." not in path:
        return path
    segments: list[str] = []
    parts = path.split("/")[1:]
    for at, part in enumerate(parts):
        if part == "..":
            del segments[-1:]
        elif part != ".":
            segments.append(part)
        if part in (".", "..") and at == len(parts) - 1:
            segments.append("")
    return "/" + "/".join(segments)


def advisories(value: str) -> tuple[str, ...]:
    """Returns the warnings for its host."""
    host = urlsplit(value).hostname or ""
    try:
        return ip.advisories(host)
    except ValueError:
        return domain.advisories(host)
