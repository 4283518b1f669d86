"""Indicators: the identifiers of subjects. Each kind is a small file with `canonical(text) -> text`, which folds first, and
optionally `advisories(canonical text) -> codes`, which returns non-blocking warnings. docs/reference/indicators.md is for
senders.

Invariant: two spellings of the same thing have the same canonical form, hence the same token. `KINDS` is in the order of
precedence for the primary subject: first things that hold money, then lines and devices, persons, things shown to victims. The
order of account, card, phone, url and domain among each other never changes, because it decides the partition and the case of
signals in the log.
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
    placeholder,
    resident_id,
    sim,
    url,
    uscc,
    wallet,
)
from schemas.signals.indicators.placeholder import is_placeholder_text as is_placeholder_text

LONGEST = 2048
"""Longest value as sent, in characters. In a URL an encoded character (`%E6%94%AF`) counts once."""

LONGEST_SENT = url.LONGEST_ENCODED
"""The same limit for a URL that is sent with all of its characters encoded."""


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


def _is_never(value: str) -> bool:
    return False


class IndicatorSpec(NamedTuple):
    """Everything that depends on a kind. `canonical` gives the one form of a value, ValueError says what is wrong with it;
    `advisories` what a sender may want to look at again, `stands_for_none` whether a canonical value says that there is none.
    `matched_as`: the kind whose equal values are the same thing (banks report cards, payment institutions accounts).
    `holds_money`: it may be an end of a transfer. `is_line`: it may be an end of a call or message. `is_tool`: it is a tool of
    the crime, so that a confirmed case confirms it wherever it is named."""

    kind: IndicatorKind
    canonical: Callable[[str], str]
    advisories: Callable[[str], tuple[str, ...]]
    stands_for_none: Callable[[str], bool]
    matched_as: IndicatorKind
    holds_money: bool
    is_line: bool
    is_tool: bool


K = IndicatorKind
SPECS: dict[str, IndicatorSpec] = {
    spec.kind: spec
    for spec in (
        IndicatorSpec(K.ACCOUNT, account.canonical, account.advisories, placeholder.is_filler_number,
            matched_as=K.ACCOUNT, holds_money=True, is_line=False, is_tool=False),
        IndicatorSpec(K.CARD, card.canonical, card.advisories, placeholder.is_filler_number,
            matched_as=K.ACCOUNT, holds_money=True, is_line=False, is_tool=False),
        IndicatorSpec(K.WALLET, wallet.canonical, wallet.advisories, placeholder.is_burnt,
            matched_as=K.WALLET, holds_money=True, is_line=False, is_tool=False),
        IndicatorSpec(K.MERCHANT, merchant.canonical, _no_advice, placeholder.is_filler_merchant,
            matched_as=K.MERCHANT, holds_money=True, is_line=False, is_tool=False),
        IndicatorSpec(K.PHONE, phone.canonical, phone.advisories, placeholder.is_message_centre,
            matched_as=K.PHONE, holds_money=True, is_line=True, is_tool=True),
        IndicatorSpec(K.SIM, sim.canonical, sim.advisories, placeholder.is_filler_sim,
            matched_as=K.SIM, holds_money=False, is_line=True, is_tool=True),
        IndicatorSpec(K.IMSI, imsi.canonical, _no_advice, placeholder.is_filler_imsi,
            matched_as=K.IMSI, holds_money=False, is_line=True, is_tool=True),
        IndicatorSpec(K.IMEI, imei.canonical, _no_advice, placeholder.is_filler_imei,
            matched_as=K.IMEI, holds_money=False, is_line=True, is_tool=True),
        IndicatorSpec(K.DEVICE, device.canonical, _no_advice, placeholder.is_shared_device,
            matched_as=K.DEVICE, holds_money=False, is_line=False, is_tool=True),
        IndicatorSpec(K.HANDLE, handle.canonical, handle.advisories, placeholder.is_filler_handle,
            matched_as=K.HANDLE, holds_money=True, is_line=True, is_tool=True),
        IndicatorSpec(K.RESIDENT_ID, resident_id.canonical, resident_id.advisories, placeholder.is_filler_id,
            matched_as=K.RESIDENT_ID, holds_money=False, is_line=False, is_tool=False),
        IndicatorSpec(K.USCC, uscc.canonical, uscc.advisories, placeholder.is_filler_number,
            matched_as=K.USCC, holds_money=False, is_line=False, is_tool=False),
        IndicatorSpec(K.APP, app.canonical, _no_advice, _is_never,
            matched_as=K.APP, holds_money=False, is_line=False, is_tool=True),
        IndicatorSpec(K.URL, url.canonical, url.advisories, placeholder.is_no_url,
            matched_as=K.URL, holds_money=False, is_line=False, is_tool=True),
        IndicatorSpec(K.DOMAIN, domain.canonical, domain.advisories, placeholder.is_no_host,
            matched_as=K.DOMAIN, holds_money=False, is_line=False, is_tool=True),
        IndicatorSpec(K.IP, ip.canonical, ip.advisories, placeholder.is_no_address,
            matched_as=K.IP, holds_money=False, is_line=False, is_tool=True),
    )
}  # fmt: skip
"""Definitions by kind, in the order of precedence for the primary subject."""

KINDS: dict[str, Callable[[str], str]] = {kind: spec.canonical for kind, spec in SPECS.items()}
"""Kind -> canonical form, in the order of precedence for the primary subject."""

RANK: dict[str, int] = {kind: rank for rank, kind in enumerate(SPECS)}


def kinds_where(holds: Callable[[IndicatorSpec], bool]) -> frozenset[str]:
    """Returns the wire names of the kinds for which the predicate holds."""
    return frozenset(spec.kind.value for spec in SPECS.values() if holds(spec))


MATCHED_AS: dict[str, str] = {kind: spec.matched_as.value for kind, spec in SPECS.items()}
"""Kind -> the kind under which its values are matched."""


def is_placeholder(kind: str, value: str) -> bool:
    """Whether a canonical value of this kind means "none", as `imei` `000000000000000` does."""
    spec = SPECS.get(kind)
    return (spec is not None and spec.stands_for_none(value)) or placeholder.is_word(value)


def canonical(kind: str, text: str) -> str:
    """Returns the canonical form of `text` as an indicator of `kind`; ValueError gives the fault."""
    if len(text) > LONGEST and kind != IndicatorKind.URL:  # which counts an encoded character once, and refuses for itself
        raise ValueError(f"a value may have at most {LONGEST} characters; this one has {len(text)}")
    return KINDS[kind](text)


def advisories(kind: str, value: str) -> tuple[str, ...]:
    """Returns warnings for a value that `canonical` returned. No warning is a reason to refuse."""
    return SPECS[kind].advisories(value) if kind in SPECS else ()
