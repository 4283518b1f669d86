"""China's service numbers, which do not fit into E.164: emergency, operators, hotlines, numbers of 95 and 96, messages.

The relevant parts of the numbering plan: three digits: 110, 112, 114, 119, 120, 122. Five: 100xx operators, 11xxx, 12xxx (123xx
the state), 95xxx nationwide, 96xxx of a province; 96xxxx of six digits in some. 95013 and the others of 950, 951 and 952 continue
with up to ten digits: call centres, numbers that hide another one. 118114, 116114, 125200 and 1010xxxx are complete. 106… sends
messages, with up to 20 digits. No number is the prefix of another one, so 1100, 955880 and 961100 do not exist.

Invariant: a service number has one form: no area code, no country code.
"""

from __future__ import annotations

import re

_SERVICE = re.compile(r"1\d{2,4}|11[68]\d{3}|12520\d|100\d{2}\d{1,3}|1010\d{4}|9[56]\d{3,6}", re.ASCII)
_LONG = re.compile(r"95\d{7,13}", re.ASCII)
_MESSAGES = re.compile(r"106\d{5,17}", re.ASCII)
_THINGS = re.compile(r"1064\d{9}", re.ASCII)
_ASSIGNED = re.compile(
    r"11[0249]|12[02]"
    r"|100\d{2}|10086\d{2}|1001[0-9]1[01]|1000[01]1[01]|101[0-9]{2}"
    r"|11[135678]\d{2}|12[13456789]\d{2}|11[68]114|118\d{3}|125200|1010\d{4}"
    r"|95\d{3}|95[0-2]\d{2}\d{3,10}"
    r"|96(?!110\d)\d{3,4}|106\d{5,17}",
    re.ASCII,
)
_AREA = r"(?:10|2\d|[3-9]\d{2})"
_EVERYWHERE = r"95\d{3}|96110|100(?:00|01|10|11|86)|123\d{2}|12110|11[0249]|12[02]"
_NATIONAL = re.compile(rf"(?P<zero>0?){_AREA}(?P<number>{_EVERYWHERE})", re.ASCII)
_PROVINCIAL = re.compile(rf"(?P<zero>0?)(?P<number>{_AREA}96\d{{3}})", re.ASCII)


def is_service(number: str, has_country: bool) -> bool:
    """Whether it has the form of a service number. After a country code 106… is a line, except a machine's 13 digits."""
    if _MESSAGES.fullmatch(number):
        return not has_country or _THINGS.fullmatch(number) is not None
    return _SERVICE.fullmatch(number) is not None


def is_long_service(number: str) -> bool:
    """Whether it has the form of a long 95 number. Lines of Ningxia (0951 to 0955) have it, too, without their 0."""
    return _LONG.fullmatch(number) is not None


def is_assigned(number: str) -> bool:
    """Whether the numbering plan contains it."""
    return _ASSIGNED.fullmatch(number) is not None


def area_and_service(number: str, has_country: bool) -> str | None:
    """`02195588` -> `95588`, as a hotline's call displays it. A number of a province (96xxx) keeps its area: `+8697196601`."""
    if (match := _NATIONAL.fullmatch(number)) and (match["zero"] or has_country):
        return match["number"]
    if (match := _PROVINCIAL.fullmatch(number)) and (match["zero"] or has_country):
        return f"+86{match['number']}"
    return None
