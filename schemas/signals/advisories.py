"""What a sender may want to look at again in a signal that was taken: a digit that is perhaps mistyped, an unknown county.

Invariant: advice never refuses and never repeats a value; every code has its sentence here and in docs/reference/indicators.md.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.signals.events import places
from schemas.signals.indicators import advisories
from schemas.signals.subjects import NO_PLACEHOLDERS, Placeholders, UnmatchedText, unmatched_as
from schemas.signals.submission import SignalIn

_LONGEST = 300

SENTENCES: dict[str, str] = {
    "county_unknown": "no county ever had the first six digits of this resident ID",
    "eip55_failed": "capital and small letters of this Ethereum address do not fit; perhaps a character is mistyped",
    "iban_check_failed": "it looks like an IBAN, but its check digits do not fit",
    "luhn_failed": "the check digit does not fit; some cards are issued so, but perhaps a digit is mistyped",
    "malformed": "it was taken, but is matched with nothing, for it is no value of its kind",
    "mixed_script": "letters of several alphabets that look alike stand in this name; it may imitate another one",
    "not_public": "a private, local or reserved address means nothing outside of your network",
    "number_not_assigned": "the numbering plan of its country has no such number",
    "organization_code_check_failed": "the organization code inside does not fit its own check character",
    "placeholder": "it stands for no value: it was taken, but is matched with nothing",
    "suffix_unknown": "the public suffix list has no ending that this name could be registered under",
    "uscc_check_failed": "the check character does not fit; some codes in use are so, but perhaps a character is mistyped",
}


class Advice(NamedTuple):
    """Where it stands in the body (JSON pointer), the code, the sentence."""

    pointer: str
    code: str
    detail: str


def advice(body: SignalIn, listed: Placeholders = NO_PLACEHOLDERS) -> list[Advice]:
    """All that is to be said, in the order of the body. `listed`: the policy's placeholders."""
    advised: list[Advice] = []
    for at, kind, value in places(body.indicators, body.event):
        unmatched = unmatched_as(kind, value, listed)
        for code in advisories(kind, value) if unmatched is None else (unmatched,):
            advised.append(Advice("".join([f"/{part}" for part in at]), code, _sentence(code, value)))
    return advised


def _sentence(code: str, value: str) -> str:
    why = f": {value.fault}" if code == "malformed" and isinstance(value, UnmatchedText) else ""
    return (SENTENCES[code] + why)[:_LONGEST]
