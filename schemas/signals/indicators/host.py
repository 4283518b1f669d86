"""The host of a web address as browsers read it (WHATWG URL): a name, or an address in any notation.

Invariant: hosts that browsers open as one address are one here; a host that no browser opens is refused.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote_to_bytes

from schemas.signals.indicators import domain

_SAID = "a URL must be http or https with a host, for example https://example.com/pay"
_NUMBER = re.compile(r"(?P<hexadecimal>0x[0-9a-f]*)|(?P<octal>0[0-7]+)|(?P<decimal>0|[1-9]\d*)", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x20\x7f]")
_LONGEST_NUMBER = 11


def read_host(text: str) -> str:
    """`WWW.Example.com.` -> `www.example.com`; `0xCB.113.7` -> `203.113.0.7`; `[::ffff:203.0.113.7]` -> `203.0.113.7`."""
    if text.startswith("["):
        return _read_ipv6(text)
    if "%" in text:
        text = _decoded(text)
    name = domain.read_name(text)
    if domain.ends_in_number(name):
        return _read_ipv4(name)
    return domain.check_name(name)


def _decoded(text: str) -> str:
    try:
        plain = unquote_to_bytes(text).decode("utf-8")
    except UnicodeError as error:
        raise ValueError(f"{_SAID}; the percent-encoding in this host is not valid") from error
    if _CONTROL.search(plain):
        raise ValueError(f"{_SAID}; the percent-encoding in this host contains characters that are not valid in a host")
    return plain


def _read_ipv4(name: str) -> str:
    """One to four numbers, decimal, octal (0…) or hexadecimal (0x…); the last one fills the remaining bytes."""
    parts = [_number(part) for part in name.split(".")]
    if len(parts) > 4 or any(part > 255 for part in parts[:-1]) or parts[-1] >= 256 ** (5 - len(parts)):
        raise ValueError(f"{_SAID}; this host is a number, but not an IP address")
    number = parts[-1] + sum(part << 8 * (3 - at) for at, part in enumerate(parts[:-1]))
    return str(ipaddress.IPv4Address(number))


def _number(part: str) -> int:
    match = _NUMBER.fullmatch(part)
    if match is None or len(part.removeprefix("0x").lstrip("0")) > _LONGEST_NUMBER:
        raise ValueError(f"{_SAID}; this host ends in a number, but is not an IP address")
    if match["hexadecimal"]:
        return int(part[2:] or "0", 16)
    return int(part, 8 if match["octal"] else 10)


def _read_ipv6(text: str) -> str:
    inner = text[1:-1]
    if not text.endswith("]") or "%" in inner or not inner.isascii():
        raise ValueError(f"{_SAID}; brackets may contain only an IPv6 address without a zone")
    try:
        address = ipaddress.IPv6Address(inner)
    except ValueError as error:
        raise ValueError(f"{_SAID}; brackets may contain only an IPv6 address, which this is not") from error
    return str(address.ipv4_mapped) if address.ipv4_mapped else f"[{address}]"
