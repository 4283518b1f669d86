"""Advice to a sender about an accepted signal: a digit that may be mistyped, an unknown county.

Invariant: advice never refuses and never repeats a value. Every code has its sentence here and in docs/reference/indicators.md.
"""

from __future__ import annotations

from typing import NamedTuple

from schemas.signals.events import places
from schemas.signals.indicators import advisories
from schemas.signals.subjects import NO_PLACEHOLDERS, Placeholders, UnmatchedText, unmatched_as
from schemas.signals.submission import SignalIn

_LONGEST = 300

SENTENCES: dict[str, str] = {
    "county_unknown": "the first six digits of this resident ID never were the code of a county",
    "eip55_failed": "the mixed-case checksum of this Ethereum address does not match; check it for typing errors",
    "iban_check_failed": "this account looks like an IBAN, but its check digits do not match",
    "luhn_failed": "the check digit does not match; some cards are issued this way, but check it for typing errors",
    "malformed": "the value was accepted but will not be matched, because it is not a valid value of its kind",
    "mixed_script": "this name mixes similar letters of several alphabets; it may imitate another name",
    "not_public": "a private, local or reserved address has no meaning outside of your network",
    "number_not_assigned": "the numbering plan of the country has no such number",
    "organization_code_check_failed": "the check character of the organization code inside does not match",
    "placeholder": "the value is a placeholder: it was accepted but will not be matched",
    "suffix_unknown": "this name ends in no suffix of the public suffix list, so nobody can register it",
    "uscc_check_failed": "the check character does not match; some codes in use are this way, but check it for typing errors",
}


class Advice(NamedTuple):
    """The place in the body (JSON pointer), the code, the sentence."""

    pointer: str
    code: str
    detail: str


def advice(body: SignalIn, listed: Placeholders = NO_PLACEHOLDERS) -> list[Advice]:
    """Returns all advice in the order of the body. `listed`: the policy's placeholders."""
    advised: list[Advice] = []
    for at, kind, value in places(body.indicators, body.event):
        unmatched = unmatched_as(kind, value, listed)
        for code in advisories(kind, value) if unmatched is None else (unmatched,):
            advised.append(Advice("".join([f"/{part}" for part in at]), code, _sentence(code, value)))
    return advised


def _sentence(code: str, value: str) -> str:
    why = f": {value.fault}" if code == "malformed" and isinstance(value, UnmatchedText) else ""
    return (SENTENCES[code] + why)[:_LONGEST]
