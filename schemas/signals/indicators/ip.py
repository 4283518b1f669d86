"""IP addresses: dotted IPv4, compressed lower-case IPv6; IPv4 inside of IPv6 becomes IPv4. Defanged ones are accepted."""

from __future__ import annotations

import ipaddress
import re

from schemas.signals.indicators.fold import fold
from schemas.signals.indicators.refang import refang_name

_SAID = "an IP must be an address such as 203.0.113.7 or 2001:db8::7, without port, zone or network length"
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
        return "this value contains a blank or a comma; send two addresses as two indicators"
    if "/" in plain:
        return "this value is a network or has a path; send one address, or the kind url"
    if "%" in plain:
        return "this value has a zone or encoded characters"
    if _WITH_PORT.fullmatch(plain):
        return "this value has a port; send the address alone, or the kind url"
    if _PADDED.fullmatch(plain):
        return "the four numbers must be 0 to 255 without leading zeros, which could mean octal"
    return "this value is not an IP address"


def advisories(value: str) -> tuple[str, ...]:
    """`not_public`: a private, local or reserved address has no meaning outside of the sender's network."""
    return () if ipaddress.ip_address(value).is_global else ("not_public",)
