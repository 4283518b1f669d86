"""The fold and the readers: every spelling of one thing is one, two things are never one, a refusal stays one.

More examples: `LIANDONG_FORMS=100000 .venv/bin/pytest tests/property/test_forms.py`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from hashlib import sha256
from ipaddress import IPv4Address
from urllib.parse import quote

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from stdnum.cn.uscc import calc_check_digit

from schemas.signals.indicators import KINDS, canonical, phone, url
from schemas.signals.indicators.fold import drop_invisible, fold
from schemas.signals.indicators.services import is_assigned
from tests.support.forms import FORMS, Form

many = settings(max_examples=int(os.environ.get("LIANDONG_FORMS", "100")), deadline=None)

INVISIBLE = st.sampled_from(["\u200b", "\ufeff", "\u202d", "\u202c", "\u2060", "\u00ad", "\x00", "\u200e", "\u061c", "\x7f"])
EDGE = st.sampled_from(["", " ", "\t", "\u3000", "\u00a0", "\r\n", "\ufeff", "\u2028", "\u200b \u202a"])
GAP = st.sampled_from([" ", "-", "\u3000", "\u00a0", "\u2009", "\u2013", "\u2014", "\u2011", "\uff0d", "\u2212"])
BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
LABEL = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True)
HOST = st.builds("{}.{}.example".format, LABEL, LABEL)
SEGMENTS = st.lists(st.from_regex(r"[A-Za-z0-9_~-][A-Za-z0-9._~-]{0,6}", fullmatch=True), min_size=1, max_size=4)


def digits(shape: str) -> st.SearchStrategy[str]:
    return st.from_regex(shape, fullmatch=True)


def base58(version: int, payload: bytes) -> str:
    raw = bytes([version]) + payload
    raw += sha256(sha256(raw).digest()).digest()[:4]
    number, text = int.from_bytes(raw, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = BASE58[rest] + text
    return "1" * (len(raw) - len(raw.lstrip(b"\0"))) + text


THINGS: dict[str, st.SearchStrategy[str]] = {
    "account": digits(r"[1-9][0-9]{5,32}"),
    "card": digits(r"[1-9][0-9]{11,18}"),
    "wallet": st.binary(min_size=20, max_size=20).map(lambda raw: base58(0x41, raw)),
    "merchant": digits(r"[1-9A-Z][0-9A-Z]{9,20}").filter(lambda text: not text.startswith("MID")),
    "phone": digits(r"1[3-9][0-9]{9}").map("+86{}".format),
    "sim": digits(r"8986[0-9]{15}"),
    "imsi": digits(r"460[0-9]{12}"),
    "imei": digits(r"[1-9][0-9]{13}").map(lambda text: canonical("imei", text)),
    "device": digits(r"[0-9a-f]{12}"),
    "handle": digits(r"wechat:[a-z][a-z0-9_]{5,15}"),
    "resident_id": digits(r"630202(19[0-9]{2}|20[01][0-9])(0[1-9]|1[0-2])(0[1-9]|1[0-9]|2[0-8])[0-9]{3}").map(
        lambda front: front + "10X98765432"[sum(int(digit) * (2 ** (17 - at) % 11) for at, digit in enumerate(front)) % 11]
    ),
    "uscc": digits(r"91630202[0-9A-HJ-NPQRTUWXY]{9}").map(lambda front: front + calc_check_digit(front + "0")),
    "app": digits(r"com\.[a-z]{1,8}\.[A-Za-z][A-Za-z0-9_]{0,8}"),
    "url": st.builds("http://{}/{}".format, HOST, SEGMENTS.map("/".join)),
    "domain": HOST,
    "ip": st.ip_addresses(v=4).map(str),
}
CLOSED = sorted(set(KINDS) - {"url", "domain"})
GROUPED = ("account", "card", "sim", "imsi", "imei", "resident_id", "uscc", "merchant")


@st.composite
def with_noise(draw: st.DrawFn, text: str, closed: bool) -> str:
    """The text with what nobody sees in it, blanks around it and, where the characters are a closed set, full width."""
    letters = list(text)
    for at in draw(st.lists(st.integers(0, len(letters) - 1), max_size=4)):
        if closed and "!" <= letters[at] <= "~":
            letters[at] = chr(ord(letters[at]) + 0xFEE0)
    for at in draw(st.lists(st.integers(0, len(letters)), max_size=3)):
        letters.insert(at, draw(INVISIBLE))
    spelt = "".join(letters)
    if closed and draw(st.booleans()) and text[0] != "'":
        spelt = "'" + spelt
    return draw(EDGE) + spelt + draw(EDGE)


@st.composite
def grouped(draw: st.DrawFn, text: str) -> str:
    gap = draw(GAP)
    return gap.join(text[at : at + 4] for at in range(0, len(text), 4))


def test_every_kind_has_things_to_be_spelt() -> None:
    assert set(THINGS) == set(KINDS)


@many
@given(st.data(), st.sampled_from(sorted(KINDS)))
def test_a_thing_with_noise_in_it_is_the_thing(data: st.DataObject, kind: str) -> None:
    thing = data.draw(THINGS[kind])
    assert canonical(kind, thing) == thing
    assert canonical(kind, data.draw(with_noise(thing, kind in CLOSED))) == thing


@many
@given(st.data(), st.sampled_from(GROUPED))
def test_a_number_in_groups_of_four_is_the_number(data: st.DataObject, kind: str) -> None:
    thing = data.draw(THINGS[kind])
    spelt = data.draw(grouped(thing))
    assume(len(thing) < 24)
    assert canonical(kind, spelt) == thing
    assert canonical(kind, data.draw(with_noise(spelt, closed=True))) == thing


@many
@given(st.data(), st.sampled_from(sorted(KINDS)))
def test_two_things_are_never_one(data: st.DataObject, kind: str) -> None:
    one, other = data.draw(THINGS[kind]), data.draw(THINGS[kind])
    assume(one != other)
    spelt = data.draw(with_noise(one, kind in CLOSED)), data.draw(with_noise(other, kind in CLOSED))
    assert canonical(kind, spelt[0]) != canonical(kind, spelt[1])


@many
@given(st.data(), st.sampled_from([form for form in FORMS if form.right.startswith("!")]))
def test_what_is_refused_is_refused_however_it_is_spelt(data: st.DataObject, form: Form) -> None:
    with pytest.raises(ValueError):
        canonical(form.kind, data.draw(with_noise(form.text, form.kind in CLOSED)))


@many
@given(st.data(), st.sampled_from([form for form in FORMS if not form.right.startswith("!")]))
def test_what_is_understood_is_understood_with_noise_in_it(data: st.DataObject, form: Form) -> None:
    if form.text.startswith("="):
        return
    assert canonical(form.kind, data.draw(with_noise(form.text, closed=False))) == form.right


@many
@given(st.text(max_size=30) | st.text(st.sampled_from("'=\"aｆ\u200b\u0301\u202e\t -0１：\u00ad\ufe0f"), max_size=12))
@example("a\u200b\u0301")
def test_folding_twice_is_folding_once(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    assert drop_invisible(drop_invisible(text)) == drop_invisible(text)


ODD = "0123456789+-. ()/,;:@%\\?#[]{}dotxhtp转、：／。aＡß\u200b\u200d\u0301例_~'=*"


@many
@given(
    st.sampled_from(sorted(KINDS)), st.sampled_from([form.text for form in FORMS]), st.text(ODD, max_size=6), st.integers(0, 40)
)
def test_what_is_canonical_stays_as_it_is(kind: str, text: str, more: str, at: int) -> None:
    for spelt in (text[:at] + more + text[at:], more):
        try:
            once = canonical(kind, spelt)
        except ValueError as error:
            assert len(str(error)) > 20
            continue
        assert canonical(kind, once) == once


@st.composite
def url_spelling(draw: st.DrawFn, host: str, parts: list[str]) -> str:
    """One address as browsers, chat programs and analysts write it."""

    def encoded(letter: str) -> str:
        return draw(st.sampled_from([letter, letter, letter, f"%{ord(letter):02x}", f"%{ord(letter):02X}"]))

    steps: list[str] = []
    for part in parts:
        steps += draw(st.sampled_from([[], [], ["."], ["x", ".."], ["%2e"], ["y", "%2E%2e"]]))
        steps.append("".join(map(encoded, part)))
    slash = draw(st.sampled_from(["/", "/", "\\"]))
    scheme = draw(
        st.sampled_from(["http://", "HTTP://", "hxxp://", "", "//", "http:\\\\", "http:/", "http：//", "hxxp[://]", "http:"])
    )
    user = draw(st.sampled_from(["", "", "bank.example@", "user:secret@"])) if scheme else ""
    dot = draw(st.sampled_from([".", ".", "[.]", "(.)", "{.}", "[dot]", "。", "．"]))
    name = draw(st.sampled_from([host, host.upper(), host + "."])).replace(".", dot)
    end = draw(st.sampled_from(["", "#top", "?", "?#x"]))
    return f"{scheme}{user}{name}{draw(st.sampled_from(['', ':80', ':']))}{slash}{slash.join(steps)}{end}"


@many
@given(st.data(), HOST, SEGMENTS)
def test_an_address_is_one_in_every_spelling(data: st.DataObject, host: str, parts: list[str]) -> None:
    assume(parts[-1] not in (".", ".."))
    wanted = f"http://{host}/{'/'.join(parts)}"
    assert canonical("url", data.draw(url_spelling(host, parts))) == wanted


@many
@given(st.ip_addresses(v=4), st.data())
def test_an_address_of_numbers_is_one_in_every_notation(address: IPv4Address, data: st.DataObject) -> None:
    write: list[Callable[[int], str]] = [
        str,
        hex,
        lambda part: f"0{part:o}",
        lambda part: f"0X{part:X}",
        lambda part: f"0x{part:08x}",
    ]
    fewer = data.draw(st.integers(1, 4))
    raw = address.packed
    numbers = [*raw[: fewer - 1], int.from_bytes(raw[fewer - 1 :], "big")]
    host = ".".join(data.draw(st.sampled_from(write))(number) for number in numbers)
    wanted = f"http://{address}/"
    assert canonical("url", f"http://{host}/") == canonical("url", f"http://[::ffff:{address}]/") == wanted
    assert canonical("url", f"http://{host}./") == wanted


@many
@given(st.text(st.characters(codec="utf-8"), max_size=12), st.text(st.characters(codec="utf-8"), max_size=12))
def test_an_address_and_its_encoded_form_are_one(path: str, query: str) -> None:
    path, query = drop_invisible(path), drop_invisible(query)
    assume(
        not set(path + query) & set("?#\\%[]") and "http" not in path + query and path == path.strip() and query == query.strip()
    )
    assume(not any(letter.isspace() for letter in path + query))
    raw = f"http://evil.example/{path}?{query}"
    encoded = f"http://evil.example/{quote(path, safe=url._IN_PATH)}?{quote(query, safe=url._IN_QUERY)}"
    assert canonical("url", raw) == canonical("url", encoded) == canonical("url", encoded.replace("%E", "%e"))


@many
@given(
    st.text(st.sampled_from("ahtps:/.?%@-_~xn0123[]()&=' "), max_size=40)
    | st.builds("http://{}/{}".format, HOST, SEGMENTS.map("/".join))
)
def test_the_quick_way_of_an_address_is_the_long_one(text: str) -> None:
    if url._PLAIN.fullmatch(text):
        assert url._read(text) == text


@many
@given(digits(r"[0-9]{12}").filter(lambda text: len(set(text)) > 1), st.data())
def test_a_mac_address_is_one_in_every_notation(text: str, data: st.DataObject) -> None:
    size = data.draw(st.sampled_from([2, 4, 6]))
    mark = data.draw(st.sampled_from([":", "-", ".", " ", "\u2013", "："]))
    spelt = mark.join(text[at : at + size] for at in range(0, 12, size))
    assert canonical("device", spelt) == canonical("device", spelt.upper()) == text


@many
@given(digits(r"1[3-9][0-9]{9}|0971[2-8][0-9]{6}|95[0-9]{3}|400[0-9]{7}"), st.sampled_from([".0", ".00", ".5"]))
def test_a_phone_with_decimals_is_refused(number: str, decimals: str) -> None:
    with pytest.raises(ValueError, match="decimals"):
        canonical("phone", number + decimals)


@many
@given(
    digits(r"1[3-9][0-9]{9}|0971-?[2-8][0-9]{6}|95[0-9]{3}|400-?[0-9]{3}-?[0-9]{4}|010-?[2-8][0-9]{7}"),
    digits(r"[0-9]{1,4}"),
    st.sampled_from("- 转x#"),
)
@example("14400001234", "56", "-")
@example("010-80079438", "1", " ")
def test_a_phone_with_an_extension_is_refused(number: str, extension: str, mark: str) -> None:
    assume(not is_assigned(number + extension))
    with pytest.raises(ValueError, match=r"extension|two numbers"):
        canonical("phone", f"{number}{mark}{extension}")


@many
@given(
    digits(r"1[3-9][0-9]{9}"),
    digits(r"1[3-9][0-9]{9}"),
    st.sampled_from([" ", "/", ",", "、", "，", ";", "\n", "|", " / ", "-", "\t", "和"]),
)
def test_two_mobiles_in_one_value_are_refused(one: str, other: str, between: str) -> None:
    for kind in ("phone", "account"):
        with pytest.raises(ValueError, match="two numbers"):
            canonical(kind, one + between + other)


@many
@given(
    digits(r"[1-9][0-9]{11,15}"),
    digits(r"[1-9][0-9]{11,15}"),
    st.sampled_from([" ", "/", ",", "、", "，", ";", "\n", "-", "\t", "  "]),
)
def test_two_long_numbers_in_one_value_are_refused(one: str, other: str, between: str) -> None:
    for kind in ("account", "card", "merchant", "imei", "imsi"):
        with pytest.raises(ValueError, match="two numbers"):
            canonical(kind, one + between + other)


@many
@given(digits(r"\+[0-9]{5,20}|[0-9]{3,22}"))
def test_a_phone_never_gains_or_loses_a_digit_of_its_end(text: str) -> None:
    try:
        found = phone.canonical(text)
    except ValueError:
        return
    assert text.endswith((found.removeprefix("+86"), found[-6:]))
