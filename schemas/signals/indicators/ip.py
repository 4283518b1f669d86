"""IP addresses: dotted IPv4, compressed lower-case IPv6; an IPv4 address inside IPv6 is the IPv4 one. Defanged is accepted."""

from __future__ import annotations

import ipaddress
import re

from schemas.signals.indicators.fold import fold
from schemas.signals.indicators.refang import refang_name

_SAID = "an IP is an address such as 203.0.113.7 or 2001:db8::7, without port, zone or network length"
_PLAIN = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!$)|$)){4}", re.ASCII)
_WITH_PORT = re.compile(r"[\d.]+:\d+|\[.*\]:\d+", re.ASCII)
_PADDED = re.compile(r"(?:\d+\.){3}\d+", re.ASCII)


def canonical(text: str) -> str:
    """`203[.]0[.]113[.]7` -> `203.0.113.7`; `[2001:DB8:0::7]` -> `2001:db8::7`. ValueError when it is none."""
    if _PLAIN.fullmatch(text):
        return text
    plain = refang_name(fold(text)).rstrip(".")
    if plain.startswith("[") and plain.endswith("]"):
        plain = plain[1:-1]
    if not plain.isascii() or "%" in plain:
        raise ValueError(f"{_SAID}; {_fault(plain)}")
    try:
        address = ipaddress.ip_address(plain)
    except ValueError as error:
        raise ValueError(f"{_SAID}; {_fault(plain)}") from error
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(inner or address)


def _fault(plain: str) -> str:
    if re.search(r"[\s,;、|]", plain):
        return "this one has a blank or a comma in it: two addresses are two indicators"
    if "/" in plain:
        return "this is a network or has a path: send one address, or the kind url"
    if "%" in plain:
        return "this one has a zone or encoded characters"
    if _WITH_PORT.fullmatch(plain):
        return "this one has a port: send the address alone, or the kind url"
    if _PADDED.fullmatch(plain):
        return "the four numbers are 0 to 255 and have no zeros before them, for these could be octal"
    return "this is no address"


def advisories(value: str) -> tuple[str, ...]:
    """`not_public`: a private, local or reserved address says nothing outside of the sender's network."""
    return () if ipaddress.ip_address(value).is_global else ("not_public",)
