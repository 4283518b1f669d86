"""The body of a tip, as JSON or from the form.

Invariant: both give the same TipIn; the faults of a form name the form's own fields.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from unicodedata import normalize

from pydantic import Field, ValidationError, field_validator

from schemas.common import AtMost, EventTime, Region, Strict
from schemas.parsing import BodyFault, Refused, refused
from schemas.signals.amount_text import read_amount
from schemas.signals.subjects import Named
from schemas.signals.submission import Amount, SignalIn, SignalKind

_MOST_INDICATORS = 8
FIELDS = ("kind", "phone", "account", "site", "region", "occurred_on", "amount_yuan", "narrative", "contact", "website", "key")
_YUAN = re.compile(r"(\d{1,13}|\d{1,3}([, ]\d{3}){1,4}|\d{1,4}([, ]\d{4}){1,3})(\.\d{1,2})?", re.ASCII)
"""A comma or blank separates groups of three, or of four as 万 and 亿 count. Anywhere else it could be a decimal comma."""
_AROUND = re.compile(r"^\s*(人民币|RMB|CNY|¥)?\s*|\s*(元|圆|RMB|CNY)?\s*$")
_INDICATORS = {"phone": "phone", "account": "account", "site": "url"}


class TipIn(Strict):
    """`indicators`: the phone, account or address of the tip. `contact`: optional, for questions; it is sealed. `website` is a
    trap for programs and stays empty. `region` defaults to the city, `occurred_at` to now."""

    kind: SignalKind = SignalKind.TELECOM_FRAUD
    indicators: Annotated[tuple[Named, ...], Field(min_length=1), AtMost(_MOST_INDICATORS)]
    narrative: str = Field(min_length=5, max_length=2000)
    region: Region | None = None
    occurred_at: EventTime | None = None
    amount: Amount | None = None
    contact: str | None = Field(default=None, max_length=200)
    website: str | None = None

    @field_validator("website")
    @classmethod
    def _check_empty(cls, website: str | None) -> None:
        if website:
            raise ValueError("this field must stay empty")

    def signal(self, region: str, now: datetime) -> SignalIn:
        """Returns the signal. Refused if a signal requires more than a tip."""
        members = {
            "kind": self.kind,
            "occurred_at": self.occurred_at or now,
            "region": self.region or region,
            "amount": self.amount,
            "indicators": [{"kind": indicator.kind, "value": indicator.value} for indicator in self.indicators],
            "narrative": self.narrative,
        }
        try:
            return SignalIn.model_validate(members)
        except ValidationError as error:
            raise refused(error, "invalid-request") from None


def from_form(fields: Mapping[str, str]) -> TipIn:
    """Refused with pointers that name the form's fields."""
    named = [(name, kind, text) for name, kind in _INDICATORS.items() if (text := fields.get(name, "").strip())]
    raw: dict[str, Any] = {
        "kind": fields.get("kind", ""),
        "indicators": [{"kind": kind, "value": text} for _, kind, text in named],
        "narrative": fields.get("narrative", ""),
        "region": fields.get("region") or None,
        "occurred_at": f"{day}T00:00:00+08:00" if (day := fields.get("occurred_on", "").strip()) else None,
        "amount": _parse_amount(yuan) if (yuan := fields.get("amount_yuan", "").strip()) else None,
        "contact": fields.get("contact", "").strip() or None,
        "website": fields.get("website") or None,
    }
    try:
        return TipIn.model_validate(raw)
    except ValidationError as error:
        refusal = refused(error, "invalid-request")
        faults = tuple(BodyFault(_field_of(fault.pointer, named), fault.detail) for fault in refusal.faults or ())
        raise Refused(refusal.slug, "the form has errors", faults) from None


def _parse_amount(yuan: str) -> dict[str, Any]:
    """Returns fen for an amount in yuan. The form is checked before the conversion: 9e999997 would take most of a minute."""
    value = read_amount(_AROUND.sub("", normalize("NFKC", yuan)))
    if value is None or not _YUAN.fullmatch(str(value)):
        raise Refused(
            "invalid-request", "the form has errors", (BodyFault("amount_yuan", "enter an amount in yuan, like 12000.50"),)
        )
    return {"minor": int(value * 100)}


def _field_of(pointer: str, named: list[tuple[str, str, str]]) -> str:
    """`/indicators/1/value` -> the form's field."""
    first, *rest = pointer.strip("/").split("/")
    if first == "indicators":
        return named[int(rest[0])][0] if rest and rest[0].isdecimal() and int(rest[0]) < len(named) else "phone"
    return {"occurred_at": "occurred_on", "amount": "amount_yuan"}.get(first, first)
