"""A signal as the gateway takes it, for a type checker. Made by `liandong contracts write` from schemas/signals.py: do not edit.

Times are text with an offset (RFC 3339) or aware datetimes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NotRequired, TypedDict

IndicatorKind = Literal["account", "card", "phone", "url", "domain"]
SignalKind = Literal["telecom_fraud", "illegal_finance"]

class Amount(TypedDict):
    """Money: `{"minor": 1200000, "currency": "CNY"}` is 12,000.00 yuan."""

    minor: int
    currency: NotRequired[str]


class Indicator(TypedDict):
    """`{"kind": "phone", "value": "138 0000 1234", "role": "suspect"}`; the value is kept in canonical form."""

    kind: IndicatorKind
    value: str
    role: NotRequired[Literal["suspect", "victim"]]


class Signal(TypedDict):
    """The body of `POST /v1/signals` and of one line of a batch.

    `reference` is the sender's own name of the signal (or the `Idempotency-Key` header); `occurred_at` is when the event
    happened, with offset; `region` is where the case belongs (GB/T 2260). At least one indicator is a suspect's.
    """

    reference: str
    kind: SignalKind
    occurred_at: str | datetime
    region: str
    amount: NotRequired[Amount | None]
    indicators: list[Indicator]
    narrative: NotRequired[str | None]
