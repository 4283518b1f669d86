"""A signal for a type checker. Made by `liandong contracts write` from schemas/signals/submission.py: do not edit.

Times are text with an offset (RFC 3339) or aware datetimes.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal, NotRequired, TypedDict

IndicatorKind = Literal[
    "account",
    "card",
    "wallet",
    "merchant",
    "phone",
    "sim",
    "imsi",
    "imei",
    "device",
    "handle",
    "resident_id",
    "uscc",
    "app",
    "url",
    "domain",
    "ip",
]
ScamStage = Literal["lure", "contact", "inducement", "payment_pending", "paid", "cash_out"]
SignalKind = Literal["telecom_fraud", "illegal_finance", "organized_crime"]
TypologyId = Literal[
    "impersonating_police",
    "fake_investment",
    "task_scam",
    "fake_loan",
    "fake_customer_service",
    "romance",
    "phishing",
    "sim_goip",
    "sms_blasting",
    "mule_account",
    "illegal_fundraising",
    "illegal_lending",
    "underground_banking",
    "money_laundering",
    "pyramid_selling",
    "organized_crime",
]


class AmountDict(TypedDict):
    """Money: `{"minor": 1200000, "currency": "CNY"}` is 12,000.00 yuan."""

    minor: int
    currency: NotRequired[str]


class AppDict(TypedDict):
    """An app: its package, its visible name, its download address (a suspect, too)."""

    at: NotRequired[str | datetime | None]
    type: Literal["app"]
    package: str
    name: NotRequired[str | None]
    download_url: NotRequired[str | None]


class EndDict(TypedDict):
    """One end of an event. Its default `role` is that of the same thing in `indicators`, else that of its part."""

    kind: IndicatorKind
    value: str
    role: NotRequired[Literal["suspect", "victim"] | None]


class IndicatorDict(TypedDict):
    """`{"kind": "phone", "value": "138 0000 1234", "role": "suspect"}`."""

    kind: IndicatorKind
    value: str
    role: NotRequired[Literal["suspect", "victim"]]


class MessageDict(TypedDict):
    """A text message or chat message, or `count` similar ones. Its `urls` are suspects."""

    at: NotRequired[str | datetime | None]
    type: Literal["message"]
    sender: EndDict
    recipient: EndDict
    count: NotRequired[int | None]
    urls: NotRequired[list[str]]


class PhoneCallDict(TypedDict):
    """A phone call. By default the caller is the suspect; a `role` overrides this."""

    at: NotRequired[str | datetime | None]
    type: Literal["call"]
    caller: EndDict
    callee: EndDict
    duration_s: NotRequired[int | None]


class SiteDict(TypedDict):
    """A web site by its address or its domain. `registered_at`: registration of the domain, given as evidence."""

    at: NotRequired[str | datetime | None]
    type: Literal["site"]
    url: NotRequired[str | None]
    domain: NotRequired[str | None]
    registered_at: NotRequired[str | datetime | None]


class TransferDict(TypedDict):
    """A transfer of money. By default the payee is the suspect and the payer the victim; a `role` overrides this."""

    at: NotRequired[str | datetime | None]
    type: Literal["transfer"]
    payer: EndDict
    payee: EndDict
    amount: AmountDict
    channel: NotRequired[str | None]


class Signal(TypedDict):
    """The body of `POST /v1/signals` and of one line of a batch.

    `reference` is the sender's own name of the signal (or the `Idempotency-Key` header); `occurred_at` is the time of the event,
    with offset; `region` is the region of the case (GB/T 2260). At least one indicator or part of the event is a suspect.
    `amount` is the amount at stake (default: the amount of the transfer), `loss` the amount already lost. `detected_at` is when
    the sender noticed; it may precede `occurred_at`, because a payment may be noticed while it is pending. No time is more than
    31 days ahead. `derived_from` names the signal of another sender that this one repeats; it counts once. A `version` above 1
    corrects earlier versions: the whole corrected body under the same reference.
    """

    reference: str
    version: NotRequired[int]
    kind: SignalKind
    typology: NotRequired[TypologyId | None]
    stage: NotRequired[ScamStage | None]
    occurred_at: str | datetime
    detected_at: NotRequired[str | datetime | None]
    region: str
    amount: NotRequired[AmountDict | None]
    loss: NotRequired[AmountDict | None]
    event: NotRequired[TransferDict | PhoneCallDict | MessageDict | SiteDict | AppDict | None]
    indicators: NotRequired[list[IndicatorDict]]
    derived_from: NotRequired[str | None]
    narrative: NotRequired[str | None]
