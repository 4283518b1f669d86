"""Values that mean "none": each kind knows its own, in every spelling, and nothing that somebody can own is among them."""

from __future__ import annotations

from hashlib import md5

import pytest

from schemas.signals.indicators import KINDS, canonical, is_placeholder, is_placeholder_text
from schemas.signals.indicators.fold import fold

NONE = [
    ("account", ["UNKNOWN", "unknown", "not set", "0000000000", "000000", "111111", "12345678901234", "1234567890123456789"]),
    ("card", ["0000000000000000", "9999 9999 9999 9999", "1234567890123456", "1111-1111-1111-1111"]),
    (
        "wallet",
        [
            "0x0000000000000000000000000000000000000000",
            "0x000000000000000000000000000000000000dEaD",
            "0xEeeeeEeeeEeEeeEeEeEeeEEEeeeeEeeeeeeeEEeE",
            "T9yD14Nj9j7xAB4dbGeiX9h8unkKHxuWwb",
            "1111111111111111111114oLvT2",
        ],
    ),
    ("merchant", ["UNKNOWN", "wechat:UNKNOWN", "000000", "wechat:0000000000", "123456789"]),
    ("phone", ["13800138000", "+86 138 0013 8000"]),
    ("sim", ["89860000000000000000", "8900000000000000000"]),
    ("imsi", ["000000000000000", "460000000000000", "310260000000000"]),
    ("imei", ["000000000000000", "00000000000000", "11111111111111", "12345678901234", "004999010640000"]),
    (
        "device",
        [
            "00000000-0000-0000-0000-000000000000",
            "02:00:00:00:00:00",
            "02-00-00-00-00-00",
            "FF:FF:FF:FF:FF:FF",
            "00:00:00:00:00:00",
            "9774d56d682e549c",
            "9774D56D682E549C",
            "00000000",
            "undefined",
            md5(b"02:00:00:00:00:00", usedforsecurity=False).hexdigest(),
            md5(b"000000000000000", usedforsecurity=False).hexdigest().upper(),
        ],
    ),
    ("handle", ["wechat:null", "微信：NULL", "qq:0", "qq:000000", "wechat:未知", "telegram:@none", "qq:123456"]),
    ("resident_id", ["111111111111111"]),
    ("uscc", ["000000000000000000"]),
    ("url", ["http://0.0.0.0/", "http://127.0.0.1:8080/x", "http://[::1]/", "http://null.null/"]),
    ("domain", ["localhost.localdomain", "unknown.unknown"]),
    ("ip", ["0.0.0.0", "127.0.0.1", "127.8.8.8", "::", "::1", "255.255.255.255"]),
]
SOMEBODYS = [
    ("account", "622202100101234"),
    ("account", "GB82WEST12345698765432"),
    ("card", "6222021234567890"),
    ("wallet", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
    ("wallet", "0x52908400098527886e0f7030069857d2e4169ee7"),
    ("wallet", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"),
    ("merchant", "wechat:1230000109"),
    ("phone", "+8613800000000"),
    ("phone", "95588"),
    ("phone", "12345"),
    ("phone", "110"),
    ("sim", "8986001234567890123"),
    ("imsi", "460001234567890"),
    ("imei", "490154203237518"),
    ("device", "aabbcc001122"),
    ("handle", "wechat:wxid_abc123"),
    ("handle", "qq:10001"),
    ("handle", "telegram:testament"),
    ("resident_id", "11010519491231002X"),
    ("uscc", "91110000600037341L"),
    ("app", "com.example.loan"),
    ("url", "http://test.com/null"),
    ("domain", "unknown.com"),
    ("domain", "none.de"),
    ("ip", "8.8.8.8"),
    ("ip", "10.0.0.1"),
]


@pytest.mark.parametrize(("kind", "spellings"), NONE)
def test_a_value_that_means_none_is_known_in_every_spelling(kind: str, spellings: list[str]) -> None:
    for spelling in spellings:
        assert is_placeholder(kind, canonical(kind, spelling)), spelling


@pytest.mark.parametrize(("kind", "value"), SOMEBODYS)
def test_a_value_that_somebody_can_own_is_none(kind: str, value: str) -> None:
    assert canonical(kind, value) == value
    assert not is_placeholder(kind, value)


def test_every_kind_but_apps_knows_values_of_its_own() -> None:
    assert {kind for kind, _ in NONE} == set(KINDS) - {"app"}
    assert {kind for kind, _ in SOMEBODYS} == set(KINDS)


@pytest.mark.parametrize(
    "text",
    [
        *("UNKNOWN", "unknown", " Unknown ", "ＮＵＬＬ", "N/A", "n.a.", "#N/A", "None", "NaN", "undefined", "(null)", "<null>"),
        *("\\N", "nil", "TEST", "无", "未知", "不详", "暂无", "（无）", "未\u200b知", "保密", "测试", "[object Object]"),
        *("0", "000", "０００", "000-000", "-", "—", "/", "?", "***", "", "  ", "\t", "\ufeff", "xxx", "XXXXXXXX"),
        *("11111111111", "1234567890", "12345678901", "999999", "0.0", "'0"),
    ],
)
def test_a_text_that_means_none_is_known_whatever_its_kind(text: str) -> None:
    assert is_placeholder_text(text)


@pytest.mark.parametrize(
    "text", ["95588", "110", "12345", "13800001234", "6222021234567890", "X", "x1", "王", "com.test", "test1"]
)
def test_a_text_that_names_something_is_none(text: str) -> None:
    assert not is_placeholder_text(text)


@pytest.mark.parametrize("text", ["UNKNOWN", "622202100101234", "0x00"])
def test_plain_ascii_comes_back_from_the_fold_as_it_is(text: str) -> None:
    assert fold(text) is text
