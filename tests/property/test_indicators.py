"""Canonical forms: doing it twice is doing it once, and the ways in which people write one thing are one thing."""

from __future__ import annotations

from datetime import date
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from schemas.signals.advisories import SENTENCES
from schemas.signals.indicators import KINDS, RANK, IndicatorKind, advisories, canonical

SEPARATOR = st.sampled_from(["", " ", "-", "\u3000", "\u00a0"])
LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?", fullmatch=True).filter(lambda one: one[2:4] != "--")
HOST = st.builds(lambda a, b: f"{a}.{b}.com", LABEL, LABEL)
PATH = st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=8), max_size=3).map("/".join)


@st.composite
def spelt(draw: st.DrawFn, plain: st.SearchStrategy[str]) -> tuple[str, str]:
    """A number, and the same with separators between its digits."""
    text = draw(plain)
    return text, "".join(one + draw(SEPARATOR) for one in text)


# What stands in numbers and addresses, so that a random text is sometimes nearly one.
NEARLY = st.text("0123456789" * 3 + "+-. ()[]:/@abcxABCXTF微例。：\u3000\u0331\u200b\ud800０", max_size=40)
_FIRST = "|+86|0086|00|0|106|95|8986|6302021990|91630|http://|hxxps://|wechat:|微信：@|bc1|0x"
PREFIX = st.sampled_from(_FIRST.split("|"))


@given(st.sampled_from(list(KINDS)), st.builds(str.__add__, PREFIX, NEARLY) | st.text(max_size=60))
@example("url", "http://a.com/%")
@example("url", "http://a.com/a?b=%zz#c")
@example("url", "HTTP://[::1]:80/")
@example("domain", "ß.de")
@example("domain", "。例子。cn")
@example("phone", "+860000101234567")
@example("phone", "+5400 9 011 15 2345 6789")
@example("handle", "qq:@@x")
@example("handle", "qq:H\u0331")
@example("ip", "::ffff:1.2.3.4")
def test_what_is_canonical_stays_as_it_is_and_anything_else_is_a_value_error(kind: str, text: str) -> None:
    try:
        once = canonical(kind, text)
    except ValueError:
        return
    assert canonical(kind, once) == once
    assert set(advisories(kind, once)) <= set(SENTENCES)
    once.encode()


@given(
    HOST,
    PATH,
    st.sampled_from(["", ":80", ":8080"]),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=10),
)
def test_a_web_address_keeps_its_canonical_form(host: str, path: str, port: str, query: str) -> None:
    try:
        once = canonical("url", f"http://{host}{port}/{path}?{query}")
    except ValueError:
        assume(False)
    assert canonical("url", once) == once
    assert once.isascii()
    assert "#" not in once


@given(spelt(st.from_regex(r"[0-9A-Z]{6,34}", fullmatch=True)))
def test_an_account_is_one_however_it_is_grouped(pair: tuple[str, str]) -> None:
    assert canonical("account", pair[1]) == canonical("account", pair[0].lower()) == pair[0]


@given(spelt(st.from_regex(r"[0-9]{12,19}", fullmatch=True)))
def test_a_card_is_one_however_it_is_grouped(pair: tuple[str, str]) -> None:
    assert canonical("card", pair[1]) == pair[0]


@given(spelt(st.from_regex(r"1[3-9][0-9]{9}", fullmatch=True)))
def test_a_mobile_is_one_with_and_without_its_country(pair: tuple[str, str]) -> None:
    wanted = "+86" + pair[0]
    for way in (pair[1], f"+86{pair[1]}", f"0086 {pair[1]}", f"+86 ({pair[0][:3]}) {pair[0][3:]}"):
        assert canonical("phone", way) == wanted


@given(st.from_regex(r"0[1-9][0-9]{8,10}", fullmatch=True))
def test_a_landline_is_one_with_and_without_its_country(number: str) -> None:
    # Behind 095 only 0951 to 0955 are area codes, with seven digits; 95… of another length are service numbers.
    assume(not number.startswith("095") or (number[3] in "12345" and len(number) == 11))
    assert canonical("phone", number) == canonical("phone", f"+86 {number[1:]}")


@given(HOST)
def test_a_domain_is_one_in_any_case_and_defanged(host: str) -> None:
    for way in (
        host.upper(),
        host.replace(".", "[.]"),
        host.replace(".", "(.)"),
        f" {host}. ",
        host.replace(".", "。"),
    ):
        assert canonical("domain", way) == host


@given(HOST, st.sampled_from(["http", "https"]))
def test_a_url_is_one_in_any_case_defanged_and_with_its_default_port(host: str, scheme: str) -> None:
    wanted = canonical("url", f"{scheme}://{host}/pay")
    port = {"http": 80, "https": 443}[scheme]
    defanged = host.replace(".", "[.]")
    for way in (
        f"{scheme.upper()}://{host.upper()}/pay",
        f"{scheme}://{host}:{port}/pay#top",
        f"hxxp{scheme[4:]}://{defanged}/pay",
    ):
        assert canonical("url", way) == wanted


@given(st.integers(1, 14), st.from_regex(r"[0-9]{14}", fullmatch=True))
def test_a_handset_is_one_with_its_check_digit_without_and_with_its_version(at: int, digits: str) -> None:
    wanted = canonical("imei", digits)
    assert wanted[:14] == digits
    for way in (wanted, digits + "0", digits + "99", f"{digits[:at]}-{digits[at:]}"):
        assert canonical("imei", way) == wanted


@given(st.dates(date(1900, 1, 1), date(1999, 12, 31)), st.integers(0, 999))
def test_a_person_is_one_in_the_number_of_before_and_after_1999(born: date, number: int) -> None:
    old = f"630202{born:%y%m%d}{number:03d}"
    new = canonical("resident_id", old)
    assert new[:17] == f"630202{born:%Y%m%d}{number:03d}"
    assert canonical("resident_id", new.lower()) == canonical("resident_id", f"{new[:6]} {new[6:14]} {new[14:]}") == new


@given(st.integers(14, 17), st.integers(1, 9))
def test_one_wrong_digit_in_a_resident_id_is_seen(at: int, step: int) -> None:
    right = canonical("resident_id", "630202900101124")
    assert right.isdigit()
    other = right[:at] + str((int(right[at]) + step) % 10) + right[at + 1 :]
    with pytest.raises(ValueError, match="check digit"):
        canonical("resident_id", other)


@given(st.binary(min_size=20, max_size=20))
def test_an_ethereum_wallet_is_one_in_any_case(raw: bytes) -> None:
    assert canonical("wallet", "0x" + raw.hex().upper()) == canonical("wallet", "0x" + raw.hex()) == "0x" + raw.hex()


@given(st.ip_addresses())
def test_an_address_is_one_defanged_and_in_full(address: IPv4Address | IPv6Address) -> None:
    wanted = canonical("ip", str(address))
    assert canonical("ip", address.exploded.upper()) == wanted
    assert canonical("ip", str(address).replace(".", "[.]").replace(":", "[:]")) == wanted


@given(st.from_regex(r"(1[0-9]{2,4}|9[56][0-9]{3,6})", fullmatch=True))
def test_a_service_number_is_one_with_and_without_its_country(number: str) -> None:
    assert canonical("phone", number) == canonical("phone", "+86" + number) == canonical("phone", f"0086 {number}") == number


def test_every_kind_has_its_place_in_the_order_of_the_primary_subject() -> None:
    first = ["account", "card", "phone", "url", "domain"]
    assert [kind for kind in KINDS if kind in first] == first, "else old signals would have another primary subject"
    assert [RANK[kind] for kind in KINDS] == list(range(len(KINDS)))
    assert set(KINDS) == set(IndicatorKind)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("text", ["", " ", "\x00", "a" * 3000, "http://", "１２", "\ud800x.com", "\ufeff\u200b"])
def test_what_is_none_is_refused_with_a_sentence(kind: str, text: str) -> None:
    with pytest.raises(ValueError) as error:
        canonical(kind, text)
    assert len(str(error.value)) > 20
