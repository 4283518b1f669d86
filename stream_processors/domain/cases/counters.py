"""A case's figures as counts of its live signals, so that any number of signals can be removed. Pure.

Invariant: adding and removing a signal restores the previous figures. A cut figure (more currencies or a larger sum than are
kept) is never reduced below the live signals.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from schemas.cases.case import Tally
from stream_processors.domain.signals.trust import corroborating, low

MOST_CURRENCIES = 16
YUAN = "CNY"
MOST_MINOR = 10**18
"""Upper bound of a sum of a case: not every reader writes larger values as a number."""


class Adds(Protocol):
    """The contribution of a signal to its case: of one that joins, or of one that joined."""

    @property
    def score(self) -> int: ...

    @property
    def institution(self) -> str: ...

    @property
    def kind(self) -> str: ...

    @property
    def amount_minor(self) -> int | None: ...

    @property
    def currency(self) -> str | None: ...

    @property
    def trust(self) -> str | None: ...


EMPTY = Tally.trusted(scores={}, institutions={}, kinds={})


def counted(tally: Tally, signal: Adds) -> Tally:
    return _count_signal(tally, signal, 1)


def uncounted(tally: Tally, signal: Adds) -> Tally:
    return _count_signal(tally, signal, -1)


def together(tally: Tally, other: Tally) -> Tally:
    """Of all signals that either counts."""
    return Tally.trusted(
        scores=_add_counts(tally.scores, other.scores),
        institutions=_add_counts(tally.institutions, other.institutions),
        kinds=_add_counts(tally.kinds, other.kinds),
    )


def _add_counts(counts: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {name: n for name in (*counts, *other) if (n := counts.get(name, 0) + other.get(name, 0))}


def highest(tally: Tally) -> int:
    """The highest score; 0 without signals."""
    return max(map(int, tally.scores), default=0)


def _count_signal(tally: Tally, signal: Adds, by: int) -> Tally:
    institutions = tally.institutions
    for institution in corroborating(signal):
        institutions = _step_count(institutions, institution, by)
    return Tally.trusted(
        scores=_step_count(tally.scores, str(signal.score), by),
        institutions=institutions,
        kinds=_step_count(tally.kinds, str(signal.kind), by),
    )


def _step_count(counts: Mapping[str, int], name: str, by: int) -> dict[str, int]:
    updated = {**counts, name: max(0, counts.get(name, 0) + by)}
    return {key: n for key, n in updated.items() if n}


def money(sums: Mapping[str, int], signal: Adds) -> dict[str, int]:
    """The sums by currency with the signal's amount."""
    currency, minor = signal.currency, signal.amount_minor
    if low(signal) or currency is None or not minor or not _has_place(sums, currency):
        return dict(sums)
    return {**sums, currency: min(MOST_MINOR, sums.get(currency, 0) + minor)}


def _has_place(sums: Mapping[str, int], currency: str) -> bool:
    """The yuan always finds room: otherwise odd currencies of one sender would displace everybody's amounts."""
    return currency in sums or len(sums) < MOST_CURRENCIES - (YUAN not in sums and currency != YUAN)


def pooled(sums: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    """Both sums by currency. As with single amounts, a currency without room is omitted."""
    total = dict(sums)
    for currency, minor in more.items():
        if _has_place(total, currency):
            total[currency] = min(MOST_MINOR, total.get(currency, 0) + minor)
    return total


def without(sums: Mapping[str, int], signal: Adds) -> dict[str, int]:
    """The sums without the signal's amount. A cut sum stays, and so does a currency's place if others found none."""
    currency, minor = signal.currency, signal.amount_minor
    if low(signal) or currency is None or not minor or not 0 < sums.get(currency, 0) < MOST_MINOR:
        return dict(sums)
    remaining = {**sums, currency: max(0, sums[currency] - minor)}
    return remaining if len(remaining) >= MOST_CURRENCIES else {name: n for name, n in remaining.items() if n}
