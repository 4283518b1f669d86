"""What a sender may want to look at again in a signal that was taken: a digit that is perhaps mistyped, an unknown county.

Invariant: advice never refuses and never repeats a value; every code has its sentence here and in docs/indicators.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from schemas.indicators import IndicatorKind, advisories
from schemas.signals import SignalIn

SENTENCES: dict[str, str] = {
    "county_unknown": "no county ever had the first six digits of this resident ID",
    "eip55_failed": "capital and small letters of this Ethereum address do not fit; perhaps a character is mistyped",
    "iban_check_failed": "it looks like an IBAN, but its check digits do not fit",
    "luhn_failed": "the check digit does not fit; some cards are issued so, but perhaps a digit is mistyped",
    "mixed_script": "letters of several alphabets that look alike stand in this name; it may imitate another one",
    "not_public": "a private, local or reserved address means nothing outside of your network",
    "number_not_assigned": "the numbering plan of its country has no such number",
    "organization_code_check_failed": "the organization code inside does not fit its own check character",
    "suffix_unknown": "the public suffix list has no ending that this name could be registered under",
    "uscc_check_failed": "the check character does not fit; some codes in use are so, but perhaps a character is mistyped",
}


class Advice(NamedTuple):
    """Where it stands in the body (JSON pointer), the code, the sentence."""

    pointer: str
    code: str
    detail: str


def advice(body: SignalIn) -> list[Advice]:
    """All that is to be said, in the order of the body."""
    found = _places(body)
    return [Advice(at, code, SENTENCES[code]) for at, kind, value in found for code in advisories(kind, value)]


def _places(body: SignalIn) -> Iterator[tuple[str, str, str]]:
    event = body.event
    if event is not None:
        for part in event.parts:
            end = getattr(event, part)
            yield f"/event/{part}", end.kind, end.value
        for name, kind in (("url", IndicatorKind.URL), ("domain", IndicatorKind.DOMAIN), ("download_url", IndicatorKind.URL)):
            if (value := getattr(event, name, None)) is not None:
                yield f"/event/{name}", kind, value
        for n, value in enumerate(getattr(event, "urls", ())):
            yield f"/event/urls/{n}", IndicatorKind.URL, value
    for n, one in enumerate(body.indicators):
        yield f"/indicators/{n}", one.kind, one.value
