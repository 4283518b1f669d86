"""Indicators: what a subject is known by. Each kind is a small file with `canonical(text) -> text`, which folds first, and, where
something can be said that is no reason to refuse, `advisories(canonical text) -> codes`. docs/reference/indicators.md is for
senders.

Invariant: two spellings of the same thing have the same canonical form, hence the same token.
`KINDS` is in the order in which the primary subject of a signal is chosen (DESIGN, "Two keys, two stages"): first what money
sits on and can be stopped, then lines and devices, persons, what victims are shown. The order of account, card, phone, url and
domain among themselves never changes: it decides the partition and the case of signals that are in the log.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from schemas.signals.indicators import (
    account,
    app,
    card,
    device,
    domain,
    handle,
    imei,
    imsi,
    ip,
    merchant,
    phone,
    resident_id,
    sim,
    url,
    uscc,
    wallet,
)
from schemas.signals.indicators.placeholder import is_placeholder as is_placeholder
from schemas.signals.indicators.placeholder import is_placeholder_text as is_placeholder_text

LONGEST = 2048
"""Characters of a value as it is sent. In a URL an encoded character (`%E6%94%AF`) counts once."""

LONGEST_SENT = url.LONGEST_ENCODED
"""The same, where a URL is sent with all of its characters encoded."""


class IndicatorKind(StrEnum):
    ACCOUNT = "account"
    CARD = "card"
    WALLET = "wallet"
    MERCHANT = "merchant"
    PHONE = "phone"
    SIM = "sim"
    IMSI = "imsi"
    IMEI = "imei"
    DEVICE = "device"
    HANDLE = "handle"
    RESIDENT_ID = "resident_id"
    USCC = "uscc"
    APP = "app"
    URL = "url"
    DOMAIN = "domain"
    IP = "ip"


KINDS: dict[str, Callable[[str], str]] = {
    IndicatorKind.ACCOUNT: account.canonical,
    IndicatorKind.CARD: card.canonical,
    IndicatorKind.WALLET: wallet.canonical,
    IndicatorKind.MERCHANT: merchant.canonical,
    IndicatorKind.PHONE: phone.canonical,
    IndicatorKind.SIM: sim.canonical,
    IndicatorKind.IMSI: imsi.canonical,
    IndicatorKind.IMEI: imei.canonical,
    IndicatorKind.DEVICE: device.canonical,
    IndicatorKind.HANDLE: handle.canonical,
    IndicatorKind.RESIDENT_ID: resident_id.canonical,
    IndicatorKind.USCC: uscc.canonical,
    IndicatorKind.APP: app.canonical,
    IndicatorKind.URL: url.canonical,
    IndicatorKind.DOMAIN: domain.canonical,
    IndicatorKind.IP: ip.canonical,
}
"""Kind -> canonical form, in the order of the primary subject."""

RANK: dict[str, int] = {kind: rank for rank, kind in enumerate(KINDS)}

ADVICE: dict[str, Callable[[str], tuple[str, ...]]] = {
    IndicatorKind.ACCOUNT: account.advisories,
    IndicatorKind.CARD: card.advisories,
    IndicatorKind.WALLET: wallet.advisories,
    IndicatorKind.PHONE: phone.advisories,
    IndicatorKind.HANDLE: handle.advisories,
    IndicatorKind.SIM: sim.advisories,
    IndicatorKind.RESIDENT_ID: resident_id.advisories,
    IndicatorKind.USCC: uscc.advisories,
    IndicatorKind.URL: url.advisories,
    IndicatorKind.DOMAIN: domain.advisories,
    IndicatorKind.IP: ip.advisories,
}


def canonical(kind: str, text: str) -> str:
    """The canonical form of `text` as an indicator of `kind`; ValueError says what is wrong with it."""
    if len(text) > LONGEST and kind != IndicatorKind.URL:  # which counts an encoded character once, and refuses for itself
        raise ValueError(f"a value has at most {LONGEST} characters; this one has {len(text)}")
    return KINDS[kind](text)


def advisories(kind: str, value: str) -> tuple[str, ...]:
    """What a sender may want to look at again; `value` is what `canonical` gave. No advice is a reason to refuse."""
    advice = ADVICE.get(kind)
    return advice(value) if advice is not None else ()
