"""Which URLs and addresses may be called, each known trick by name."""

from __future__ import annotations

from ipaddress import ip_network

import pytest
from pydantic import ValidationError

from stream_processors.domain.refusal import Refusal
from stream_processors.webhooks.policy import Calls
from stream_processors.webhooks.url_guard import SLUG, Target, pin, target_of

SHIPPED = Calls()
PUBLIC = ["8.8.8.8", "114.114.114.114", "2001:4860:4860::8888", "240e::1", "64:ff9b::808:808"]
NOT_CALLED = [
    ("10.1.2.3", "private"),
    ("172.31.0.1", "private"),
    ("192.168.1.1", "private"),
    ("127.0.0.1", "loopback"),
    ("127.255.255.254", "loopback"),
    ("::1", "loopback"),
    ("0.0.0.0", "this host"),
    ("::", "this host"),
    ("169.254.169.254", "link-local"),
    ("169.254.170.2", "link-local"),
    ("fe80::1", "link-local"),
    ("fe80::1%eth0", "zone"),
    ("fd00:ec2::254", "metadata"),
    ("fd20:ce::254", "metadata"),
    ("100.100.100.200", "metadata"),
    ("168.63.129.16", "metadata"),
    ("192.0.0.192", "metadata"),
    ("100.64.0.1", "CGNAT"),
    ("100.127.255.255", "CGNAT"),
    ("192.0.0.8", "protocols"),
    ("192.0.2.1", "documentation"),
    ("198.51.100.1", "documentation"),
    ("203.0.113.1", "documentation"),
    ("2001:db8::1", "documentation"),
    ("3fff::1", "documentation"),
    ("198.19.0.1", "benchmarks"),
    ("192.88.99.1", "6to4"),
    ("224.0.0.1", "multicast"),
    ("239.255.255.250", "multicast"),
    ("ff02::1", "multicast"),
    ("240.0.0.1", "reserved"),
    ("255.255.255.255", "broadcast"),
    ("fd12::1", "private"),
    ("fec0::1", "not in the global range"),
    ("100::1", "not in the global range"),
    ("5f00::1", "not in the global range"),
    ("::7f00:1", "not in the global range"),
    ("::ffff:0:127.0.0.1", "not in the global range"),
    ("64:ff9b:1::7f00:1", "not in the global range"),
    ("::ffff:127.0.0.1", "loopback"),
    ("::ffff:a9fe:a9fe", "metadata"),
    ("64:ff9b::7f00:1", "embeds"),
    ("64:ff9b::a9fe:a9fe", "embeds"),
    ("2002:7f00:1::", "6to4"),
    ("2002:808:808::1", "6to4"),
    ("2001:0:4136:e378::1", "Teredo"),
    ("2001:20::1", "protocols"),
    ("2400:1::5efe:7f00:1", "embeds"),
    ("2400:1::200:5efe:a00:1", "embeds"),
]


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_pinned(address: str) -> None:
    assert pin([address], SHIPPED) == address


@pytest.mark.parametrize(("address", "why"), NOT_CALLED, ids=[address for address, _ in NOT_CALLED])
def test_an_address_that_is_not_public_is_not_called(address: str, why: str) -> None:
    answer = pin([address], SHIPPED)
    assert isinstance(answer, Refusal)
    assert answer.problem == SLUG and why in answer.why


def test_all_addresses_must_be_good_wherever_the_bad_one_stands() -> None:
    assert isinstance(pin(["8.8.8.8", "10.0.0.1"], SHIPPED), Refusal)
    assert isinstance(pin(["10.0.0.1", "8.8.8.8"], SHIPPED), Refusal)
    assert pin(["8.8.4.4", "8.8.8.8"], SHIPPED) == "8.8.4.4"


def test_a_mapped_address_is_pinned_as_what_it_is() -> None:
    assert pin(["::ffff:8.8.8.8"], SHIPPED) == "8.8.8.8"


@pytest.mark.parametrize("resolved", [[], ["not an address"], ["8.8.8.8"] * 65], ids=["none", "no address", "too many"])
def test_an_odd_answer_of_the_resolver_is_refused(resolved: list[str]) -> None:
    assert isinstance(pin(resolved, SHIPPED), Refusal)


def test_a_policy_may_allow_a_dedicated_line_and_no_more_than_that() -> None:
    calls = Calls(allowed=(ip_network("10.20.0.0/16"), ip_network("fd12:3456::/32")))
    assert pin(["10.20.1.1"], calls) == "10.20.1.1"
    assert pin(["::ffff:10.20.1.1"], calls) == "10.20.1.1"
    assert pin(["fd12:3456::1"], calls) == "fd12:3456::1"
    for other in ("10.21.0.1", "64:ff9b::a14:101", "fd12:3457::1"):
        assert isinstance(pin([other], calls), Refusal)


def test_no_policy_allows_metadata_multicast_or_this_host() -> None:
    calls = Calls(allowed=tuple(map(ip_network, ("169.0.0.0/8", "224.0.0.0/8", "0.0.0.0/8", "100.0.0.0/8", "fd00::/16"))))
    for address in ("169.254.169.254", "224.0.0.1", "0.0.0.0", "100.100.100.200", "fd00:ec2::254"):
        assert isinstance(pin([address], calls), Refusal)


def test_a_policy_may_refuse_what_is_public_also_inside_a_translated_address() -> None:
    calls = Calls(refused=(ip_network("8.8.8.0/24"), ip_network("2400:cb00::/32")), allowed=(ip_network("8.8.8.0/24"),))
    for address in ("8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2400:cb00::1"):
        assert isinstance(pin([address], calls), Refusal)
    assert pin(["8.8.4.4"], calls) == "8.8.4.4"


@pytest.mark.parametrize("wide", ["0.0.0.0/0", "0.0.0.0/7", "::/0", "fc00::/7"])
def test_an_exception_as_wide_as_the_internet_is_no_policy(wide: str) -> None:
    with pytest.raises(ValidationError, match="too wide"):
        Calls.model_validate({"allowed": [wide]})


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://hooks.bank.example/in?a=1", Target("https", "hooks.bank.example", 443, "/in?a=1")),
        ("HTTPS://Hooks.Bank.Example", Target("https", "hooks.bank.example", 443, "/")),
        ("https://hooks.bank.example:8443/", Target("https", "hooks.bank.example", 8443, "/")),
        ("https://hooks.bank.example?a=/@b", Target("https", "hooks.bank.example", 443, "/?a=/@b")),
        ("https://xn--fiqs8s.example/%E4%B8%AD", Target("https", "xn--fiqs8s.example", 443, "/%E4%B8%AD")),
    ],
)
def test_a_url_is_read_as_it_stands(url: str, target: Target) -> None:
    assert target_of(url, SHIPPED) == target


def test_the_host_header_names_an_unusual_port_and_brackets_an_address() -> None:
    assert Target("https", "a.example", 443, "/").authority == "a.example"
    assert Target("https", "a.example", 8443, "/").authority == "a.example:8443"
    assert Target("https", "2001:4860::1", 443, "/").authority == "[2001:4860::1]"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://hooks.bank.example/", "must use https"),
        ("ftp://hooks.bank.example/", "must use https"),
        ("hooks.bank.example/in", "https://name"),
        ("//hooks.bank.example/", "https://name"),
        ("https:/hooks.bank.example/", "https://name"),
        ("", "https://name"),
        ("https:///in", "a host"),
        ("https://user@hooks.bank.example/", "must not contain a user"),
        ("https://user:word@hooks.bank.example/", "must not contain a user"),
        ("https://hooks.bank.example@127.0.0.1/", "must not contain a user"),
        ("https://127.0.0.1\\@hooks.bank.example/", "must be ASCII"),
        ("https://hooks.bank.example/#top", "must be ASCII"),
        ("https://hooks.bank.example/ in", "must be ASCII"),
        ("https://hooks.bank.example/\r\nx: y", "must be ASCII"),
        ("https://hooks.bank.example/in\n", "must be ASCII"),
        ("https://银行.example/", "xn--"),
        ("https://hooks。bank.example/", "must be ASCII"),
        ("https://hooks.bank.example:22/", "port 22"),
        ("https://hooks.bank.example:80/", "port 80"),
        ("https://hooks.bank.example:0443/", "a port must be from 1"),
        ("https://hooks.bank.example:/", "a port must be from 1"),
        ("https://hooks.bank.example:443:443/", "a port must be from 1"),
        ("https://hooks.bank.example:99999/", "port 99999"),
        ("https://localhost/", "fully qualified name"),
        ("https://intranet/", "fully qualified name"),
        ("https://db.localhost/", "local name"),
        ("https://printer.local/", "local name"),
        ("https://metadata.google.internal/", "local name"),
        ("https://hooks.bank.example./", "fully qualified name"),
        ("https://-a.example/", "fully qualified name"),
        ("https://a_b.example/", "fully qualified name"),
        ("https://a..example/", "fully qualified name"),
        (f"https://{'a' * 64}.example/", "fully qualified name"),
        (f"https://{'a.' * 130}example/", "fully qualified name"),
        ("https://%6c%6fcalhost.example/", "fully qualified name"),
        ("https://2130706433/", "fully qualified name"),
        ("https://0x7f000001/", "fully qualified name"),
        ("https://0x7f.1/", "fully qualified name"),
        ("https://127.1/", "fully qualified name"),
        ("https://0177.0.0.1/", "fully qualified name"),
        ("https://127.0.0.1/", "a name, not an address"),
        ("https://8.8.8.8/", "a name, not an address"),
        ("https://[::1]/", "a name, not an address"),
        ("https://[fe80::1%25eth0]/", "a host"),
        ("https://[::1/", "a host"),
        ("https://hooks.bank.example/" + "a" * 2048, "at most 2048"),
    ],
)
def test_a_url_that_may_not_be_called_is_refused_with_its_reason(url: str, why: str) -> None:
    answer = target_of(url, SHIPPED)
    assert isinstance(answer, Refusal)
    assert why in answer.why


def test_literal_addresses_are_guarded_too_where_the_policy_has_them() -> None:
    calls = Calls(literals=True)
    assert target_of("https://8.8.8.8/", calls) == Target("https", "8.8.8.8", 443, "/")
    assert target_of("https://[2001:4860:4860:0::8888]/", calls) == Target("https", "2001:4860:4860::8888", 443, "/")
    assert target_of("https://[::ffff:8.8.8.8]/", calls) == Target("https", "8.8.8.8", 443, "/")
    for url in ("https://127.0.0.1/", "https://[::ffff:127.0.0.1]/", "https://[::1]/", "https://169.254.169.254/latest"):
        answer = target_of(url, calls)
        assert isinstance(answer, Refusal) and "not allowed" in answer.why
