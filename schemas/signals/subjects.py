"""Subjects of a signal: indicators as an institution posts them, subjects as they travel.

Invariant: past the gateway every readable subject is inside of a sealed value.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from schemas.common import Name, Sealed, Stored, Strict
from schemas.signals.indicators import LONGEST, MATCHED_AS, SPECS, IndicatorKind, canonical, is_placeholder, is_placeholder_text
from schemas.signals.indicators.memo import ENTRIES
from schemas.signals.indicators.memo import LONGEST as LONGEST_REMEMBERED

Role = Literal["suspect", "victim"]

Placeholders = Mapping[IndicatorKind, Collection[str]]
"""Kind -> canonical values that are placeholders in this place, in addition to the built-in ones."""
NO_PLACEHOLDERS: Placeholders = {}

Part = Literal["payer", "payee", "caller", "callee", "sender", "recipient"]
"""The end of its event that a subject is."""


Unmatched = Literal["placeholder", "malformed"]
"""Why a subject is not matched: its value is a placeholder (`UNKNOWN`, zeros), or not a valid value of its kind."""

SENT_CHARACTERS = 9 * LONGEST
"""Longest value as sent, in characters. An address counts an encoded character once, and a longer value is kept as malformed."""


class UnmatchedText(str):
    """A value that is not matched: the canonical form of a placeholder, or an invalid value as sent, cut to `LONGEST`. `fault`
    gives the fault and the valid form."""

    unmatched: Unmatched
    fault: str

    def __new__(cls, text: str, unmatched: Unmatched, fault: str = "") -> UnmatchedText:
        made = super().__new__(cls, text[:LONGEST] if fault else text)
        made.unmatched, made.fault = unmatched, fault
        return made


def read_value(kind: str, text: str) -> str:
    """Returns the canonical form, or UnmatchedText for a placeholder or an invalid value, so that one bad value does not lose the
    rest of a signal. Short texts are remembered, because the same ones are sent again and again."""
    return _remembered(kind, text) if len(text) <= LONGEST_REMEMBERED else _read_value(kind, text)


@lru_cache(maxsize=ENTRIES)
def _remembered(kind: str, text: str) -> str:
    return _read_value(kind, text)


def _read_value(kind: str, text: str) -> str:
    try:
        value = canonical(kind, text)
    except ValueError as error:
        return UnmatchedText(text, "placeholder" if is_placeholder_text(text[:LONGEST]) else "malformed", str(error))
    return UnmatchedText(value, "placeholder") if is_placeholder(kind, value) else value


def is_malformed(value: str) -> bool:
    return isinstance(value, UnmatchedText) and value.unmatched == "malformed"


_MATCHED_WITH = {kind: tuple(IndicatorKind(other) for other in SPECS if MATCHED_AS[other] == MATCHED_AS[kind]) for kind in SPECS}
"""Kind -> the kinds whose equal values are one thing with its own."""


def unmatched_as(kind: IndicatorKind, value: str, listed: Placeholders = NO_PLACEHOLDERS) -> Unmatched | None:
    """Why a value of `read_value` is not matched; None if it is matched. `listed`: the policy's placeholders."""
    if isinstance(value, UnmatchedText):
        return value.unmatched
    return "placeholder" if any(value in listed.get(equal_kind, ()) for equal_kind in _MATCHED_WITH[kind]) else None


class Named(Strict):
    """A kind and a value in canonical form."""

    kind: IndicatorKind
    value: str = Field(min_length=1, max_length=SENT_CHARACTERS)

    @field_validator("value")
    @classmethod
    def _canonical(cls, value: str, info: ValidationInfo) -> str:
        kind = info.data.get("kind")
        return value if kind is None else canonical(kind, value)


class _OfSignal(Named):
    """An indicator of a signal. An unmatched value is kept as UnmatchedText."""

    @field_validator("value")
    @classmethod
    def _canonical(cls, value: str, info: ValidationInfo) -> str:
        kind = info.data.get("kind")
        return value if kind is None else read_value(kind, value)


class Indicator(_OfSignal):
    """`{"kind": "phone", "value": "138 0000 1234", "role": "suspect"}`."""

    role: Role = "suspect"
    event_role: ClassVar[Part | None] = None


class End(_OfSignal):
    """One end of an event. Its default `role` is that of the same thing in `indicators`, else that of its part."""

    role: Role | None = None


class Subject(Stored):
    """An indicator as it travels: `token` for matching, `sealed` for readers with a need. The token of an `unmatched` one belongs
    to its signal: no signal of other content has it, whatever its value. `hub`: many unrelated cases share it
    (schemas/signals/hubs.py); the name of its row in the policy's list, or `measured`. `derived`: implied by an indicator that
    the sender named (schemas/signals/indicators/derived.py)."""

    seldom: ClassVar[tuple[str, ...]] = ("unmatched", "hub", "derived")
    kind: IndicatorKind
    role: Role
    token: Name
    sealed: Sealed
    event_role: Part | None = None
    unmatched: Unmatched | None = None
    hub: Name | None = None
    derived: bool = False
