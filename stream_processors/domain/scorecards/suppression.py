"""Selects the figures of a table to hide, so that small counts are neither shown nor computable. Pure.

A family (a count, its parts, its money) of all parties and their total is one table; families share no sums. A party with a small
count is hidden whole; one with a small part keeps its count and loses all parts. Then complements are hidden, the smallest first,
until every small count could have `threshold` values or more; if too few parties are left, the total is hidden.

Invariant: for each small count, there are tables with the same shown figures in which it has `threshold` or more values. The
bounds are exact: in a table with known sums of rows and columns, a cell can have every value between the bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

Table = Mapping[str, Sequence[int]]
"""Party -> its parts (for a family without parts: the count itself)."""


class Hidden(NamedTuple):
    """Parties with a hidden count (with parts and money), parties with hidden parts; whether the total's count and parts stay."""

    whole: frozenset[str]
    parts: frozenset[str]
    total_shown: bool
    total_parts_shown: bool


def hidden(table: Table, threshold: int) -> Hidden:
    """`threshold` 0 or 1 hides nothing. Zero is not a small count."""
    sums = {party: sum(parts) for party, parts in table.items()}
    # From the smallest up: a complement costs least where there is least to read.
    order = sorted((party for party, n in sums.items() if n), key=lambda party: (sums[party], party))
    hidden_counts, total_shown = _hide_counts(sums, order, threshold)
    parts, total_parts_shown = _hide_parts(table, sums, order, hidden_counts, threshold)
    return Hidden(hidden_counts, parts, total_shown, total_shown and total_parts_shown)


def _hide_counts(sums: Mapping[str, int], order: Sequence[str], threshold: int) -> tuple[frozenset[str], bool]:
    """The total reveals the sum of the hidden ones; each is 1 or more, so with `spare` above that each is 1 to 1 + spare."""
    n = sum(sums[party] < threshold for party in order)
    if not n:
        return frozenset(), True
    small = n
    while n < len(order) and not _is_wide(sums, order[:n], threshold):
        n += 1
    if not _is_wide(sums, order[:n], threshold):
        return frozenset(order[:small]), False
    return frozenset(order[:n]), True


def _is_wide(sums: Mapping[str, int], chosen: Sequence[str], threshold: int) -> bool:
    spare = sum(sums[party] for party in chosen) - len(chosen)
    return len(chosen) > 1 and spare >= threshold - 1


def _hide_parts(
    table: Table, sums: Mapping[str, int], order: Sequence[str], hidden_counts: frozenset[str], threshold: int
) -> tuple[frozenset[str], bool]:
    if all(len(parts) == 1 for parts in table.values()):
        return hidden_counts, True
    must = hidden_counts | {party for party, parts in table.items() if any(0 < n < threshold for n in parts)}
    totals = [sum(column) for column in zip(*table.values(), strict=True)]
    if any(0 < n < threshold for n in totals):
        return must, False
    if not must:
        return must, True
    others = [party for party in order if party not in must]
    if not _is_safe(table, sums, must.union(others), hidden_counts, threshold):
        return must, False
    # More hidden rows only widen the bounds, so the fewest are found by halving.
    low, high = 0, len(others)
    while low < high:
        half = (low + high) // 2
        if _is_safe(table, sums, must.union(others[:half]), hidden_counts, threshold):
            high = half
        else:
            low = half + 1
    return must.union(others[:low]), True


def _is_safe(table: Table, sums: Mapping[str, int], rows: frozenset[str], hidden_counts: frozenset[str], threshold: int) -> bool:
    """Whether each small part of these rows may have `threshold` values. A row with a hidden count may be as large as the sum of
    those permits, and as small as 1."""
    columns = [sum(column) for column in zip(*(table[party] for party in rows), strict=True)]
    everything = sum(columns)
    together = sum(sums[party] for party in hidden_counts)
    for party in rows:
        most = together - len(hidden_counts) + 1 if party in hidden_counts else sums[party]
        least = 1 if party in hidden_counts else sums[party]
        for n, column in zip(table[party], columns, strict=True):
            if 0 < n < threshold and min(most, column) - max(0, least + column - everything) < threshold - 1:
                return False
    return True
