"""Proposes holds along a trail: on each account the part of the loss that is there, never the whole account (金额冻结). Pure.

Invariant: a hold and the existing holds are at most the account's remaining amount, which is at most the arrived amount.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from schemas.money_trail import Hold, Trail

Skipped = Literal["too_small", "too_many"]


class Holds(NamedTuple):
    """`order` them, the largest first; `skipped` lists the rest with the reasons."""

    order: tuple[Hold, ...]
    skipped: tuple[tuple[Hold, Skipped], ...]


def holds(
    trail: Trail,
    *,
    keepers: Mapping[str, str],
    held_minor: Mapping[str, int] | None = None,
    from_minor: int = 1,
    most: int = 50,
) -> Holds:
    """Holds for each account of the trail except the victim's own.

    `keepers`: account -> the institution that keeps it, if known; `held_minor`: account -> the amount of this loss that orders
    hold already; `from_minor`: the smallest amount worth an order; `most`: orders at once.
    """
    candidates = [
        _propose_hold(trail, stop.account, stop.remaining_minor, stop.depth, keepers, held_minor or {}) for stop in trail.stops
    ]
    proposed = sorted((hold for hold in candidates if hold is not None), key=lambda hold: (-hold.amount_minor, hold.account))
    large = [hold for hold in proposed if hold.amount_minor >= from_minor]
    skipped: list[tuple[Hold, Skipped]] = [(hold, "too_many") for hold in large[most:]]
    skipped += [(hold, "too_small") for hold in proposed if hold.amount_minor < from_minor]
    return Holds(tuple(large[:most]), tuple(skipped))


def _propose_hold(
    trail: Trail, account: str, remaining: int, depth: int, keepers: Mapping[str, str], held: Mapping[str, int]
) -> Hold | None:
    minor = remaining - held.get(account, 0)
    if account == trail.loss.account or minor <= 0:
        return None
    return Hold.trusted(
        account=account,
        institution=keepers.get(account),
        amount_minor=minor,
        currency=trail.loss.currency,
        depth=depth,
    )
