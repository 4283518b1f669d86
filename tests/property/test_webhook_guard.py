"""The guard against another reading of the same addresses: Python's own predicates, and every way to hide one in another."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from stream_processors.domain.refusal import Refusal
from stream_processors.webhooks.policy import Calls
from stream_processors.webhooks.url_guard import pin, target_of

SHIPPED = Calls()
STRICTER_THAN_PYTHON = tuple(map(ip_network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))
"""Ranges that some versions of Python call global."""

NEAR_EDGES = st.sampled_from(
    [
        int(ip_network(one)[place]) + off
        for one in (
            "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
            "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
        )
        for place, off in ((0, -1), (0, 0), (-1, 0), (-1, 1))
        if 0 <= int(ip_network(one)[place]) + off < 1 << 32
    ]
)  # fmt: skip
V4 = st.one_of(st.integers(0, (1 << 32) - 1), NEAR_EDGES).map(IPv4Address)
V6 = st.one_of(
    st.integers(0, (1 << 128) - 1),
    st.integers(0, (1 << 125) - 1).map(lambda low: (1 << 125) | low),
    st.tuples(st.sampled_from([0x2001_0000, 0x2001_0DB8, 0x3FFF_0000, 0xFD00_0EC2, 0xFE80_0000, 0x2002_7F00]), V4).map(
        lambda pair: pair[0] << 96 | int(pair[1])
    ),
).map(IPv6Address)


def _after(prefix: str) -> Callable[[IPv4Address], IPv6Address]:
    return lambda inner: IPv6Address(int(IPv6Address(prefix)) | int(inner))


def _teredo_client(inner: IPv4Address) -> IPv6Address:
    return IPv6Address(int(IPv6Address("2001:0:808:808::")) | (int(inner) ^ 0xFFFF_FFFF))


EMBEDDINGS: dict[str, Callable[[IPv4Address], IPv6Address]] = {
    "mapped": _after("::ffff:0:0"),
    "translated": _after("::ffff:0:0:0"),
    "compatible": _after("::"),
    "nat64": _after("64:ff9b::"),
    "local nat64": _after("64:ff9b:1::"),
    "6to4": lambda inner: IPv6Address(0x2002 << 112 | int(inner) << 80),
    "teredo server": lambda inner: IPv6Address(0x2001_0000 << 96 | int(inner) << 64),
    "teredo client": _teredo_client,
    "isatap": _after("2400:1::5efe:0:0"),
    "isatap, unique": _after("2400:1::200:5efe:0:0"),
}


def called(address: object, calls: Calls = SHIPPED) -> bool:
    return not isinstance(pin([str(address)], calls), Refusal)


def _never_to_be_called(address: IPv4Address | IPv6Address) -> bool:
    predicates = ("is_private", "is_loopback", "is_link_local", "is_multicast", "is_reserved", "is_unspecified")
    return not address.is_global or any(getattr(address, name) for name in predicates)


@given(V4)
@example(IPv4Address("169.254.169.254"))
def test_an_ipv4_address_that_python_calls_special_is_never_called(address: IPv4Address) -> None:
    assert not (called(address) and _never_to_be_called(address))


@given(V4)
def test_an_ipv4_address_that_python_calls_global_is_called_but_for_named_ranges(address: IPv4Address) -> None:
    ours = any(address in network for network in STRICTER_THAN_PYTHON)
    assert called(address) or _never_to_be_called(address) or ours


@given(V6)
@example(IPv6Address("fd00:ec2::254"))
def test_an_ipv6_address_that_python_calls_special_is_never_called(address: IPv6Address) -> None:
    if called(address):
        seen = address.ipv4_mapped or address
        if seen in ip_network("64:ff9b::/96"):
            seen = IPv4Address(int(address) & 0xFFFF_FFFF)
        assert not _never_to_be_called(seen)
        assert not isinstance(seen, IPv6Address) or (seen.sixtofour is None and seen.teredo is None and not seen.is_site_local)


@pytest.mark.parametrize("name", EMBEDDINGS)
@given(inner=V4)
def test_no_embedding_makes_an_address_callable_that_is_not(name: str, inner: IPv4Address) -> None:
    assert called(inner) or not called(EMBEDDINGS[name](inner))


@pytest.mark.parametrize("name", ["mapped", "nat64", "isatap", "isatap, unique"])
@given(inner=V4)
def test_an_embedding_that_is_in_use_carries_a_callable_address(name: str, inner: IPv4Address) -> None:
    assert called(EMBEDDINGS[name](inner)) == called(inner)


@given(st.lists(st.one_of(V4, V6), min_size=1, max_size=6))
def test_a_name_is_pinned_to_its_first_address_if_all_are_good(resolved: list[IPv4Address | IPv6Address]) -> None:
    answer = pin([str(one) for one in resolved], SHIPPED)
    if all(called(one) for one in resolved):
        first = resolved[0]
        mapped = first.ipv4_mapped if isinstance(first, IPv6Address) else None
        assert answer == str(mapped or first)
    else:
        assert isinstance(answer, Refusal)


@given(V4, st.integers(8, 32))
def test_an_exception_of_the_policy_opens_nothing_beside_it(address: IPv4Address, prefix: int) -> None:
    network = ip_network(f"{address}/{prefix}", strict=False)
    calls = Calls(allowed=(network,))
    for near in (int(network[0]) - 1, int(network[-1]) + 1):
        if 0 <= near < 1 << 32:
            assert called(IPv4Address(near), calls) == called(IPv4Address(near))


PIECES = st.sampled_from(
    ["https", "http", ":", "//", "/", "?", "#", "@", "\\", "[", "]", "::1", "127.0.0.1", "0x7f", "a", "hooks.bank.example",
     ".", "%", "443", "8443", "80", " ", "\t", "\n", "\x00", "。", "银行", "localhost", "-", "xn--"]
)  # fmt: skip


@given(st.one_of(st.lists(PIECES, max_size=12).map("".join), st.lists(PIECES, max_size=8).map(lambda p: "https://" + "".join(p))))
def test_another_reader_of_a_url_sees_the_same_host_and_port(url: str) -> None:
    target = target_of(url, SHIPPED)
    if not isinstance(target, Refusal):
        seen = urlsplit(url)
        assert (seen.scheme, seen.hostname, seen.port or 443) == (target.scheme, target.host, target.port)
        assert seen.username is None and seen.password is None and not seen.fragment
        with pytest.raises(ValueError, match="does not appear"):
            ip_address(target.host)
