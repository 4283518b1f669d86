"""Blocked address ranges: a table, and the IPv4 addresses embedded in IPv6 ones. Pure.

The ranges are those of the IANA special-purpose registries that are not globally reachable, and the metadata services of clouds;
Python's own predicates change between its versions and miss some. Invariant: an address that embeds another (mapped, translated)
is allowed only if the embedded one is.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from stream_processors.webhooks.policy import Calls, Network

Address = IPv4Address | IPv6Address


def _table(*rows: tuple[str, str]) -> tuple[tuple[Network, str], ...]:
    return tuple((ip_network(network), what) for network, what in rows)


NEVER = _table(
    ("0.0.0.0/8", "this host"),
    ("169.254.0.0/16", "link-local, which clouds use for metadata"),
    ("100.100.100.200/32", "a metadata service"),
    ("168.63.129.16/32", "a metadata service"),
    ("192.0.0.192/32", "a metadata service"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved or broadcast"),
    ("::/128", "this host"),
    ("fd00:ec2::/32", "a metadata service"),
    ("fd20:ce::/32", "a metadata service"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
)
"""Networks that no policy may allow."""

SPECIAL = _table(
    ("10.0.0.0/8", "private"),
    ("100.64.0.0/10", "shared by a carrier (CGNAT)"),
    ("127.0.0.0/8", "loopback"),
    ("172.16.0.0/12", "private"),
    ("192.0.0.0/24", "reserved for protocols"),
    ("192.0.2.0/24", "for documentation"),
    ("192.88.99.0/24", "a 6to4 relay"),
    ("192.168.0.0/16", "private"),
    ("198.18.0.0/15", "for benchmarks"),
    ("198.51.100.0/24", "for documentation"),
    ("203.0.113.0/24", "for documentation"),
    ("::1/128", "loopback"),
    ("2001::/32", "Teredo, which embeds an IPv4 address"),
    ("2001::/23", "reserved for protocols"),
    ("2001:db8::/32", "for documentation"),
    ("2002::/16", "6to4, which embeds an IPv4 address"),
    ("3fff::/20", "for documentation"),
    ("fc00::/7", "private"),
)
"""Networks that are not public. A policy may allow a part of them."""

_GLOBAL = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
_NO_EXCEPTIONS = Calls()


def parse(text: str) -> Address | None:
    """The address of a literal, or None; a mapped address becomes its IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def refusal(address: Address, calls: Calls) -> str | None:
    """The reason why the address may not be called; None if it may."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return refusal(address.ipv4_mapped, calls)
        if address.scope_id is not None:
            return "the address has a zone"
    if what := _first(NEVER, address):
        return what
    if any(address in network for network in calls.refused):
        return "blocked by the policy"
    if any(address in network for network in calls.allowed):
        return None
    return _first(SPECIAL, address) or (_of_ipv6(address, calls) if isinstance(address, IPv6Address) else None)


def _first(table: tuple[tuple[Network, str], ...], address: Address) -> str | None:
    return next((what for network, what in table if address in network), None)


def _of_ipv6(address: IPv6Address, calls: Calls) -> str | None:
    """Allows global addresses and those that are translated to a public IPv4 address. An exception of the policy means a
    dedicated line, not a path through a translator, so exceptions do not apply to the embedded address."""
    if address in _NAT64:
        return _inside(address, calls)
    if address not in _GLOBAL:
        return "not in the global range of IPv6"
    if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP:
        return _inside(address, calls)
    return None


def _inside(address: IPv6Address, calls: Calls) -> str | None:
    inner = IPv4Address(int(address) & 0xFFFF_FFFF)
    if any(inner in network for network in calls.refused if isinstance(network, IPv4Network)):
        return "blocked by the policy"
    what = refusal(inner, _NO_EXCEPTIONS)
    return None if what is None else f"it embeds an IPv4 address: {what}"
