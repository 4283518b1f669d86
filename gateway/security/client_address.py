"""The address of a request for limits: the peer, or the one that a proxy of ours reports.

Invariant: a header of an unknown peer is never trusted. Limits see a keyed hash of the address, which changes daily.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.requests import Request

from schemas.common import DAY_MS
from schemas.security import Tokenizer

_HOPS = 16
Network = IPv4Network | IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """`10.0.0.0/8, 192.0.2.7` -> networks. ValueError if one is invalid."""
    return tuple(ip_network(network.strip()) for network in text.split(",") if network.strip())


PREFIXES = {4: ((32, 1), (24, 5), (16, 20)), 6: ((64, 1), (56, 2), (48, 4), (32, 20))}
"""By IP version: the networks around an address that one owner may control, and how many times the allowance of one address such
a network has. An IPv6 address is its /64, which is one connection; a /48 is one site and holds 65,536 of them."""


def networks_of(request: Request, proxies: Sequence[Network]) -> tuple[tuple[str, int], ...]:
    """Returns the networks of the nearest address that is not one of our proxies, the smallest first, each with its multiple."""
    at = _nearest_address(request, proxies)
    if at is None:
        return (("unknown", 1),)
    return tuple((str(ip_network((at, length), strict=False)), times) for length, times in PREFIXES[at.version])


def _nearest_address(request: Request, proxies: Sequence[Network]) -> IPv4Address | IPv6Address | None:
    at = _parse_address(request.client.host if request.client else "")
    hops = ",".join(request.headers.getlist("x-forwarded-for")).split(",")[-_HOPS:]
    while at is not None and hops and any(at in network for network in proxies):
        forwarded = _parse_address(hops.pop().strip())
        if forwarded is None:
            break
        at = forwarded
    return at


def _parse_address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def hashed(tokenizer: Tokenizer, address: str, now_ms: int) -> str:
    """Returns a name of the address for a day: it reveals nothing, and two days cannot be linked."""
    return tokenizer.token("address", address, str(now_ms // DAY_MS)).partition(".")[2]
