"""Who and what a signal names: indicators as an institution posts them, subjects as they travel.

Invariant: past the gateway no readable subject exists outside a sealed value.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from schemas.indicators import RANK, IndicatorKind, canonical
from schemas.values import Name, Sealed, Stored, Strict

Role = Literal["suspect", "victim"]

Part = Literal["payer", "payee", "caller", "callee", "sender", "recipient"]
"""Which end of its event a subject is."""


class Named(Strict):
    """A kind and a value, kept in canonical form."""

    kind: IndicatorKind
    value: str = Field(min_length=1, max_length=2048)

    @model_validator(mode="before")
    @classmethod
    def _canonical(cls, data: object) -> object:
        if isinstance(data, dict):
            kind, value = data.get("kind"), data.get("value")
            if isinstance(kind, str) and isinstance(value, str) and kind in RANK:
                return {**data, "value": canonical(kind, value)}
        return data


class Indicator(Named):
    """`{"kind": "phone", "value": "138 0000 1234", "role": "suspect"}`."""

    role: Role = "suspect"
    part: ClassVar[Part | None] = None


class End(Named):
    """One end of an event. Without a `role` it has the one that `indicators` give the same thing, else its part's usual one."""

    role: Role | None = None


class Subject(Stored):
    """An indicator as it travels: `token` to match by, `sealed` to be read by those with a need. `derived`: the sender did not
    name it, it follows from what the sender named (schemas/indicators/derived.py)."""

    kind: IndicatorKind
    role: Role
    token: Name
    sealed: Sealed
    part: Part | None = None
    derived: bool = False
