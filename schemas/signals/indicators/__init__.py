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
from typing import NamedTuple

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


def _no_advice(value: str) -> tuple[str, ...]:
    return ()


class IndicatorSpec(NamedTuple):
    """Everything that depends on a kind. `canonical` gives the one form of a value, ValueError says what is wrong with it;
    `advisories` what a sender may want to look at again. `holds_money`: it may be an end of a transfer. `is_line`: it may be an
    end of a call or message. `is_tool`: it is a tool of the crime, so that a confirmed case confirms it wherever it is named."""

    kind: IndicatorKind
    canonical: Callable[[str], str]
    advisories: Callable[[str], tuple[str, ...]]
    holds_money: bool
    is_line: bool
    is_tool: bool


SPECS: dict[str, IndicatorSpec] = {
    spec.kind: spec
    for spec in (
        IndicatorSpec(
            IndicatorKind.ACCOUNT, account.canonical, account.advisories, holds_money=True, is_line=False, is_tool=False
        ),
        IndicatorSpec(IndicatorKind.CARD, card.canonical, card.advisories, holds_money=True, is_line=False, is_tool=False),
        IndicatorSpec(IndicatorKind.WALLET, wallet.canonical, wallet.advisories, holds_money=True, is_line=False, is_tool=False),
        IndicatorSpec(IndicatorKind.MERCHANT, merchant.canonical, _no_advice, holds_money=True, is_line=False, is_tool=False),
        IndicatorSpec(IndicatorKind.PHONE, phone.canonical, phone.advisories, holds_money=True, is_line=True, is_tool=True),
        IndicatorSpec(IndicatorKind.SIM, sim.canonical, sim.advisories, holds_money=False, is_line=True, is_tool=True),
        IndicatorSpec(IndicatorKind.IMSI, imsi.canonical, _no_advice, holds_money=False, is_line=True, is_tool=True),
        IndicatorSpec(IndicatorKind.IMEI, imei.canonical, _no_advice, holds_money=False, is_line=True, is_tool=True),
        IndicatorSpec(IndicatorKind.DEVICE, device.canonical, _no_advice, holds_money=False, is_line=False, is_tool=True),
        IndicatorSpec(IndicatorKind.HANDLE, handle.canonical, handle.advisories, holds_money=True, is_line=True, is_tool=True),
        IndicatorSpec(
            IndicatorKind.RESIDENT_ID,
            resident_id.canonical,
            resident_id.advisories,
            holds_money=False,
            is_line=False,
            is_tool=False,
        ),
        IndicatorSpec(IndicatorKind.USCC, uscc.canonical, uscc.advisories, holds_money=False, is_line=False, is_tool=False),
        IndicatorSpec(IndicatorKind.APP, app.canonical, _no_advice, holds_money=False, is_line=False, is_tool=True),
        IndicatorSpec(IndicatorKind.URL, url.canonical, url.advisories, holds_money=False, is_line=False, is_tool=True),
        IndicatorSpec(IndicatorKind.DOMAIN, domain.canonical, domain.advisories, holds_money=False, is_line=False, is_tool=True),
        IndicatorSpec(IndicatorKind.IP, ip.canonical, ip.advisories, holds_money=False, is_line=False, is_tool=True),
    )
}
"""By kind, in the order of the primary subject."""

KINDS: dict[str, Callable[[str], str]] = {kind: spec.canonical for kind, spec in SPECS.items()}
"""Kind -> canonical form, in the order of the primary subject."""

RANK: dict[str, int] = {kind: rank for rank, kind in enumerate(SPECS)}


def kinds_where(holds: Callable[[IndicatorSpec], bool]) -> frozenset[str]:
    """The kinds of which something holds, by their wire names."""
    return frozenset(spec.kind.value for spec in SPECS.values() if holds(spec))


def canonical(kind: str, text: str) -> str:
    """The canonical form of `text` as an indicator of `kind`; ValueError says what is wrong with it."""
    if len(text) > LONGEST and kind != IndicatorKind.URL:  # which counts an encoded character once, and refuses for itself
        raise ValueError(f"a value has at most {LONGEST} characters; this one has {len(text)}")
    return KINDS[kind](text)


def advisories(kind: str, value: str) -> tuple[str, ...]:
    """What a sender may want to look at again; `value` is what `canonical` gave. No advice is a reason to refuse."""
    return SPECS[kind].advisories(value) if kind in SPECS else ()
