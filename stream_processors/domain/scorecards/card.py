"""Turns cells into a card: counts, ratios, percentiles, with small counts hidden; and ranks by one figure. Pure.

Invariant: a value that depends on a hidden figure is not shown either. Cards of nested periods (a month, its year) would reveal a
hidden month from the year: give an audience one of them only (`nested`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.scorecards import LAYOUTS, CardKind, CardRow, FigureCell, FigureFamily, Layout, Percentiles, Rank, Scorecard
from stream_processors.domain.scorecards.buckets import BOUNDS, ERROR_PERCENT, counts, percentile
from stream_processors.domain.scorecards.suppression import hidden

TOTAL = "total"
THRESHOLD = 5
Book = Mapping[str, Mapping[str, int]]
"""Party -> figure -> n, of one kind and period."""


def cells_a_period(kind: CardKind) -> int:
    """The most cells that one party can have in one day, month or year, however many facts there are."""
    layout = LAYOUTS[kind]
    counted = sum(len(family.parts or (family.name,)) + len(family.money) for family in layout.families)
    return counted + len(layout.times) * len(BOUNDS)


def nested(period: str, other: str) -> bool:
    """Whether one of two periods is within the other, or equals it."""
    return period.startswith(other) or other.startswith(period)


def book(cells: Mapping[FigureCell, int], kind: CardKind, period: str) -> dict[str, dict[str, int]]:
    """The cells of one card."""
    figures: dict[str, dict[str, int]] = {}
    for cell, n in cells.items():
        if cell.kind is kind and cell.period == period:
            figures.setdefault(cell.party, {})[cell.figure] = n
    return figures


def card(cells: Book, *, kind: CardKind, period: str, threshold: int = THRESHOLD, parties: Iterable[str] = ()) -> Scorecard:
    """The card of a period. `parties` without cells are shown with zeros, so that silence is visible.

    In an incomplete view a count may be below 0 for a moment; it is shown as 0.
    """
    layout = LAYOUTS[kind]
    all_of = sorted({*cells, *parties})
    drafts = {party: _Draft({}, []) for party in (*all_of, TOTAL)}
    for family in layout.families:
        _fill_family(family, {party: cells.get(party, {}) for party in all_of}, drafts, threshold)
    times: dict[str, dict[str, Percentiles]] = {party: {} for party in drafts}
    for time in layout.times:
        figures = frozenset(next(family.figures for family in layout.families if family.name == time.of))
        histograms = {party: counts(cells.get(party, {}), time.name) for party in all_of}
        shown = {party for party, draft in drafts.items() if figures.isdisjoint(draft.hidden)}
        _fill_times(time.name, histograms, times, shown, threshold)
    rows = [_make_row(party, drafts[party], layout, times[party]) for party in drafts]
    return Scorecard.trusted(
        kind=kind, period=period, threshold=threshold, error_percent=ERROR_PERCENT, rows=tuple(rows[:-1]), total=rows[-1]
    )


class _Draft(NamedTuple):
    counts: dict[str, int]
    hidden: list[str]


def _fill_family(family: FigureFamily, cells: Book, drafts: dict[str, _Draft], threshold: int) -> None:
    leaves = family.parts or (family.name,)
    table = {party: [max(0, figures.get(leaf, 0)) for leaf in leaves] for party, figures in cells.items()}
    money = {party: [max(0, figures.get(name, 0)) for name in family.money] for party, figures in cells.items()}
    suppressed = hidden(table, threshold)
    for party, parts in table.items():
        count_shown, shown = party not in suppressed.whole, party not in suppressed.parts
        _put_family(drafts[party], family, parts, money[party], count_shown, shown)
    totals = [sum(column) for column in zip(*table.values(), strict=True)] or [0] * len(leaves)
    sums = [sum(column) for column in zip(*money.values(), strict=True)] or [0] * len(family.money)
    _put_family(drafts[TOTAL], family, totals, sums, suppressed.total_shown, suppressed.total_parts_shown)


def _put_family(draft: _Draft, family: FigureFamily, parts: list[int], money: list[int], count_shown: bool, shown: bool) -> None:
    values = [
        (family.name, sum(parts), count_shown),
        *((name, n, count_shown) for name, n in zip(family.money, money, strict=True)),
    ]
    values += [(name, n, shown) for name, n in zip(family.parts, parts, strict=False)]
    for name, n, visible in values:
        if visible:
            draft.counts[name] = n
        else:
            draft.hidden.append(name)


def _fill_times(
    time: str, histograms: dict[str, list[int]], times: dict[str, dict[str, Percentiles]], shown: set[str], threshold: int
) -> None:
    together = [sum(column) for column in zip(*histograms.values(), strict=True)]
    for party, histogram in (*histograms.items(), (TOTAL, together)):
        # That there are percentiles says that there are so many: not where that is hidden.
        if party not in shown or sum(histogram) < max(1, threshold):
            continue
        p50, p90, p99 = (percentile(histogram, percent) for percent in (50, 90, 99))
        times[party][time] = Percentiles.trusted(p50_s=p50, p90_s=p90, p99_s=p99)


def _make_row(party: str, draft: _Draft, layout: Layout, times: dict[str, Percentiles]) -> CardRow:
    permille = {}
    for ratio in layout.ratios:
        part, total = draft.counts.get(ratio.part), draft.counts.get(ratio.whole)
        if part is not None and total:
            permille[ratio.name] = 1000 * part // total
    return CardRow.trusted(party=party, counts=draft.counts, suppressed=tuple(draft.hidden), permille=permille, durations=times)


def value(row: CardRow, figure: str) -> int | None:
    """A count, a ratio (per mille) or a time (`time_report.p90`, seconds). None: no data, or not shown."""
    name, _, percent = figure.partition(".")
    if percent:
        times = row.durations.get(name)
        return None if times is None else {"p50": times.p50_s, "p90": times.p90_s, "p99": times.p99_s}[percent]
    return row.counts.get(name, row.permille.get(name))


def ranking(shown: Scorecard, figure: str, *, highest_first: bool = True) -> tuple[Rank, ...]:
    """Parties by a shown figure; the others have no rank, because a rank would reveal it."""
    ranked = [(n, row.party) for row in shown.rows if (n := value(row, figure)) is not None]
    ranked.sort(key=lambda pair: (-pair[0] if highest_first else pair[0], pair[1]))
    places: list[Rank] = []
    for number, (n, party) in enumerate(ranked, 1):
        same = bool(places) and places[-1].value == n
        places.append(Rank.trusted(rank=places[-1].rank if same else number, party=party, value=n))
    return tuple(places)
