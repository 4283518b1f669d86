"""Phone numbers in E.164. A number without a country code is Chinese. China's service numbers (95588, 12381, 1069…) stay as
dialled, because they do not fit into E.164 (1069… has up to 20 digits, and +86106… is a line in Beijing).

Invariant: a number never becomes another one: decimals of a spreadsheet, an extension, a second number are refused, not joined.
"""

from __future__ import annotations

import re

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumberFormat

from schemas.signals.indicators.checksums import SCIENTIFIC, drop_label, has_decimals, is_masked, label
from schemas.signals.indicators.fold import fold
from schemas.signals.indicators.memo import remembered
from schemas.signals.indicators.services import area_and_service, is_assigned, is_long_service, is_service

_MARKS = str.maketrans("", "", " -()[].")
_MOBILE = re.compile(r"(?:\+86|0086|86)?(1[3-9]\d{9})", re.ASCII)
_MOBILE_AT_ONCE = re.compile(r"(?:\+86|86)?(1[3-9]\d{9})", re.ASCII)
_THINGS = re.compile(r"(?:\+86|0086|86)?(14[0146]\d{10})", re.ASCII)
_FREE = re.compile(r"(?:\+86|0086|86)?([48]00\d{7})", re.ASCII)
_CHINA = re.compile(r"\+86|0086", re.ASCII)
_CHINA_BARE = re.compile(r"86[ (-]", re.ASCII)
_ABROAD = re.compile(r"85[23]\d{8}|886\d{8,9}", re.ASCII)
_CHINESE_LINE = re.compile(r"86(0?(?:(?:10|2\d)\d{8}|[3-9]\d{2}\d{7,8}))", re.ASCII)
_METROPOLIS = re.compile(r"\+86(?:10|2\d)[2-8]\d{7}", re.ASCII)
_FOREIGN = re.compile(r"\+\d{7,18}", re.ASCII)
_LANDLINE = re.compile(r"0\d{9,11}", re.ASCII)
_E164 = re.compile(r"\+[1-9]\d{6,14}", re.ASCII)
_EXTENSION = re.compile(r"(?:转|轉|分机|分機|;?ext(?:ension)?\.?|[x#,;])\s*[:=]?\s*\d+", re.IGNORECASE)
_LAST_GROUP = re.compile(r"(.*\d)[\s)\]-]*[ -](\d{1,4})", re.ASCII)
_GROUPS = re.compile(r"[ ,;/、|&和或-]+")
_LABEL = label(r"tel\.?", "phone", "mobile", "sms", "callto", "(?:联系|固定)?电话", "手机", "座机", "热线")
_ZEROES = 6
_LONGEST, _LONGEST_WRITTEN = 15, 80
_SAID = "a phone must be E.164 (+8613800001234), a Chinese mobile (13800001234), 0 with area code, or a service number (95588)"
_TWO = "the value contains two numbers; send each as a separate indicator"
_ALONE = "an extension cannot be matched; send the number without it"


def canonical(text: str) -> str:
    """`138 0000 1234`, `0086 138…`, `+86138…` -> `+8613800001234`; `95588` stays. ValueError when it is no phone number."""
    if mobile := _MOBILE_AT_ONCE.fullmatch(text):
        return "+86" + mobile[1]
    return _read(text)


@remembered
def _read(text: str) -> str:
    plain = drop_label(fold(text), _LABEL)
    if len(plain) > _LONGEST_WRITTEN:
        raise ValueError(f"{_SAID}; this value has {len(plain)} characters, more than a single number can have")
    if has_decimals(plain):
        raise ValueError("a phone has no decimals; a spreadsheet wrote this value as a quantity, so send it as text")
    if plain.isdigit() or (plain[:1] == "+" and plain[1:].isdigit()):
        number = _number(plain)
    else:
        number = _separated_number(plain)
    if number is None:
        raise ValueError(f"{_SAID}; {_fault(plain)}")
    return number


def _separated_number(plain: str) -> str | None:
    """The same for a text with separators, which may separate two numbers or precede an extension."""
    try:
        number = _number(plain)
    except ValueError:
        _check_extension(plain)
        raise
    if number is not None and _has_second_number(plain):
        raise ValueError(_TWO)
    if number is None or (_LAST_GROUP.fullmatch(plain) and (_THINGS.fullmatch(number) or not _is_usual(number))):
        _check_extension(plain)
    return number


def _number(plain: str) -> str | None:
    """Returns the canonical form of a folded text, whatever its groups; None if there is none."""
    digits = plain.translate(_MARKS)
    if mobile := _MOBILE.fullmatch(digits):
        return "+86" + mobile[1]
    if things := _THINGS.fullmatch(digits):
        return "+86" + things[1]
    if free := _FREE.fullmatch(digits):
        return "+86" + free[1]
    country = _CHINA.match(digits) or _CHINA_BARE.match(plain)
    national = digits[len(country[0].rstrip(" (-")) :] if country else digits
    if is_service(national, has_country=country is not None):
        return national
    if is_long_service(national) and not _is_valid("+86" + national):
        return national
    if service := area_and_service(national, has_country=country is not None):
        return service
    if line := _CHINESE_LINE.fullmatch(digits):
        digits = "+86" + line[1]
    elif _ABROAD.fullmatch(digits) and _is_valid("+" + digits):
        digits = "+" + digits
    return _international(digits)


def _international(digits: str) -> str | None:
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if not (_FOREIGN.fullmatch(digits) or _LANDLINE.fullmatch(digits)):
        return None
    for _ in range(_ZEROES):
        number = _parsed(digits)
        if number == digits:
            return number
        digits = number  # of several national zeroes each reading takes one off
    raise ValueError(_SAID)


def _parsed(plain: str) -> str:
    try:
        number = phonenumbers.format_number(phonenumbers.parse(plain, "CN"), PhoneNumberFormat.E164)
    except NumberParseException as error:
        raise ValueError(f"{_SAID}; no country has this code, or the number is too short or too long") from error
    if not _E164.fullmatch(number):
        raise ValueError(f"{_SAID}; {_too_long(number)}")
    return number


def _is_valid(number: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, "CN"))
    except NumberParseException:
        return False


def _is_usual(number: str) -> bool:
    """Whether the numbering plan knows the number; its last group is then a part of it and not an extension."""
    return not advisories(number)


def _is_whole(part: str) -> bool:
    """Whether a group is a complete number by itself."""
    try:
        number = _number(part)
    except ValueError:
        return False
    return number is not None and (_METROPOLIS.fullmatch(number) is not None or _is_usual(number))


def _has_second_number(plain: str) -> bool:
    groups = [group for group in _GROUPS.split(plain) if group]
    return len(groups) > 1 and all(_is_whole(group) for group in groups)


def _check_extension(plain: str) -> None:
    """ValueError if the last one to four digits follow a complete number or an extension word, or another number follows."""
    if _has_two_wholes(plain):
        raise ValueError(_TWO)
    if (word := _EXTENSION.search(plain)) and _is_whole(plain[: word.start()].strip(" -(;,")):
        raise ValueError(f"this value has an extension; {_ALONE}")
    last = _LAST_GROUP.fullmatch(plain)
    if last and _is_whole(last[1]):
        raise ValueError(f"the last digits follow a complete number and look like an extension; {_ALONE}")


def _fault(plain: str) -> str:
    digits = plain.translate(_MARKS)
    if not plain:
        return "the value is blank"
    if SCIENTIFIC.fullmatch(plain):
        return "a spreadsheet rounded this number (its form is 1.38E+10); send it as text with all of its digits"
    if is_masked(plain):
        return "a masked number cannot be matched; send all of its digits"
    if _EXTENSION.search(plain):
        return f"this value has letters or an extension; {_ALONE}"
    if not digits.lstrip("+").isdigit():
        return "this value contains letters or other characters"
    if digits.startswith("+"):
        return _too_long(digits)
    if len(digits) in (7, 8):
        return "this value has 7 or 8 digits; send a local number with its area code, for example 0971-8123456"
    return f"this value has {len(digits)} digits; a foreign number must begin with + and its country code"


def _has_two_wholes(plain: str) -> bool:
    return sum(_is_whole(group) for group in re.split(r"[ ,;/、|&和或]+", plain)) > 1 or _has_second_number(plain)


def _too_long(number: str) -> str:
    return f"a phone must have 7 to {_LONGEST} digits after +; this one has {len(number.lstrip('+'))}"


@remembered
def advisories(value: str) -> tuple[str, ...]:
    """`number_not_assigned`: the numbering plan of the country has no such number."""
    if _MOBILE.fullmatch(value) or _THINGS.fullmatch(value):
        return ()
    if not value.startswith("+"):
        return () if is_assigned(value) else ("number_not_assigned",)
    return () if _is_valid(value) else ("number_not_assigned",)
