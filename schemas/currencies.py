"""The currencies of money in requests: ISO 4217's active codes, their decimals, and common spellings of the yuan.

Invariant: the list is closed, and a code never leaves it, so that older bodies stay readable. Funds codes, precious metals and
test codes (XAU, XXX) are not in it, because nobody pays with them.
"""

from __future__ import annotations

import unicodedata

_TWO = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE "
    "CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW "
    "KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK "
    "PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS "
    "UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG"
)
_NONE = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE = "BHD IQD JOD KWD LYD OMR TND"

CURRENCIES: dict[str, int] = {
    **dict.fromkeys(_TWO.split(), 2),
    **dict.fromkeys(_NONE.split(), 0),
    **dict.fromkeys(_THREE.split(), 3),
}
"""Code -> decimals: `{"minor": 1234, "currency": "KWD"}` is 1.234 dinar."""

YUAN = "CNY"
SAME_AS_CODES: dict[str, str] = {"RMB": YUAN, "CNH": YUAN}
"""Common codes that ISO 4217 does not list. CNH is the yuan traded offshore, which is the same money."""

_WRITTEN: dict[str, str] = {
    **dict.fromkeys(("人民币", "人民币元", "人民幣", "元", "圆", "圓", "¥", "156", "RMB元"), YUAN),
    **dict.fromkeys(("港币", "港元", "344"), "HKD"),
    **dict.fromkeys(("美元", "840"), "USD"),
    **dict.fromkeys(("欧元", "978"), "EUR"),
    **dict.fromkeys(("日元", "392"), "JPY"),
}
"""Spellings of the common currencies by people and core banking systems."""

UNKNOWN = "not an ISO 4217 code of a currency in use; the yuan is CNY"


def read_code(code: str) -> str:
    """Returns the ISO 4217 code of an upper-case code from a program. ValueError if there is no such currency."""
    if code in CURRENCIES:
        return code
    if (same := SAME_AS_CODES.get(code)) is not None:
        return same
    raise ValueError(UNKNOWN)


def read_written(text: str) -> str:
    """Returns the ISO 4217 code of a person's spelling: `cny`, `RMB`, `人民币`, `156`. ValueError if it names no currency."""
    plain = "".join(unicodedata.normalize("NFKC", text).split()).upper()
    return _WRITTEN.get(plain) or read_code(plain)
