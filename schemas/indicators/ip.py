"""IP addresses: dotted IPv4, compressed lower-case IPv6; an IPv4 address inside IPv6 is the IPv4 one. Defanged is accepted."""

from __future__ import annotations

import ipaddress

_SAID = "an IP is an address such as 203.0.113.7 or 2001:db8::7, without port, zone or network length"


def canonical(text: str) -> str:
    """`203[.]0[.]113[.]7` -> `203.0.113.7`; `[2001:DB8:0::7]` -> `2001:db8::7`. ValueError when it is none."""
    plain = text.strip().replace("[.]", ".").replace("(.)", ".").replace("[:]", ":")
    if plain.startswith("[") and plain.endswith("]"):
        plain = plain[1:-1]
    if not plain.isascii() or "%" in plain:
        raise ValueError(_SAID)
    try:
        address = ipaddress.ip_address(plain)
    except ValueError as error:
        raise ValueError(_SAID) from error
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(inner or address)


def advisories(value: str) -> tuple[str, ...]:
    """`not_public`: a private, local or reserved address says nothing outside of the sender's network."""
    return () if ipaddress.ip_address(value).is_global else ("not_public",)
