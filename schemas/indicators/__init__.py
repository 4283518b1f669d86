"""Indicators: what a subject is known by. Each kind is a small file with one function, `canonical(text) -> text`.

Invariant: two spellings of the same thing have the same canonical form, hence the same token.
`KINDS` is in the order in which the primary subject of a signal is chosen (DESIGN, "Two keys, two stages").
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from schemas.indicators import account, app, card, domain, phone, url


class IndicatorKind(StrEnum):
    ACCOUNT = "account"
    CARD = "card"
    PHONE = "phone"
    APP = "app"
    URL = "url"
    DOMAIN = "domain"


KINDS: dict[str, Callable[[str], str]] = {
    IndicatorKind.ACCOUNT: account.canonical,
    IndicatorKind.CARD: card.canonical,
    IndicatorKind.PHONE: phone.canonical,
    IndicatorKind.APP: app.canonical,
    IndicatorKind.URL: url.canonical,
    IndicatorKind.DOMAIN: domain.canonical,
}
"""Kind -> canonical form, in the order of the primary subject."""

RANK: dict[str, int] = {kind: rank for rank, kind in enumerate(KINDS)}


def canonical(kind: str, text: str) -> str:
    """The canonical form of `text` as an indicator of `kind`; ValueError says what is wrong with it."""
    return KINDS[kind](text)
