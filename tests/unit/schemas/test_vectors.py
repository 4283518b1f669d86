"""The kinds against vectors that others published or that a standard's formula makes: how many are right is printed, by set.

Numbers are made here by the standards' own formulas, not by the code under test. A set that is not right in all names why.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from schemas.signals.indicators import advisories, canonical
from schemas.signals.indicators.keccak import keccak_256


class Vector(NamedTuple):
    """`right`: the canonical form, or None when the standard refuses it."""

    kind: str
    text: str
    right: str | None


def score(vectors: list[Vector]) -> tuple[float, float]:
    """Precision and recall: of what is accepted, and of what is valid."""
    accepted = right = valid = 0
    for vector in vectors:
        valid += vector.right is not None
        try:
            found = canonical(vector.kind, vector.text)
        except ValueError:
            continue
        accepted += 1
        right += found == vector.right
    return right / accepted, right / valid


def resident_ids() -> Iterator[Vector]:
    """GB 11643 by its own weights (2 to the power of 18-i, mod 11): 4,000 right ones, each with a wrong digit and swapped."""
    numbers = random.Random(11643)
    for _ in range(4000):
        year, month, day = numbers.randrange(1920, 2020), numbers.randrange(1, 13), numbers.randrange(1, 29)
        front = f"{numbers.choice(('11', '31', '44', '63'))}0101{year}{month:02d}{day:02d}{numbers.randrange(1000):03d}"
        whole = front + "10X98765432"[sum(int(digit) * (2 ** (17 - at) % 11) for at, digit in enumerate(front)) % 11]
        yield Vector("resident_id", whole, whole)
        at = numbers.randrange(14, 17)
        yield Vector("resident_id", f"{whole[:at]}{(int(whole[at]) + numbers.randrange(1, 10)) % 10}{whole[at + 1 :]}", None)
        if whole[14] != whole[15]:
            yield Vector("resident_id", whole[:14] + whole[15] + whole[14] + whole[16:], None)


def handsets() -> Iterator[Vector]:
    """IMEI: each check digit of 200 numbers, one of which fits; 0 stands for "not known"."""
    numbers = random.Random(15)
    for _ in range(200):
        front = "".join(str(numbers.randrange(10)) for _ in range(14))
        total = sum(sum(divmod(int(digit) * 2, 10)) if at % 2 else int(digit) for at, digit in enumerate(front))
        fits = str(-total % 10)
        for digit in "123456789":
            yield Vector("imei", front + digit, front + fits if digit == fits else None)


# The test vectors of BIP 173 and BIP 350 for the main network, as the two documents give them.
_V0 = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
_TAPROOT = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0"
_V1 = "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y"
BECH32 = [
    *(
        Vector("wallet", text, text.lower())
        for text in (_V0.upper(), _V1, "BC1SW50QGDZ25J", "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", _TAPROOT)
    ),
    *(
        Vector("wallet", text, None)
        for text in (
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd",
            "BC1S0XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ54WELL",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kemeawh",
            "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4",
            "BC130XLXVLHEMJA6C4DQV22UAPCTQUPFHLXM9H8Z3K2E72Q4K9HCZ7VQ7ZWS8R",
            "bc1pw5dgrnzv",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v8n0nx0muaewav253zgeav",
            "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P",
            "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7v07qwwzcrf",
            "bc1gmk9yu",
            "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5",
            "BC13W508D6QEJXTDG4Y5R3ZARVARY0C5XW7KN40WF2",
            "bc1rw5uspcuh",
            "bc10w508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kw5rljs90",
            "bc1zw508d6qejxtdg4y5r3zarvaryvqyzf3du",
        )
    ),
]

# Our own cases of the WHATWG URL standard (hosts) and of RFC 3986 6.2.2 (the rest).
_RIGHT_URLS = {
    "http://192.0.2.1/": [
        "http://192.0.2.1",
        "http://0xC0.0.2.1",
        "http://192.513",
        "http://3221225985",
        "http://0300.0.02.1",
        "http://192.0.2.1.",
    ],
    "http://0.0.0.1/": ["http://1./", "http://0x1", "http://0.0.0.0x1"],
    "http://a.example/": [
        "http:\\\\a.example",
        "http:a.example",
        "http:///a.example",
        "http://a.example:080",
        "http://%61.example",
    ],
    "http://a.example/b": [
        "http://a.example\\b",
        "http://a.example/%62",
        "http://a.example/./b",
        "http://a.example/../b",
        "http://a.example/c/%2E%2e/b",
    ],
    "http://a.example/b/": ["http://a.example/b/.", "http://a.example/b/c/.."],
    "http://a.example//b": ["http://a.example//b", "http://a.example/.//b"],
    "http://a.example:8080/": ["http://a.example:8080", "http://user:pass@a.example:8080", "http://x@y@a.example:8080/"],
    "https://a.example/?b=%E4%BD%A0": ["https://a.example:443?b=你", "https://a.example/?b=%e4%bd%a0#c"],
    "http://a.example/%2F": ["http://a.example/%2f"],
    "http://[2001:db8::7]/": ["http://[2001:DB8:0:0::7]", "http://[2001:db8::7]:80/"],
    "http://xn--fa-hia.example/": ["http://faß.example", "http://FAẞ.example"],
    "http://fass.example/": ["http://fass.example"],
    "http://a_.b.example/": ["http://a_.b.example"],
}
_WRONG_URLS = [
    *(
        "http://foo.0x4/",
        "http://1.2.3.4.5/",
        "http://256.1/",
        "http://1.256.1/",
        "http://4294967296/",
        "http://1.2.3.09/",
        "http://a.1/",
    ),
    *(
        "http://a b.example/",
        "http://a.example:x/",
        "http://a.example:65536/",
        "http://[1::2::3]/",
        "http://[::1",
        "http://a..example/",
    ),
    *(
        "http://℀.example/",
        "http://a⒈example/",
        "http://@/",
        "https://",
        "ftp://a.example/",
        "http://a<b.example/",
        "http://a%00b.example/",
    ),
]
URLS = [
    *(Vector("url", text, right) for right, texts in _RIGHT_URLS.items() for text in texts),
    *(Vector("url", text, None) for text in _WRONG_URLS),
]

# Our own cases of UTS 46, not transitional.
DOMAINS = [
    *(Vector("domain", text, "xn--fa-hia.de") for text in ("faß.de", "Faß.DE", "xn--fa-hia.de", "fa\u00df。de")),
    Vector("domain", "fass.de", "fass.de"),
    *(Vector("domain", text, "xn--nxasmm1c.com") for text in ("βόλος.com", "ΒΌΛΟς.com", "xn--nxasmm1c.com")),
    Vector("domain", "βόλοσ.com", "xn--nxasmq6b.com"),
    Vector("domain", "क्\u200dष.com", "xn--11b2ezcw70k.com"),
    Vector("domain", "क्ष.com", f"xn--{'क्ष'.encode('punycode').decode()}.com"),
    Vector("domain", "例\u200d子.cn", "xn--fsqu00a.cn"),
    Vector("domain", "ｅｘａｍｐｌｅ．ｃｏｍ", "example.com"),
    Vector("domain", "💩.la", "xn--ls8h.la"),
    Vector("domain", "例子_.a.cn", f"xn--{'例子_'.encode('punycode').decode()}.a.cn"),
    *(
        Vector("domain", text, None)
        for text in ("a⒈com", "℀.com", "\u0301a.com", "a..com", "foo.0x4", "a.1", "例子", "xn--ä.com", "a.b-", "اa.com")
    ),
]


@pytest.mark.parametrize(
    ("name", "vectors"),
    [
        ("GB 11643", list(resident_ids())),
        ("IMEI", list(handsets())),
        ("BIP 173, 350", BECH32),
        ("WHATWG, RFC 3986", URLS),
        ("UTS 46", DOMAINS),
    ],
)
def test_a_set_of_vectors_is_right_in_all(name: str, vectors: list[Vector], capsys: pytest.CaptureFixture[str]) -> None:
    precision, recall = score(vectors)
    with capsys.disabled():
        print(f"\n{name:18} {len(vectors):6} vectors: {precision=:.3f} {recall=:.3f}", end="")
    wrong = (
        [vector for vector in vectors if score([*vectors[:1], vector]) != (1.0, 1.0)] if (precision, recall) != (1.0, 1.0) else []
    )
    assert not wrong[:10]


# The four addresses of mixed case that EIP-55 gives, and others of one case.
EIP55 = [
    "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
    "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
    "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
    "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
]


@pytest.mark.parametrize("address", EIP55)
def test_the_case_of_an_ethereum_address_is_advice(address: str) -> None:
    assert advisories("wallet", canonical("wallet", address)) == ()
    for at, letter in enumerate(address):
        if at > 1 and letter.isalpha():
            mistyped = canonical("wallet", address[:at] + letter.swapcase() + address[at + 1 :])
            assert mistyped == address.lower()
            assert advisories("wallet", mistyped) == ("eip55_failed",)
    for one_case in (address.lower(), "0x" + address[2:].upper()):
        assert advisories("wallet", canonical("wallet", one_case)) == ()


def test_keccak_has_the_digests_of_its_authors() -> None:
    assert keccak_256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert keccak_256(b"abc").hex() == "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45"
    assert keccak_256(b"a" * 135).hex() == "34367dc248bbd832f4e3e69dfaac2f92638bd0bbd18f2912ba4ef454919cf446"


def test_a_long_address_counts_an_encoded_character_once() -> None:
    address = "http://evil-pay.example/?q=" + "支" * 260
    encoded = canonical("url", address)
    assert len(encoded) > 2048
    assert canonical("url", encoded) == encoded
    with pytest.raises(ValueError, match="at most 2048 characters; this one has 2227"):
        canonical("url", address + "支" * 1940)
