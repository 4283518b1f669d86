"""Exports a card as CSV, and as samples of metrics. Pure.

CSV (RFC 4180: CRLF, all quoted) is UTF-8 with a byte order mark by default: without one, Excel on Chinese Windows reads GBK, and
every name is garbage; our own readers use `utf-8-sig`, which accepts both. Invariant: no cell begins with a character that a
spreadsheet takes for a formula, and columns are added at the end of their group only.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from collections.abc import Iterator, Mapping

from schemas.scorecards import LAYOUTS, CardKind, CardRow, Sample, Scorecard
from stream_processors.domain.scorecards.card import value

SUPPRESSED = "*"
"""Marks a small count, or a count that would reveal a small one. An empty cell means no data."""
FORMULA = frozenset("=+-@\t\r\n|%−")
PERCENTILES = ("p50", "p90", "p99")


def columns(kind: CardKind) -> list[str]:
    """The header: stable, English, machine-readable."""
    layout = LAYOUTS[kind]
    figures = [figure for family in layout.families for figure in family.figures]
    ratios = [f"{ratio.name}_permille" for ratio in layout.ratios]
    return ["kind", "period", "party", "name", *figures, *ratios, *(f"{name}_s" for name in _list_times(kind))]


def _list_times(kind: CardKind) -> list[str]:
    return [f"{time.name}_{percent}" for time in LAYOUTS[kind].times for percent in PERCENTILES]


def to_csv(card: Scorecard, names: Mapping[str, str] | None = None, *, bom: bool = True, total: bool = True) -> bytes:
    """One line for each party, the total last if this reader may see it. `names`: display names, with any content."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(columns(card.kind))
    for row in (*card.rows, card.total) if total else card.rows:
        texts = (card.kind.value, card.period, row.party, (names or {}).get(row.party, ""))
        writer.writerow([*map(safe, texts), *_list_cells(card.kind, row)])
    return out.getvalue().encode("utf-8-sig" if bom else "utf-8")


def from_csv(data: bytes) -> list[dict[str, str]]:
    """Column -> text of each line, as before it was made safe."""
    lines = csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True)
    return [{column: plain(text) for column, text in line.items()} for line in lines]


def safe(text: str) -> str:
    """Adds an apostrophe to a text that a spreadsheet could take for a formula, or that begins with one, so that `plain` restores
    it."""
    # A zero byte ends the text for some readers; no name has one.
    text = text.replace("\0", "\ufffd")
    return f"'{text}" if text.startswith("'") or _is_formula(text) else text


def plain(text: str) -> str:
    return text[1:] if text.startswith("'") else text


def _is_formula(text: str) -> bool:
    """Full-width forms, and formulas after blanks and invisible characters, count, too: some programs drop those first."""
    if text[:1] in FORMULA:
        return True
    first = next((char for char in text if not char.isspace() and unicodedata.category(char) not in ("Cc", "Cf")), "")
    return not FORMULA.isdisjoint({first, *unicodedata.normalize("NFKC", first)[:1]})


def _list_cells(kind: CardKind, row: CardRow) -> Iterator[str]:
    layout = LAYOUTS[kind]
    hidden = set(row.suppressed)
    of = {family.name: family.figures for family in layout.families}
    for family in layout.families:
        for figure in family.figures:
            yield SUPPRESSED if figure in hidden else str(row.counts[figure])
    for ratio in layout.ratios:
        unseen = ratio.part in hidden or ratio.whole in hidden
        yield SUPPRESSED if unseen else _format_count(row.permille.get(ratio.name))
    for time in layout.times:
        for percent in PERCENTILES:
            yield SUPPRESSED if not hidden.isdisjoint(of[time.of]) else _format_count(value(row, f"{time.name}.{percent}"))


def _format_count(n: int | None) -> str:
    return "" if n is None else str(n)


RECORDS = {kind: f"liandong_{kind.value}_figure_records" for kind in CardKind}
MONEY = {kind: f"liandong_{kind.value}_figure_fen" for kind in CardKind}
SECONDS = {kind: f"liandong_{kind.value}_time_seconds" for kind in CardKind}
_SHARES = dict(zip(PERCENTILES, ("50", "90", "99"), strict=True))


def samples(card: Scorecard, most_parties: int) -> list[Sample]:
    """Gauges, because a retraction lowers a figure. Hidden figures have no sample; only the first `most_parties` by name have
    any, and the total (party `total`): a sum of the others would reveal a hidden one. Bounded by `series`."""
    layout, gauges = LAYOUTS[card.kind], []
    money = {name for family in layout.families for name in family.money}
    for row in (*card.rows[:most_parties], card.total):
        party = (card.kind.value, row.party)
        for figure, n in row.counts.items():
            metric = MONEY if figure in money else RECORDS
            gauges.append(Sample(metric[card.kind], (party, ("figure", figure)), n))
        for time in row.durations:
            for percent, share in _SHARES.items():
                seconds = value(row, f"{time}.{percent}") or 0
                gauges.append(Sample(SECONDS[card.kind], (party, ("figure", time), ("percentile", share)), seconds))
    return gauges


def series(kind: CardKind, most_parties: int) -> int:
    """The maximum number of samples."""
    layout = LAYOUTS[kind]
    figures = sum(len(family.figures) for family in layout.families)
    return (most_parties + 1) * (figures + len(layout.times) * len(PERCENTILES))
