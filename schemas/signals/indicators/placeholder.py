"""Placeholders that senders fill in for a missing value: zeros, UNKNOWN, the advertising id of a phone that gives none.

Two institutions that fill in "unknown" do not mean the same person, so such a value must never match.

Invariant: pure, and a function of the canonical value: every spelling of a placeholder is one. A value that somebody can own is
not.
"""

from __future__ import annotations

import ipaddress
import re
from hashlib import md5, sha1, sha256
from urllib.parse import urlsplit

from stdnum import bitcoin

from schemas.signals.indicators.fold import fold

_WORDS = frozenset(
    re.findall(
        r"\w+",
        """unknown unknow unkown unknwon undefined undef undetermined unspecified unassigned unavailable notavailable
        notapplicable notprovided notset null nul nill nil none nan na void empty blank missing default test testing tester dummy
        example sample placeholder todo tbd tba anonymous noname nodata novalue noneprovided objectobject false true
        无 暂无 没有 未知 不知 不知道 不详 不明 不清楚 未提供 未填 未填写 未登记 未获取 无法获取 获取失败 空 空值 保密 测试
        待补充 待查 待核实 待定 匿名 缺失 无数据 无法提供 默认""",
    )
)
_DATABASE_NULL = "\\N"
_NOISE = re.compile(r"[\W_]+")
_OWN_DIGIT = re.compile("[1-9]")
_RUNS = "01234567890123456789012345678901234567890", "98765432109876543210987654321098765432109"
_FEWEST = 6
_NO_MAC = frozenset({"020000000000", "000000000000", "ffffffffffff"})
_SHARED_DEVICES = frozenset({"9774d56d682e549c", "0123456789abcdef", "123456789abcdef0", "1234567890abcdef", "deadbeef"})
"""Identifiers that whole series of devices and emulators share."""
_FILLED = (
    "",
    "0",
    "0" * 15,
    "0" * 16,
    "null",
    "unknown",
    "02:00:00:00:00:00",
    "00:00:00:00:00:00",
    "0" * 8 + "-0000" * 3 + "-" + "0" * 12,
)
_HASHED = frozenset(
    digest(text.encode(), usedforsecurity=False).hexdigest()
    for digest in (md5, sha1, sha256)
    for raw in _FILLED
    for text in (raw, raw.upper(), raw.replace(":", ""))
)
"""Their hashes, because applications hash identifiers."""
_BURNT = frozenset(
    {
        "0x000000000000000000000000000000000000dead",
        "0xdead000000000000000042069420694206942069",
        "1BitcoinEaterAddressDontSendf59kuE",
        "1CounterpartyXXXXXXXXXXXXXXXUWLpVr",
    }
)
_EMULATOR = frozenset({"310260000000000", "00499901064000"})
_NO_HOST = re.compile(
    r"localhost(\.localdomain)?|local\.localhost|(unknown|null|none|undefined|test)\.(unknown|null|none|undefined|test)"
)


def is_placeholder_text(text: str) -> bool:
    """Whether a text as sent means "none", whatever its kind: `UNKNOWN`, `N/A`, `无`, `000`, `-`, blanks."""
    plain = fold(text)
    return plain == _DATABASE_NULL or is_word(plain) or (len(key := _NOISE.sub("", plain)) >= _FEWEST and _is_filler(key))


def is_word(text: str) -> bool:
    """Whether it is a word for "none" in whatever kind, or nothing but zeros or marks."""
    if _OWN_DIGIT.search(text):
        return False  # no word has one, nor have zeros: that decides nearly every value in a tenth of the time
    key = _NOISE.sub("", text).casefold()
    return not key.strip("0") or key in _WORDS or (len(key) > 2 and not key.strip("x"))


def _is_filler(digits: str) -> bool:
    """One repeated digit, or digits in sequence: `111111`, `123456`, `987654`."""
    return len(set(digits)) == 1 or any(digits in run for run in _RUNS)


def is_filler_number(value: str) -> bool:
    return value.isdigit() and _is_filler(value)


def is_filler_imei(value: str) -> bool:
    return _is_filler(value[:14]) or value[:14] in _EMULATOR


def is_filler_imsi(value: str) -> bool:
    return _is_filler(value) or not value[3:].strip("0") or value in _EMULATOR


def is_filler_sim(value: str) -> bool:
    return len(set(value[4:])) == 1 or len(set(value[2:])) == 1


def is_message_centre(value: str) -> bool:
    """The operators' message centre, with which people fill in forms. A number with many zeros is rare, but real."""
    return value == "+8613800138000"


def is_shared_device(value: str) -> bool:
    key = value.translate({ord("-"): None, ord(":"): None}).lower()
    return len(set(key)) == 1 or key in _NO_MAC or key in _SHARED_DEVICES or key in _HASHED or is_filler_number(key)


def is_filler_handle(value: str) -> bool:
    """`wechat:null`, `qq:0`, `qq:123456`."""
    handle = value.partition(":")[2]
    return is_word(handle) or (len(handle) >= _FEWEST and is_filler_number(handle))


def is_filler_merchant(value: str) -> bool:
    number = value.rpartition(":")[2]
    return is_word(number) or is_filler_number(number)


def is_filler_id(value: str) -> bool:
    """A number of fifteen ones from before 1999 happens to contain a date and a province."""
    return value.startswith("11111119111111111") or _is_filler(value[:17])


def is_no_host(host: str) -> bool:
    return _NO_HOST.fullmatch(host) is not None


def is_no_address(value: str) -> bool:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return address.is_unspecified or address.is_loopback or value == "255.255.255.255"


def is_no_url(value: str) -> bool:
    where = value.partition("://")[2].partition("/")[0]
    if where[-1:].isalpha():
        return is_no_host(where)  # a name without a port, as nearly all are
    host = urlsplit(value).hostname or ""
    return is_no_host(host) or is_no_address(host)


def is_burnt(value: str) -> bool:
    """The zero address, or one whose key nobody has."""
    if value in _BURNT:
        return True
    if value.startswith("0x"):
        return len(set(value[2:])) == 1
    if value.startswith("bc1"):
        return len(set(value[4:-6])) == 1
    return len(set(bitcoin.b58decode(value)[1:-4])) == 1
