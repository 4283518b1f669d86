"""Each kind of indicator on the examples of its standard: what is one thing, what is refused and why, what is only advice.

Numbers are the standards' own examples or have their check digits computed here, by another way than the code under test.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from schemas.signals.advisories import SENTENCES
from schemas.signals.indicators import KINDS, LONGEST, SPECS, IndicatorKind, advisories, canonical, domain
from schemas.signals.indicators.memo import ENTRIES, remembered
from schemas.signals.indicators.memo import LONGEST as REMEMBERED

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "indicators.md"

SAME: list[tuple[str, str, list[str]]] = [
    ("account", "622202100101234", ["6222 0210 0101 234", "6222-0210-0101-234", "6222\u30000210\u00a00101234"]),
    ("account", "DE89370400440532013000", ["de89 3704 0044 0532 0130 00"]),
    ("card", "6222021234567890", ["6222 0212 3456 7890", "6222-0212-3456-7890"]),
    ("phone", "+8613800001234", ["138 0000 1234", "0086 138-0000-1234", "+86 (138) 00001234", "8613800001234"]),
    ("phone", "+861012345678", ["010-1234 5678", "+86 10 1234 5678", "+86 010 12345678", "+86 0010 12345678"]),
    ("phone", "+442071838750", ["0044 20 7183 8750", "+44 (0)20 7183 8750"]),
    ("phone", "+390612345678", ["+39 06 1234 5678"]),
    ("phone", "95588", ["+86 95588", "0086 95588", "955 88"]),
    ("phone", "12381", ["+86 12381"]),
    ("phone", "10690123456789012345", ["1069 0123 4567 8901 2345"]),
    ("resident_id", "11010519491231002X", ["110105 19491231 002x", "110105 491231 002"]),
    ("resident_id", "440524188001010014", ["440524 1880 0101 0014"]),
    ("uscc", "91110000600037341L", ["9111 0000 6000 37341l", "91-110000-600037341-L"]),
    ("wallet", "0x52908400098527886e0f7030069857d2e4169ee7", ["ethereum:0x52908400098527886E0F7030069857D2E4169EE7"]),
    ("wallet", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2", ["bitcoin:1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2?amount=0.1"]),
    ("wallet", "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy", [" BTC:3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy "]),
    ("wallet", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", ["BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4"]),
    ("wallet", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", []),
    ("wallet", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", ["tron:TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"]),
    ("imei", "490154203237518", ["49-015420-323751-8", "49015420323751", "4901542032375100", "490154203237510"]),
    ("imsi", "460001234567890", ["460 00 1234567890"]),
    ("sim", "8986001234567890123", ["8986 0012 3456 7890 123", "8986001234567890123f"]),
    ("sim", "898600A1234567890123", ["8986 00a1 2345 6789 0123"]),
    ("device", "aabbcc001122", ["AA:BB:CC:00:11:22", "aa-bb-cc-00-11-22"]),
    ("device", "6d92078a82464ba4ae5b76104861e7dc", ["{6D92078A-8246-4BA4-AE5B-76104861E7DC}"]),
    ("device", "QmFzZTY0X2lz+w==", [" QmFzZTY0X2lz+w== "]),
    ("merchant", "898110148160001", ["8981 1014 8160 001"]),
    ("merchant", "wechat:1230000109", ["WeChat:1230000109"]),
    ("handle", "wechat:wxid_abc123", ["微信：WXID_abc123", "weixin: @wxid_abc123", "WX:wxid_abc123"]),
    ("handle", "forum:CaseMatters", ["Forum:CaseMatters", "forum:@@CaseMatters"]),
    ("app", "com.example.Loan", [" package:com.example.Loan "]),
    ("ip", "203.0.113.7", ["203[.]0[.]113[.]7", "::ffff:203.0.113.7", " 203(.)0(.)113(.)7"]),
    ("ip", "2001:db8::7", ["2001:DB8:0:0::7", "[2001:db8::7]", "2001[:]db8::7"]),
    ("domain", "www.xn--fsqu00a.cn", ["WWW.例子[.]CN.", "www。例子。cn"]),
    ("domain", "xn--zca.de", ["ß.de", "XN--ZCA.de"]),
    ("domain", "xn--ls8h.la", ["💩.la"]),
    ("url", "https://pay.example.com/a%20b?x=1", ["hxxps://Pay[.]Example.com:443/a b?x=1#top"]),
    ("url", "http://[2001:db8::7]:8080/", ["http://[2001:DB8:0::7]:8080"]),
]


@pytest.mark.parametrize(("kind", "wanted", "spellings"), SAME)
def test_the_spellings_of_one_thing_are_one(kind: str, wanted: str, spellings: list[str]) -> None:
    for spelling in (wanted, *spellings):
        assert canonical(kind, spelling) == wanted


def test_every_kind_is_among_the_examples() -> None:
    assert {kind for kind, _, _ in SAME} == set(IndicatorKind) == set(KINDS)


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("account", "12345", "6 to 34"),
        ("card", "6222 0212 345", "12 to 19"),
        ("phone", "12345678", "E.164"),
        ("phone", "+999 1234567", "no country has this code"),
        ("phone", "1-800-FLOWERS", "E.164"),
        ("resident_id", "110105194912310021", "check digit"),
        ("resident_id", "110105194913310020", "a date"),
        ("resident_id", "100105194912310020", "province"),
        ("resident_id", "1101051949123100", "17 digits and a digit or X"),
        ("uscc", "9111000060003734IL", "no I, O"),
        ("wallet", "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN3", "checksum"),
        ("wallet", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "checksum"),
        ("wallet", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj2", "checksum"),
        ("wallet", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6T", "checksum"),
        ("wallet", "bc1qW508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "a wallet must be"),
        ("wallet", "0x1234", "a wallet must be"),
        ("imei", "490154203237517", "check digit"),
        ("imei", "4901542032375", "14 digits"),
        ("imsi", "46000123456", "14 or 15"),
        ("sim", "1986001234567890123", "89"),
        ("device", "short", "8 to 128"),
        ("merchant", "a:b:123456", "acquirer:number"),
        ("handle", "somebody", "platform:handle"),
        ("handle", "某平台:abc", "short name"),
        ("handle", "wechat:a b", "a blank"),
        ("ip", "203.0.113.7:80", "without port"),
        ("ip", "10.0.0.0/8", "network length"),
        ("ip", "fe80::1%eth0", "zone"),
        ("domain", "203.0.113.7", "kind ip"),
        ("url", "ftp://example.com/", "http or https"),
        ("app", "credit", "package name"),
    ],
)
def test_what_is_none_is_refused_for_its_reason(kind: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        canonical(kind, text)
    assert text not in str(error.value), "a problem repeats no value"


def test_every_year_of_birth_and_both_forms_of_a_resident_id_have_the_digit_of_the_standard() -> None:
    """GB 11643 by its own weights (2^(18-i) mod 11), not by the library's arithmetic."""
    for year in range(1900, 2000, 7):
        front = f"630202{year}0301{year % 1000:03d}"
        weighed = sum(int(digit) * (2 ** (17 - at) % 11) for at, digit in enumerate(front))
        whole = front + "10X98765432"[weighed % 11]
        assert canonical("resident_id", whole) == whole
        assert canonical("resident_id", front[:6] + front[8:]) == whole


@pytest.mark.parametrize(
    ("kind", "value", "codes"),
    [
        ("account", "GB82WEST12345698765432", ()),
        ("account", "GB82WEST12345698765433", ("iban_check_failed",)),
        ("account", "622202100101234", ()),
        ("card", "4111111111111111", ()),
        ("card", "4111111111111112", ("luhn_failed",)),
        ("phone", "+8613800001234", ()),
        ("phone", "95588", ()),
        ("phone", "+442071838750", ()),
        ("phone", "+440000000", ("number_not_assigned",)),
        ("phone", "955880", ("number_not_assigned",)),
        ("phone", "961100", ("number_not_assigned",)),
        ("phone", "1100", ("number_not_assigned",)),
        ("phone", "962288", ()),
        ("phone", "95013800001234", ()),
        ("phone", "+861440000012345", ()),
        ("handle", "telegram:\u0430dmin", ("mixed_script",)),
        ("handle", "weibo:中国abc", ()),
        ("handle", "weibo:佐々木カフェabc", ()),
        ("handle", "telegram:\u0441\u043e\u0440\u0435", ("mixed_script",)),
        ("domain", "xn--" + "\u0441\u043e\u0440".encode("punycode").decode() + ".xn--p1ai", ()),
        ("domain", "xn--pypal-4ve.com", ("mixed_script",)),
        ("domain", "xn--80ak6aa92e.com", ("mixed_script",)),
        ("domain", "xn--fsqu00a.cn", ()),
        ("domain", "xn--e1afmkfd.xn--p1ai", ()),
        ("url", "https://xn--pypal-4ve.com/", ("mixed_script",)),
        ("resident_id", "11010519491231002X", ()),
        ("resident_id", "999999199001010014", ()),
        ("uscc", "91110000600037341L", ()),
        ("uscc", "91110000600037341A", ("uscc_check_failed",)),
        ("sim", "8986001234567890123", ("luhn_failed",)),
        ("sim", "898600A1234567890123", ()),
        ("domain", "pay.example.com.cn", ()),
        ("domain", "pay.example.nosuchending", ("suffix_unknown",)),
        ("url", "https://pay.example.nosuchending/", ("suffix_unknown",)),
        ("url", "http://192.168.0.1/", ("not_public",)),
        ("ip", "8.8.8.8", ()),
        ("ip", "10.0.0.1", ("not_public",)),
        ("imei", "490154203237518", ()),
    ],
)
def test_advice_is_given_and_refuses_nothing(kind: str, value: str, codes: tuple[str, ...]) -> None:
    assert advisories(kind, value) == codes
    if value != "999999199001010014":
        assert canonical(kind, value) == value


def test_a_county_that_never_was_is_advice() -> None:
    front = "63029919900101001"
    whole = front + "10X98765432"[sum(int(d) * (2 ** (17 - i) % 11) for i, d in enumerate(front)) % 11]
    assert advisories("resident_id", canonical("resident_id", whole)) == ("county_unknown",)


def test_a_social_credit_code_with_a_wrong_code_inside_is_advice() -> None:
    alphabet = "0123456789ABCDEFGHJKLMNPQRTUWXY"
    front = "91110000600037342"
    weights = [3**n % 31 for n in range(17)]
    total = sum(alphabet.index(letter) * weight for letter, weight in zip(front, weights, strict=True))
    whole = front + alphabet[(31 - total % 31) % 31]
    assert advisories("uscc", canonical("uscc", whole)) == ("organization_code_check_failed",)


def test_what_somebody_registered_is_found_without_a_network() -> None:
    assert domain.registrable("a.b.example.com.cn") == "example.com.cn"
    assert domain.registrable("com.cn") is None
    assert domain.registrable("xn--fsqu00a.xn--fiqs8s") == "xn--fsqu00a.xn--fiqs8s"


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_value_is_bounded_before_any_work_is_done(kind: str) -> None:
    with pytest.raises(ValueError, match="at most 2048"):
        canonical(kind, "1" * (LONGEST + 1))


def test_only_short_texts_are_remembered_and_refusals_are_not() -> None:
    asked: list[str] = []

    def costly(text: str) -> str:
        asked.append(text)
        if not text:
            raise ValueError("nothing")
        return text

    quick = remembered(costly)
    long = "x" * (REMEMBERED + 1)
    for text in ("a", "a", long, long):
        assert quick(text) == text
    for _ in range(2):
        with pytest.raises(ValueError, match="nothing"):
            quick("")
    assert asked == ["a", long, long, "", ""]
    assert ENTRIES * REMEMBERED * 4 * 2 < 20 << 20, "bytes that a sender can make one kind keep"


def test_the_page_for_senders_has_every_kind_and_every_advice() -> None:
    page = PAGE.read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    assert rows == [*KINDS, *SENTENCES], "the kinds in the order of the primary subject, then the advice"
    for code, sentence in SENTENCES.items():
        assert f"| `{code}` | {sentence} |" in page
    for kind, wanted, _ in SAME:
        assert kind in SPECS or kind in page
        assert wanted
